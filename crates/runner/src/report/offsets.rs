//! How large the offsets are that methods add to embeddings: DePT by position, ADePT by token.

use peft_model::files::floats;
use safetensors::{Dtype, SafeTensors};
use serde::Serialize;
use serde_json::Value;

use super::sheet::TaskSheet;
use crate::files::{self, checksum};
use crate::results::{Record, Store, TokenOffset, read_offsets};

/// The norms of a run's offsets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OffsetNorms {
    pub task: String,
    pub method: String,
    pub seed: u64,
    /// What an offset depends on: `position` or `token`.
    pub axis: &'static str,
    pub points: Vec<Norm>,
}

/// The norm of one offset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Norm {
    pub label: Label,
    pub norm: f64,
}

/// A position or a token.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Label {
    Position(usize),
    Token(String),
}

/// Most tokens of a run, those with the largest norms.
const MOST_TOKENS: usize = 200;

/// Most runs whose offsets are shown, the first seed of each method on each task.
const MOST: usize = 50;

/// The norms of the offsets; where a file is not there or not whole, there are none.
pub(super) fn norms(store: &Store, sheets: &[TaskSheet]) -> Vec<OffsetNorms> {
    let first = sheets.iter().flat_map(|sheet| sheet.methods.iter().filter_map(|method| method.runs.first()));
    let norms = first.filter_map(|run| {
        let Record { task_title, method, seed, .. } = run.record;
        let by_position = || Some(("position", of_adapter(store, run.record)?));
        let (axis, points) = by_position().or_else(|| Some(("token", of_tokens(store, run.record)?)))?;
        let (task, method) = (task_title.clone(), method.clone());
        Some(OffsetNorms { task, method, seed: *seed, axis, points })
    });
    norms.take(MOST).collect()
}

fn of_tokens(store: &Store, record: &Record) -> Option<Vec<Norm>> {
    let mut offsets = read_offsets(store, &record.cell).ok()??;
    offsets.sort_by(|a, b| b.norm.total_cmp(&a.norm).then(a.id.cmp(&b.id)));
    let norm = |offset: TokenOffset| Norm { label: Label::Token(offset.piece), norm: offset.norm.into() };
    Some(offsets.into_iter().take(MOST_TOKENS).map(norm).collect())
}

fn of_adapter(store: &Store, record: &Record) -> Option<Vec<Norm>> {
    let settings: Value = serde_json::from_str(&record.settings).ok()?;
    if settings.get("offsets")?.as_str()? != "position" {
        return None;
    }
    let (rank, alpha) = (settings.get("rank")?.as_u64()? as usize, settings.get("alpha")?.as_f64()?);
    let bytes = files::bytes(&store.adapter_folder(&record.cell).join("adapter.safetensors")).ok()?;
    checksum::check(&bytes).ok()?;
    let tensors = SafeTensors::deserialize(&bytes).ok()?;
    let read = |name: &str| {
        let tensor = tensors.tensor(name).ok().filter(|tensor| tensor.dtype() == Dtype::F32)?;
        let shape: [usize; 2] = tensor.shape().try_into().ok()?;
        Some((shape, floats(tensor.data())))
    };
    let ((a_shape, a), (b_shape, b)) = (read("offset_A")?, read("offset_B")?);
    (a_shape[1] == rank && b_shape[0] == rank).then(|| products(&a, &b, rank, alpha / (rank as f64).sqrt()))
}

/// The norm of each row of `scaling A B`; A has `rank` columns, B as many rows.
fn products(a: &[f32], b: &[f32], rank: usize, scaling: f64) -> Vec<Norm> {
    let columns = b.len() / rank;
    let norm = |row: &[f32]| {
        let mut offset = vec![0.0; columns];
        for (factor, b) in row.iter().zip(b.chunks(columns)) {
            offset.iter_mut().zip(b).for_each(|(sum, b)| *sum += f64::from(*factor) * f64::from(*b));
        }
        scaling * offset.iter().map(|value| value * value).sum::<f64>().sqrt()
    };
    a.chunks(rank).enumerate().map(|(i, row)| Norm { label: Label::Position(i), norm: norm(row) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_are_those_of_the_rows_of_the_product() {
        // A = [[1, 2], [0, 1]], B = [[3, 0, 0], [0, 2, 0]]: rows (3, 4, 0) and (0, 2, 0).
        let found = products(&[1.0, 2.0, 0.0, 1.0], &[3.0, 0.0, 0.0, 0.0, 2.0, 0.0], 2, 0.5);
        let norm = |position, norm| Norm { label: Label::Position(position), norm };
        assert_eq!(found, [norm(0, 2.5), norm(1, 1.0)]);
    }
}

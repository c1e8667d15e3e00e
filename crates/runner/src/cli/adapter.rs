//! What a folder with a trained adapter holds.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table};
use peft_model::Parameter;
use peft_model::peft;

use super::{listing, output};
use crate::hub::{Hub, Progress};
use crate::model;
use crate::results::{Trained, thousands};

/// Reads an adapter as a run would, and prints its method, its settings and its tensors.
///
/// # Errors
/// When it cannot be read, or does not fit its backbone.
pub(super) fn describe(folder: &Path, model: Option<&str>) -> Result<ExitCode> {
    let name = backbone(folder, model)?;
    let hub = Hub::from_env(Progress::detect())?;
    let trained = Trained::read(folder, model::config(&name, &hub)?.layout())?;
    let Trained { method, built, declared, values, revision, .. } = &trained;
    let revision = revision.as_ref().map(|revision| format!(" ({revision})")).unwrap_or_default();
    output::line(format_args!("{}: {method} over {name}{revision}", folder.display()))?;
    for (setting, value) in &built.settings {
        output::line(format_args!("  {setting} = {value}"))?;
    }
    let count: usize = values.iter().map(Vec::len).sum();
    let in_peft = match peft::find(method)?.hf_peft {
        Some(_) => "Python's peft has the method",
        None => "Python's peft does not have the method",
    };
    output::line(format_args!("{} values in {} tensors; {in_peft}", thousands(count as u64), values.len()))?;
    output::line(tensors(declared, values))?;
    Ok(ExitCode::SUCCESS)
}

/// The model that an adapter belongs to.
///
/// # Errors
/// When its folder does not say, or cannot be read.
pub(super) fn backbone(folder: &Path, given: Option<&str>) -> Result<String> {
    match given {
        Some(model) => Ok(model.into()),
        None => Trained::backbone_of(folder)?.with_context(|| {
            format!("{}: it does not say which model it was trained on; give --model", folder.display())
        }),
    }
}

/// Shape, Euclidean norm and largest magnitude of each tensor: one of zeros does nothing.
fn tensors(declared: &[Parameter], values: &[Vec<f32>]) -> Table {
    let mut table = listing::table(["tensor", "shape", "norm", "largest"]);
    for (parameter, values) in declared.iter().zip(values) {
        let norm = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        let largest = values.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
        let shape = format!("{:?}", parameter.shape);
        table.add_row([parameter.name.clone(), shape, format!("{norm:.4}"), format!("{largest:.4}")]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

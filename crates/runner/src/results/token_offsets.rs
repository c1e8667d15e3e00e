//! How far a method moved the embedding of each token that a test split has: `offsets/<cell>.parquet`.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::store::{Store, StoreError};

/// Where the offsets of a cell are in a results folder.
pub fn offsets_file(cell: &str) -> String {
    format!("offsets/{cell}.parquet")
}

/// A token of the test sources.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenOffset {
    pub id: u32,
    /// As the tokenizer writes it: `▁film`.
    pub piece: String,
    /// How often it occurs.
    pub count: u64,
    /// Euclidean norm of what is added to its embedding.
    pub norm: f32,
}

/// The tokens of some sources and how far each was moved; `norms` has one entry per id.
pub fn token_offsets<'a>(
    sources: impl Iterator<Item = &'a [u32]>,
    norms: &[f32],
    piece: impl Fn(u32) -> String,
) -> Vec<TokenOffset> {
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    for id in sources.flatten() {
        *counts.entry(*id).or_default() += 1;
    }
    let known = counts.into_iter().filter_map(|(id, count)| Some((id, count, *norms.get(id as usize)?)));
    known.map(|(id, count, norm)| TokenOffset { id, piece: piece(id), count, norm }).collect()
}

/// Writes the offsets of a cell.
///
/// # Errors
/// When the folder cannot be written to.
pub fn write_offsets(store: &Store, cell: &str, offsets: &[TokenOffset]) -> Result<(), StoreError> {
    let frame = df!(
        "token" => offsets.iter().map(|offset| offset.id).collect::<Vec<_>>(),
        "piece" => offsets.iter().map(|offset| offset.piece.as_str()).collect::<Vec<_>>(),
        "count" => offsets.iter().map(|offset| offset.count).collect::<Vec<_>>(),
        "norm" => offsets.iter().map(|offset| offset.norm).collect::<Vec<_>>(),
    );
    store.write_table(&offsets_file(cell), frame.expect("columns of one length")).map(drop)
}

/// Reads the offsets of a cell; `None` where it has none, or the file is damaged, which is told.
///
/// # Errors
/// When there is a file that cannot be read.
pub fn read_offsets(store: &Store, cell: &str) -> Result<Option<Vec<TokenOffset>>, StoreError> {
    Ok(store.read_table(&offsets_file(cell))?.and_then(|frame| rows(&frame).ok()))
}

fn rows(frame: &DataFrame) -> PolarsResult<Vec<TokenOffset>> {
    let (ids, pieces) = (frame.column("token")?.u32()?, frame.column("piece")?.str()?);
    let (counts, norms) = (frame.column("count")?.u64()?, frame.column("norm")?.f32()?);
    let row = |i: usize| {
        Some(TokenOffset {
            id: ids.get(i)?,
            piece: pieces.get(i)?.into(),
            count: counts.get(i)?,
            norm: norms.get(i)?,
        })
    };
    Ok((0..frame.height()).filter_map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_occur_are_counted_and_come_back_from_the_file() {
        let sources: [&[u32]; 2] = [&[3, 1, 3], &[1, 3, 9]];
        let offsets = token_offsets(sources.into_iter(), &[0.0, 0.5, 9.0, 2.0], |id| format!("▁{id}"));
        let row = |id, count, norm| TokenOffset { id, piece: format!("▁{id}"), count, norm };
        assert_eq!(offsets, [row(1, 2, 0.5), row(3, 3, 2.0)]);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(read_offsets(&store, "cell").unwrap(), None);
        write_offsets(&store, "cell", &offsets).unwrap();
        assert_eq!(read_offsets(&store, "cell").unwrap(), Some(offsets));
    }
}

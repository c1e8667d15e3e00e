//! Token ids of several runs side by side.

use burn::tensor::{Device, Int, Tensor, TensorData};

/// Token ids padded to one width.
#[derive(Debug, Clone)]
pub struct Rows {
    /// `[runs, batch, length]`.
    pub ids: Tensor<3, Int>,
    /// 1 for real tokens, 0 for padding: `[runs, batch, length]`.
    pub mask: Tensor<3>,
    /// Which task each row is of, for methods that tell tasks apart: `[runs, batch]`.
    pub tasks: Option<Tensor<2, Int>>,
}

impl Rows {
    /// Pads `[runs][batch]` rows to the widest of them.
    ///
    /// # Panics
    /// When the runs have unequal numbers of rows.
    pub fn new(rows: &[Vec<&[u32]>], pad: u32, device: &Device) -> Self {
        let [rows] = upload([rows], pad, device);
        rows
    }
}

/// Pads several lists of `[runs][batch]` rows, each to its widest, and sends all of them to the device at once.
fn upload<const N: usize>(lists: [&[Vec<&[u32]>]; N], pad: u32, device: &Device) -> [Rows; N] {
    let padded = lists.map(|rows| Padded::new(rows, pad));
    let all: Vec<i64> =
        padded.iter().flat_map(|list| list.ids.iter().chain(&list.lengths).copied()).collect();
    let count = all.len();
    let all = Tensor::<1, Int>::from_data(TensorData::new(all, [count]), device);
    let mut start = 0;
    let mut next = |count: usize| {
        let next = all.clone().narrow(0, start, count);
        start += count;
        next
    };
    padded.map(|list| {
        let Padded { shape: [runs, batch, width], ids, lengths } = list;
        let (ids, lengths) = (next(ids.len()), next(lengths.len()));
        let positions = Tensor::<1, Int>::arange(0..width as i64, device).reshape([1, 1, width]);
        let mask = positions
            .expand([runs, batch, width])
            .lower(lengths.reshape([runs, batch, 1]).expand([runs, batch, width]));
        Rows { ids: ids.reshape([runs, batch, width]), mask: mask.float(), tasks: None }
    })
}

/// Rows of one width on the host.
struct Padded {
    /// `[runs, batch, width]`.
    shape: [usize; 3],
    ids: Vec<i64>,
    /// Tokens of each row.
    lengths: Vec<i64>,
}

impl Padded {
    fn new(rows: &[Vec<&[u32]>], pad: u32) -> Self {
        let batch = rows.first().map_or(0, Vec::len);
        let width = rows.iter().flatten().map(|row| row.len()).max().unwrap_or(0);
        let mut ids = Vec::with_capacity(rows.len() * batch * width);
        for run in rows {
            assert_eq!(run.len(), batch, "runs side by side need batches of one size");
            for row in run {
                ids.extend(row.iter().map(|&id| i64::from(id)));
                ids.resize(ids.len() + width - row.len(), i64::from(pad));
            }
        }
        let lengths = rows.iter().flatten().map(|row| row.len() as i64).collect();
        Self { shape: [rows.len(), batch, width], ids, lengths }
    }
}

/// Sources and targets of one step.
#[derive(Debug, Clone)]
pub struct Batch {
    /// What the model reads.
    pub source: Rows,
    /// What it is to answer, EOS tokens included.
    pub target: Rows,
}

impl Batch {
    /// Pads the `(source, target)` ids of each run to the widest row.
    ///
    /// # Panics
    /// When the runs have unequal numbers of rows.
    pub fn new(rows: &[Vec<(&[u32], &[u32])>], pad: u32, device: &Device) -> Self {
        let sources: Vec<Vec<&[u32]>> = rows.iter().map(|r| r.iter().map(|p| p.0).collect()).collect();
        let targets: Vec<Vec<&[u32]>> = rows.iter().map(|r| r.iter().map(|p| p.1).collect()).collect();
        let [source, target] = upload([&sources, &targets], pad, device);
        Self { source, target }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_padded_to_the_widest_and_masked() {
        let rows: [(&[u32], &[u32]); 2] = [(&[5, 6, 7], &[1]), (&[8], &[9, 1])];
        let other: [(&[u32], &[u32]); 2] = [(&[2, 3], &[4, 1]), (&[], &[1])];
        let batch = Batch::new(&[rows.to_vec(), other.to_vec()], 0, &Device::flex());
        let ids = |rows: &Rows| rows.ids.clone().try_into_vec_as::<i64>().unwrap();
        let mask = |rows: &Rows| rows.mask.clone().try_into_vec_as::<f32>().unwrap();
        assert_eq!(batch.source.ids.dims(), [2, 2, 3]);
        assert_eq!(ids(&batch.source), [5, 6, 7, 8, 0, 0, 2, 3, 0, 0, 0, 0]);
        assert_eq!(mask(&batch.source), [1., 1., 1., 1., 0., 0., 1., 1., 0., 0., 0., 0.]);
        assert_eq!(ids(&batch.target), [1, 0, 9, 1, 4, 1, 1, 0]);
        assert_eq!(mask(&batch.target), [1., 0., 1., 1., 1., 1., 1., 0.]);
    }
}

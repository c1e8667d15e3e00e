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
        let batch = rows.first().map_or(0, Vec::len);
        let width = rows.iter().flatten().map(|r| r.len()).max().unwrap_or(0);
        let mut ids = Vec::with_capacity(rows.len() * batch * width);
        let mut mask = Vec::with_capacity(ids.capacity());
        for run in rows {
            assert_eq!(run.len(), batch, "runs side by side need batches of one size");
            for row in run {
                ids.extend(row.iter().map(|&id| i64::from(id)));
                ids.resize(ids.len() + width - row.len(), i64::from(pad));
                mask.resize(mask.len() + row.len(), 1.0f32);
                mask.resize(mask.len() + width - row.len(), 0.0);
            }
        }
        let shape = [rows.len(), batch, width];
        Self {
            ids: Tensor::from_data(TensorData::new(ids, shape), device),
            mask: Tensor::from_data(TensorData::new(mask, shape), device),
            tasks: None,
        }
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
        Self { source: Rows::new(&sources, pad, device), target: Rows::new(&targets, pad, device) }
    }
}

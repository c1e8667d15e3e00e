use std::path::Path;

use burn::tensor::DType;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, TensorView};

use super::Weights;
use super::checkpoint::unreadable;
use crate::Error;
use crate::files;

impl Weights {
    /// Writes `model.safetensors` into a folder, in f32, f16 or bf16.
    ///
    /// # Errors
    /// When the folder cannot be written.
    ///
    /// # Panics
    /// When `dtype` is none of the three.
    pub fn save(&self, folder: &Path, dtype: DType) -> Result<(), Error> {
        let path = folder.join("model.safetensors");
        let mut tensors: Vec<(&str, Vec<usize>, Vec<u8>)> = self
            .iter()
            .map(|(name, tensor)| {
                let values: Vec<f32> = tensor.clone().try_into_vec_as().expect("converted to f32");
                let [rows, columns] = tensor.dims();
                // Norms have one axis on the hub.
                let shape = if rows == 1 { vec![columns] } else { vec![rows, columns] };
                (name, shape, to_bytes(&values, dtype))
            })
            .collect();
        tensors.sort_by_key(|(name, ..)| *name);
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(stored(dtype), shape.clone(), bytes);
            (*name, view.expect("sizes follow from the tensor"))
        });
        let bytes = safetensors::serialize(views, None).map_err(|e| unreadable(&path, e))?;
        std::fs::write(&path, bytes).map_err(|source| Error::Write { path, source })
    }
}

fn stored(dtype: DType) -> Dtype {
    match dtype {
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        other => panic!("checkpoints are written in f32, f16 or bf16, not {other:?}"),
    }
}

fn to_bytes(values: &[f32], dtype: DType) -> Vec<u8> {
    match dtype {
        DType::F16 => values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
        DType::BF16 => values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect(),
        _ => files::float_bytes(values),
    }
}

//! The tensors of a backbone, and the files that hold them.

mod checkpoint;
mod load;
mod save;

use std::collections::HashMap;

use burn::tensor::{DType, Device, Tensor, TensorData};
use rand_distr::{Distribution, Normal};

use crate::layout::{Layout, Start};
use crate::random::keyed_rng;

pub use checkpoint::Checkpoint;
pub(crate) use checkpoint::unreadable;
pub(crate) use load::Reader;

/// The frozen tensors of a backbone by their names in the hub's checkpoints: loaded once, never changed, shared by
/// every run of every method.
#[derive(Debug, Clone)]
pub struct Weights {
    tensors: HashMap<String, Tensor<2>>,
    device: Device,
    dtype: DType,
    notes: Vec<String>,
}

impl Weights {
    /// Makes each tensor of a layout from its values.
    pub(crate) fn try_new<E>(
        layout: &Layout,
        device: &Device,
        dtype: DType,
        mut values: impl FnMut(&str, &[usize; 2]) -> Result<Vec<f32>, E>,
    ) -> Result<Self, E> {
        let mut tensors = HashMap::new();
        for stored in &layout.tensors {
            let data = TensorData::new(values(&stored.name, &stored.shape)?, stored.shape);
            tensors.insert(stored.name.clone(), Tensor::<2>::from_data(data, device).cast(dtype));
        }
        Ok(Self { tensors, device: device.clone(), dtype, notes: Vec::new() })
    }

    /// Draws every tensor as the layout says.
    pub fn random(layout: &Layout, seed: u64, device: &Device, dtype: DType) -> Self {
        let starts: HashMap<&str, Start> =
            layout.tensors.iter().map(|stored| (stored.name.as_str(), stored.start)).collect();
        let values =
            |name: &str, [rows, columns]: &[usize; 2]| -> Result<Vec<f32>, std::convert::Infallible> {
                Ok(draw(starts[name], rows * columns, seed, name))
            };
        match Self::try_new(layout, device, dtype, values) {
            Ok(weights) => weights,
            Err(never) => match never {},
        }
    }

    /// A tensor by its name in the checkpoint.
    ///
    /// # Panics
    /// When the layout has no tensor of that name.
    pub fn get(&self, name: &str) -> &Tensor<2> {
        self.tensors.get(name).unwrap_or_else(|| panic!("the backbone has no tensor `{name}`"))
    }

    /// Puts another tensor of the same shape in the place of one.
    pub(crate) fn replace(&mut self, name: &str, tensor: Tensor<2>) {
        self.tensors.insert(name.into(), tensor);
    }

    /// All names and values, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor<2>)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// What the files hold that the backbone does not use, a line each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Adds to the notes.
    pub(crate) fn note(&mut self, lines: impl IntoIterator<Item = String>) {
        self.notes.extend(lines);
    }

    /// The device that holds the tensors.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The type in which the backbone computes.
    pub fn dtype(&self) -> DType {
        self.dtype
    }
}

fn draw(start: Start, count: usize, seed: u64, name: &str) -> Vec<f32> {
    match start {
        Start::Constant(value) => vec![value; count],
        Start::Normal(deviation) => {
            let normal = Normal::new(0.0, deviation).expect("a finite deviation");
            let mut rng = keyed_rng(seed, name);
            (0..count).map(|_| normal.sample(&mut rng)).collect()
        }
    }
}

//! The state of a training on disk, so that an interrupted one goes on where it was.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use burn::tensor::{Tensor, TensorData};
use peft_model::peft::Parameters;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::AdamW;
use crate::atomic;

/// What can go wrong with a state file.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{}: not a readable training state ({problem}); remove it to start over", path.display())]
    Unreadable { path: PathBuf, problem: String },
}

/// A state file, written at most once per interval.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    interval: Duration,
    last: Instant,
}

/// Everything in a state file: values, moments, named extra tensors, and a description.
pub struct State<M> {
    pub parameters: Parameters,
    pub optimizer: AdamW,
    /// Host values by name, in the shape `[rows, elements]`.
    pub extra: Vec<(String, [usize; 2], Vec<f32>)>,
    pub meta: M,
}

const META: &str = "state";

impl StateFile {
    /// A state file at a path.
    pub fn new(path: PathBuf, interval: Duration) -> Self {
        Self { path, interval, last: Instant::now() }
    }

    /// Whether the interval since the last write is over.
    pub fn is_due(&self) -> bool {
        self.last.elapsed() >= self.interval
    }

    /// Writes the state; the old file stays until the new one is whole.
    ///
    /// # Errors
    /// When the disk is full or the folder not writable.
    pub fn write<M: Serialize>(&mut self, state: &State<M>) -> Result<(), StateError> {
        let bytes = to_bytes(state).map_err(|problem| self.unreadable(problem))?;
        atomic::write(&self.path, &bytes)
            .map_err(|source| StateError::Write { path: self.path.clone(), source })?;
        self.last = Instant::now();
        Ok(())
    }

    /// Reads the state into a training that has just been set up; `None` where there is no file.
    ///
    /// # Errors
    /// When the file is broken or belongs to other parameters.
    pub fn read<M: DeserializeOwned>(
        &self,
        parameters: &Parameters,
        optimizer: &AdamW,
    ) -> Result<Option<State<M>>, StateError> {
        match std::fs::read(&self.path) {
            Err(_) => Ok(None),
            Ok(bytes) => {
                let state = from_bytes(&bytes, parameters, optimizer);
                state.map(Some).map_err(|problem| self.unreadable(problem))
            }
        }
    }

    /// Removes the file: the training is over.
    pub fn remove(&self) {
        atomic::remove(&self.path);
    }

    fn unreadable(&self, problem: String) -> StateError {
        StateError::Unreadable { path: self.path.clone(), problem }
    }
}

fn to_bytes<M: Serialize>(state: &State<M>) -> Result<Vec<u8>, String> {
    let (first, second) = state.optimizer.moments();
    let mut tensors: Vec<(String, [usize; 2], Vec<u8>)> = Vec::new();
    for (i, parameter) in state.parameters.declared().iter().enumerate() {
        for (kind, list) in [("value", state.parameters.values()), ("first", first), ("second", second)] {
            let tensor = &list[i];
            let values: Vec<f32> = tensor.clone().try_into_vec_as().map_err(|e| format!("{e:?}"))?;
            tensors.push((format!("{kind}/{}", parameter.name), tensor.dims(), bytes(&values)));
        }
    }
    let extra =
        state.extra.iter().map(|(name, shape, values)| (format!("extra/{name}"), *shape, bytes(values)));
    tensors.extend(extra);
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).expect("sizes follow from the tensors"))
    });
    let meta = serde_json::to_string(&state.meta).map_err(|e| e.to_string())?;
    let meta = [(META.to_string(), meta)].into();
    safetensors::serialize(views, Some(meta)).map_err(|e| e.to_string())
}

fn from_bytes<M: DeserializeOwned>(
    data: &[u8],
    parameters: &Parameters,
    optimizer: &AdamW,
) -> Result<State<M>, String> {
    let (_, header) = SafeTensors::read_metadata(data).map_err(|e| e.to_string())?;
    let meta = header.metadata().as_ref().and_then(|m| m.get(META)).ok_or("it has no description")?;
    let meta: M = serde_json::from_str(meta).map_err(|e| e.to_string())?;
    let tensors = SafeTensors::deserialize(data).map_err(|e| e.to_string())?;
    let read = |kind: &str| -> Result<Vec<Tensor<2>>, String> {
        let declared = parameters.declared().iter().zip(parameters.values());
        declared
            .map(|(parameter, like)| {
                let view =
                    tensors.tensor(&format!("{kind}/{}", parameter.name)).map_err(|e| e.to_string())?;
                let &[runs, elements] = view.shape() else { return Err("a tensor of another rank".into()) };
                if elements != parameter.len() {
                    return Err(format!(
                        "`{}` has {elements} elements, not {}",
                        parameter.name,
                        parameter.len()
                    ));
                }
                Ok(Tensor::from_data(TensorData::new(floats(view.data()), [runs, elements]), &like.device()))
            })
            .collect()
    };
    let mut extra = Vec::new();
    for (name, view) in tensors.tensors() {
        if let (Some(name), &[rows, columns]) = (name.strip_prefix("extra/"), view.shape()) {
            extra.push((name.to_string(), [rows, columns], floats(view.data())));
        }
    }
    Ok(State {
        parameters: parameters.with_values(read("value")?),
        optimizer: optimizer.clone().with_moments(read("first")?, read("second")?),
        extra,
        meta,
    })
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("chunks of 4"))).collect()
}

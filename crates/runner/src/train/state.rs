//! The state of a training on disk, so that an interrupted one goes on where it was.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use burn::tensor::{Tensor, TensorData};
use peft_model::peft::Parameters;
use safetensors::SafeTensors;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::AdamW;
use crate::atomic;
use crate::tensor_file::{self, Lazy};

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

/// What goes into a state file: values, moments, named extra values, and a description.
pub struct Snapshot<'a, M> {
    pub parameters: &'a Parameters,
    pub optimizer: &'a AdamW,
    pub extra: Vec<(String, &'a [f32])>,
    pub meta: M,
}

/// What comes out of a state file.
pub struct State<M> {
    pub parameters: Parameters,
    pub optimizer: AdamW,
    /// Host values by name.
    pub extra: Vec<(String, Vec<f32>)>,
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
    pub fn write<M: Serialize>(&mut self, snapshot: &Snapshot<M>) -> Result<(), StateError> {
        self.last = Instant::now();
        let meta = serde_json::to_string(&snapshot.meta).map_err(|e| self.unreadable(e.to_string()))?;
        tensor_file::write(&self.path, &tensors(snapshot), &[(META, meta)])
            .map_err(|source| StateError::Write { path: self.path.clone(), source })
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

fn tensors<'a, M>(snapshot: &'a Snapshot<M>) -> Vec<Lazy<'a>> {
    let (first, second) = snapshot.optimizer.moments();
    let kinds = [("value", snapshot.parameters.values()), ("first", first), ("second", second)];
    let trained = kinds.into_iter().flat_map(|(kind, list)| {
        let declared = snapshot.parameters.declared().iter().zip(list);
        declared.map(move |(parameter, tensor)| Lazy {
            name: format!("{kind}/{}", parameter.name),
            shape: tensor.dims().to_vec(),
            values: Box::new(|| Cow::Owned(tensor.clone().try_into_vec_as().expect("values are floats"))),
        })
    });
    let extra = snapshot.extra.iter();
    trained
        .chain(extra.map(|(name, values)| Lazy::of(format!("extra/{name}"), &[values.len()], values)))
        .collect()
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
        if let Some(name) = name.strip_prefix("extra/") {
            extra.push((name.to_string(), floats(view.data())));
        }
    }
    Ok(State {
        parameters: parameters.with_values(read("value")?),
        optimizer: optimizer.clone().with_moments(read("first")?, read("second")?),
        extra,
        meta,
    })
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("chunks of 4"))).collect()
}

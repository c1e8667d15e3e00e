//! The state of a training on disk, so that an interrupted one goes on where it was.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use burn::tensor::{Tensor, TensorData};
use peft_model::Parameters;
use peft_model::files::floats;
use peft_model::optim::AdamW;
use safetensors::{Dtype, SafeTensors};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::files::tensors::{self, TensorEntry};
use crate::files::{self, atomic, checksum};

/// What can go wrong with a state file.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("cannot read the training state {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot set the damaged training state {} aside: {source}", path.display())]
    SetAside { path: PathBuf, source: std::io::Error },
}

/// A state file, written at most once per interval.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    owner: String,
    interval: Duration,
    last: Instant,
}

/// What goes into a state file: values, moments, named extra values, and a description.
pub struct Snapshot<'a, M> {
    pub parameters: &'a Parameters,
    pub optimizer: &'a AdamW,
    pub extra: Vec<(String, Cow<'a, [f32]>)>,
    pub meta: M,
}

/// What comes out of a state file.
pub struct State<M> {
    pub parameters: Parameters,
    pub optimizer: AdamW,
    /// Host values by name.
    pub extra: BTreeMap<String, Vec<f32>>,
    pub meta: M,
}

const META: &str = "state";

/// The key in the description of a state file that says whose state it is.
const OWNER: &str = "owner";

impl StateFile {
    /// A state file at a path. `owner` identifies the training that it is the state of, by all that decides what comes
    /// out: the state of another one is not taken for it.
    pub fn new(path: PathBuf, owner: impl Into<String>, interval: Duration) -> Self {
        Self { path, owner: owner.into(), interval, last: Instant::now() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
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
        let meta = serde_json::to_string(&snapshot.meta).expect("plain data serializes");
        tensors::write(&self.path, &tensors(snapshot), &[(OWNER, self.owner.clone()), (META, meta)])
            .map_err(|source| StateError::Write { path: self.path.clone(), source })
    }

    /// Reads the state into a training that has just been set up; `None` where there is no file. One that is damaged,
    /// edited, of another training, or that `check` finds a problem with, is set aside with a note.
    ///
    /// # Errors
    /// When there is a file that cannot be read, or not be set aside.
    pub fn read<M: DeserializeOwned>(
        &self,
        parameters: &Parameters,
        optimizer: &AdamW,
        check: impl FnOnce(&State<M>) -> Result<(), String>,
    ) -> Result<Option<State<M>>, StateError> {
        let bytes = match files::bytes(&self.path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StateError::Read { path: self.path.clone(), source }),
        };
        let state = from_bytes(&bytes, &self.owner, parameters, optimizer);
        match state.and_then(|state| check(&state).map(|()| state)) {
            Ok(state) => Ok(Some(state)),
            Err(problem) => set_aside(&self.path, &problem).map(|()| None),
        }
    }

    /// Removes the file: the training is over.
    pub fn remove(&self) {
        atomic::remove(&self.path);
    }
}

/// Gives a state that cannot be gone on from another name, with a note that says why.
///
/// # Errors
/// When the folder cannot be written to.
pub fn set_aside(path: &Path, problem: &str) -> Result<(), StateError> {
    let aside =
        atomic::set_aside(path).map_err(|source| StateError::SetAside { path: path.into(), source })?;
    let (path, aside) = (path.display(), aside.display());
    crate::terminal::progress::say!("note: the training state {path} is set aside as {aside}: {problem}");
    Ok(())
}

/// Whose state a file says it is, if it is a state file. That it is whole is checked when it is gone on from.
///
/// # Errors
/// When it cannot be read.
pub fn owner(path: &Path) -> std::io::Result<Option<String>> {
    Ok(tensors::peek(path)?.remove(OWNER))
}

fn tensors<'a, M>(snapshot: &'a Snapshot<M>) -> Vec<TensorEntry<'a>> {
    let (first, second) = snapshot.optimizer.moments();
    let kinds = [("value", snapshot.parameters.values()), ("first", first), ("second", second)];
    let trained = kinds.into_iter().flat_map(|(kind, list)| {
        let declared = snapshot.parameters.declared().iter().zip(list);
        declared.map(move |(parameter, tensor)| TensorEntry {
            name: format!("{kind}/{}", parameter.name),
            shape: tensor.dims().to_vec(),
            values: Box::new(|| Cow::Owned(tensor.clone().try_into_vec_as().expect("values are floats"))),
        })
    });
    let extra = snapshot.extra.iter();
    trained
        .chain(extra.map(|(name, values)| TensorEntry::of(format!("extra/{name}"), &[values.len()], values)))
        .collect()
}

fn from_bytes<M: DeserializeOwned>(
    data: &[u8],
    owner: &str,
    parameters: &Parameters,
    optimizer: &AdamW,
) -> Result<State<M>, String> {
    checksum::check(data).map_err(|e| e.to_string())?;
    let (_, header) = SafeTensors::read_metadata(data).map_err(|e| e.to_string())?;
    let described = header.metadata().clone().unwrap_or_default();
    if described.get(OWNER).map(String::as_str) != Some(owner) {
        return Err("it is the state of another training".into());
    }
    let meta = described.get(META).ok_or("it has no description")?;
    let meta: M = serde_json::from_str(meta).map_err(|e| e.to_string())?;
    let tensors = SafeTensors::deserialize(data).map_err(|e| e.to_string())?;
    let mut rows = None;
    let mut read = |kind: &str| -> Result<Vec<Tensor<2>>, String> {
        let declared = parameters.declared().iter().zip(parameters.values());
        declared
            .map(|(parameter, like)| {
                let name = format!("{kind}/{}", parameter.name);
                let view = tensors.tensor(&name).map_err(|e| e.to_string())?;
                let runs = *rows.get_or_insert(view.shape().first().copied().unwrap_or_default());
                let shape = [runs, parameter.len()];
                if view.shape() != shape || view.dtype() != Dtype::F32 {
                    let (found, dtype) = (view.shape(), view.dtype());
                    return Err(format!("`{name}` is {dtype} {found:?}, not F32 {shape:?}"));
                }
                Ok(Tensor::from_data(TensorData::new(floats(view.data()), shape), &like.device()))
            })
            .collect()
    };
    let (values, first, second) = (read("value")?, read("first")?, read("second")?);
    let mut extra = BTreeMap::new();
    for (name, view) in tensors.tensors() {
        if let Some(name) = name.strip_prefix("extra/") {
            extra.insert(name.to_string(), floats(view.data()));
        }
    }
    Ok(State {
        parameters: parameters.with_values(values),
        optimizer: optimizer.clone().with_moments(first, second),
        extra,
        meta,
    })
}

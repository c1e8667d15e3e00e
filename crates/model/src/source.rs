//! What a method starts from that other trainings made: soft prompts of other tasks, for example.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use serde_json::{Map, Value};

/// The setting of a method that lists its source tasks.
pub const SOURCES: &str = "sources";

/// The task of a source that trains on the method's own task.
pub const OWN_TASK: &str = "";

/// What joins the names of tasks to that of their mixture.
pub const MIXTURE: &str = "+";

/// A training of another method on another task, whose result a method starts from.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceSpec {
    /// Name of the task, or [`OWN_TASK`].
    pub task: String,
    /// Name of the method in the registry.
    pub method: &'static str,
    /// Its settings; those left out take their defaults.
    pub settings: Map<String, Value>,
}

/// The tensors that a source trained, by name.
#[derive(Debug, Clone)]
pub struct SourceTensors {
    tensors: HashMap<String, (Vec<usize>, Vec<f32>)>,
}

impl SourceTensors {
    /// Tensors by name, each a shape and values, row after row.
    pub(crate) fn new(tensors: HashMap<String, (Vec<usize>, Vec<f32>)>) -> Self {
        Self { tensors }
    }

    /// The values of a tensor, row after row.
    ///
    /// # Errors
    /// When there is none of this name, or it has another shape.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<&[f32], String> {
        match self.tensors.get(name) {
            Some((found, values)) if found == shape => Ok(values),
            Some((found, _)) => Err(format!("the source's tensor `{name}` is {found:?}, not {shape:?}")),
            None => Err(format!("the source has no tensor `{name}`")),
        }
    }
}

/// A function from the tensors of all sources, in the method's order, to the values of a parameter, row after row.
#[derive(Clone)]
pub struct FromSources(Arc<Function>);

type Function = dyn Fn(&[SourceTensors]) -> Result<Vec<f32>, String> + Send + Sync;

impl FromSources {
    /// Wraps a function.
    pub fn new(
        function: impl Fn(&[SourceTensors]) -> Result<Vec<f32>, String> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(function))
    }

    /// The values of a parameter.
    pub(crate) fn values(&self, sources: &[SourceTensors]) -> Result<Vec<f32>, String> {
        (self.0)(sources)
    }
}

impl Debug for FromSources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FromSources")
    }
}

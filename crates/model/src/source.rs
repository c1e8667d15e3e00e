//! What a method starts from that other trainings made: soft prompts of other tasks, for example.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::parameters::{Parameter, Parameters};
use crate::{Method, peft};

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
    /// The first run of a method's parameters.
    pub fn of(parameters: &Parameters) -> Self {
        let values = parameters.run_to_host(0);
        let tensor = |(parameter, values): (&Parameter, _)| {
            (parameter.name.clone(), (parameter.shape.clone(), values))
        };
        Self { tensors: parameters.declared().iter().zip(values).map(tensor).collect() }
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

impl SourceSpec {
    /// The method of the source.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn build(&self) -> Result<peft::ConfiguredMethod, crate::Error> {
        peft::build(self.method, &self.settings)
    }
}

/// Most stages of a method before its own training.
const MOST_STAGES: usize = 8;

/// The sources of a method on a task, in its order, with the names of all tasks.
pub fn sources_on(method: &dyn Method, task: &str) -> Vec<SourceSpec> {
    let named = |spec: SourceSpec| match spec.task.as_str() {
        OWN_TASK => SourceSpec { task: task.into(), ..spec },
        _ => spec,
    };
    method.sources().into_iter().map(named).collect()
}

/// Sources, and those that they have themselves, each once and after its own.
///
/// # Errors
/// When a setting of a source is wrong, or there is no end of stages.
pub fn with_their_own(sources: &[SourceSpec]) -> Result<Vec<SourceSpec>, String> {
    let mut all = Vec::new();
    add_sources(sources, MOST_STAGES, &mut all)?;
    Ok(all)
}

fn add_sources(sources: &[SourceSpec], stages: usize, all: &mut Vec<SourceSpec>) -> Result<(), String> {
    for spec in sources {
        if stages == 0 {
            return Err(format!(
                "`{}` has sources that have sources, more than {MOST_STAGES} deep",
                spec.method
            ));
        }
        if !all.contains(spec) {
            let built = spec.build().map_err(|problem| problem.to_string())?;
            add_sources(&sources_on(built.method.as_ref(), &spec.task), stages - 1, all)?;
            all.push(spec.clone());
        }
    }
    Ok(())
}

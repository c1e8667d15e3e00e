//! The trainings that come before a method's own.

use crate::source::OWN_TASK;
use crate::{Method, SourceSpec, peft};

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
            let built = peft::build(spec.method, &spec.settings).map_err(|problem| problem.to_string())?;
            add_sources(&sources_on(built.method.as_ref(), &spec.task), stages - 1, all)?;
            all.push(spec.clone());
        }
    }
    Ok(())
}

//! What methods share that start from soft prompts of other tasks: which prompts, and how they are tuned.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::prompt::NAME;
use super::prompt_tuning::PromptTuning;
use super::{Prompt, PromptInit, learning_rate, positive};
use crate::Group;
use crate::source::{MIXTURE, SourceSpec, SourceTensors};

/// The source tasks of ATTEMPT and MPT (Asai et al. 2022, section 4.1; Wang et al. 2023, section 4.1).
pub(super) const SIX_TASKS: [&str; 6] = ["mnli", "qnli", "qqp", "sst2", "squad", "record"];

/// Settings of the soft prompts that prompt tuning makes of the source tasks; their length is the method's own.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourcePrompt {
    /// Where they start.
    pub init: PromptInit,
    /// The text of [`PromptInit::Text`].
    pub text: String,
    /// Its learning rate.
    pub learning_rate: f64,
}

/// Settings of a prompt that starts from others.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetPrompt {
    /// Number of positions, which source prompts have too.
    pub length: usize,
    pub learning_rate: f64,
}

impl Default for SourcePrompt {
    fn default() -> Self {
        let Prompt { init, text, learning_rate, .. } = Prompt::new(0, PromptInit::Vocabulary);
        Self { init, text, learning_rate }
    }
}

impl SourcePrompt {
    pub(super) fn validate(&self) -> Result<(), String> {
        learning_rate("source_prompt.learning_rate", self.learning_rate)
    }

    /// Prompt tuning of prompts of so many positions, one on each task.
    pub(super) fn on(&self, tasks: &[String], length: usize) -> Vec<SourceSpec> {
        let Self { init, text, learning_rate } = self.clone();
        let prompt = Prompt { length, init, text, learning_rate };
        let settings = serde_json::to_value(PromptTuning { prompt, ..PromptTuning::default() });
        let Ok(Value::Object(settings)) = settings else { unreachable!("settings are plain values") };
        let spec = |task: &String| SourceSpec {
            task: task.clone(),
            method: super::prompt_tuning::REGISTERED.name,
            settings: settings.clone(),
        };
        tasks.iter().map(spec).collect()
    }
}

impl TargetPrompt {
    pub(super) fn validate(&self) -> Result<(), String> {
        positive("prompt.length", self.length)?;
        learning_rate("prompt.learning_rate", self.learning_rate)
    }

    /// The learning rate of its parameter.
    pub(super) fn rate(&self) -> (Group, f64) {
        (Group::PROMPT, self.learning_rate)
    }
}

/// Refuses a list of source tasks that is empty or has one twice.
pub(super) fn validate_tasks(tasks: &[String]) -> Result<(), String> {
    if tasks.is_empty() {
        return Err("`sources` is empty; it must name at least one task".into());
    }
    match tasks.iter().enumerate().find(|(i, task)| tasks[..*i].contains(task)) {
        Some((_, twice)) => Err(format!("`sources` has `{twice}` twice")),
        None => Ok(()),
    }
}

/// The name of the mixture of tasks.
pub(super) fn mixture(tasks: &[String]) -> String {
    tasks.join(MIXTURE)
}

/// The source prompts, `[length, d_model]` each.
pub(super) fn prompts(sources: &[SourceTensors], length: usize, width: usize) -> Result<Vec<&[f32]>, String> {
    sources.iter().map(|source| source.get(NAME, &[length, width])).collect()
}

//! The source stage of MPT (Wang et al. 2023, section 3.2 and 3.3): one prompt for a mixture of tasks.
//!
//! The prompt of task k is `P o (u_k v_k^T)`: `P` `[length, d_model]` is shared, `u_k` `[length]` and `v_k` `[d_model]` are
//! the task's own (equation 1). All of them train on the mixture of the tasks. Beside the loss of the targets stands, with
//! a weight of 0.9, the distance from a teacher, the backbone with a prompt that was tuned on the row's task
//! alone: the divergence of its answers and the squared difference of hidden states.
//! Parameters: `length x d_model + tasks x (length + d_model)`; the teachers' prompts are kept and do not train.
//!
//! What the paper leaves open: hidden states are those that the encoder gives, of all positions; the temperature is 1;
//! the teacher has no dropout; the shared prompt starts as the teachers' did, and factors at one. Batches are of the rows
//! of all tasks in proportion to their number, with `training.batching = "tasks"` of a few tasks each, drawn anew for
//! every batch, as published.
//!
//! It is there for MPT, which starts from it. A prompt of a task that is not in the mixture is none of its results.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rank_one::{FEATURE_FACTOR, POSITION_FACTOR, prepend_prompts_of_tasks, trained_prompts};
use super::source_prompts::{SIX_TASKS, SourcePrompt, mixture, prompts, validate_tasks};
use super::{Prompt, PromptInit, Registered, Validate, factor, learning_rate, positive};
use crate::layout::{Layout, Stack};
use crate::{Context, FromSources, Group, Init, Input, Method, Parameter, SourceSpec, Teacher};

pub(super) const REGISTERED: Registered =
    Registered::new::<MptSource>("mpt-source", "MPT (source stage)", "Wang et al. 2023");

/// A prompt shared by the tasks of a mixture, times rank-one factors of each, before the encoder's input embeddings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MptSource {
    /// The shared prompt; the teachers' prompts have its length.
    pub prompt: Prompt,
    /// The tasks of the mixture, in its order.
    pub sources: Vec<String>,
    /// How the teachers' prompts are tuned.
    pub source_prompt: SourcePrompt,
    /// What the distance from the teacher counts for, beside 1 for the targets.
    pub distillation: f64,
    /// What logits are divided by before they are compared.
    pub temperature: f64,
    /// Learning rate of the factors.
    pub learning_rate: f64,
}

impl MptSource {
    /// The training on the mixture of its tasks.
    pub(super) fn on_mixture(&self) -> SourceSpec {
        let settings = serde_json::to_value(self);
        let Ok(Value::Object(settings)) = settings else { unreachable!("settings are plain values") };
        SourceSpec { task: mixture(&self.sources), method: REGISTERED.name, settings }
    }
}

impl Default for MptSource {
    fn default() -> Self {
        Self {
            prompt: Prompt::new(100, PromptInit::Vocabulary),
            sources: SIX_TASKS.map(String::from).into(),
            source_prompt: SourcePrompt::default(),
            distillation: 0.9,
            temperature: 1.0,
            learning_rate: 0.3,
        }
    }
}

impl Validate for MptSource {
    fn validate(&self) -> Result<(), String> {
        positive("prompt.length", self.prompt.length)?;
        self.prompt.validate()?;
        validate_tasks(&self.sources)?;
        self.source_prompt.validate()?;
        validate_distillation(self.distillation, self.temperature)?;
        learning_rate("learning_rate", self.learning_rate)
    }
}

/// Refuses a weight that is no number of at least 0, and a temperature that is none above.
pub(super) fn validate_distillation(weight: f64, temperature: f64) -> Result<(), String> {
    if !(weight.is_finite() && weight >= 0.0) {
        return Err(format!("`distillation` is {weight}; it must be a number of at least 0"));
    }
    factor("temperature", temperature)
}

const TEACHERS: &str = "teacher_prompts";

impl Method for MptSource {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let (d, length, tasks) = (layout.d_model, self.prompt.length, self.sources.len());
        let teachers = FromSources::new(move |sources| Ok(prompts(sources, length, d)?.concat()));
        let mut parameters: Vec<Parameter> = self.prompt.declare(layout).into_iter().collect();
        parameters.extend([
            Parameter::new(POSITION_FACTOR, &[tasks, length], Init::Ones),
            Parameter::new(FEATURE_FACTOR, &[tasks, d], Init::Ones),
            Parameter::new(TEACHERS, &[tasks, length, d], Init::Sources(teachers)).frozen(),
        ]);
        Ok(parameters)
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![self.prompt.rate(), (Group::NETWORK, self.learning_rate)]
    }

    fn sources(&self) -> Vec<SourceSpec> {
        self.source_prompt.on(&self.sources, self.prompt.length)
    }

    fn tasks(&self) -> Option<usize> {
        Some(self.sources.len())
    }

    fn teacher(&self) -> Option<Teacher> {
        Some(Teacher { method: &TeacherPrompts, weight: self.distillation, temperature: self.temperature })
    }

    fn prompt_length(&self) -> usize {
        self.prompt.length
    }

    fn input(&self, context: &Context, stack: Stack, input: Input) -> Input {
        match stack {
            Stack::Encoder => prepend_prompts_of_tasks(context, trained_prompts(context), input),
            Stack::Decoder => input,
        }
    }

    fn merges(&self) -> Result<(), String> {
        Err("its prompts stand in the input, and no weight puts positions there".into())
    }
}

/// The backbone with the prompt that was tuned on the task of each row.
#[derive(Debug)]
struct TeacherPrompts;

impl Method for TeacherPrompts {
    fn parameters(&self, _: &Layout) -> Result<Vec<Parameter>, String> {
        Ok(Vec::new())
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        Vec::new()
    }

    fn input(&self, context: &Context, stack: Stack, input: Input) -> Input {
        match stack {
            Stack::Encoder => prepend_prompts_of_tasks(context, context.parameters.get_f32(TEACHERS), input),
            Stack::Decoder => input,
        }
    }
}

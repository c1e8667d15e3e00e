//! SPoT (Vu et al. 2022): prompt tuning that starts from the soft prompt of a source task.
//!
//! `prompt = P_source` at the first step (section 2.2.1, "generic SPoT"); all else is prompt tuning, so that the
//! parameters are `length x d_model`: 76,800 of T5-base. MNLI is the source that ATTEMPT and MPT compare with. The paper
//! also tunes source prompts on mixtures of tasks, here `sources = ["mnli+qqp"]`, and retrieves a source by the similarity
//! of prompts, which is not here. A source prompt that was tuned too briefly is no better than words of the vocabulary.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::prompt::{NAME, prepend, soft_prompt};
use super::source_prompts::{SourcePrompt, TargetPrompt, mixture, prompts, validate_tasks};
use super::{Registered, Validate};
use crate::layout::{Layout, Stack};
use crate::{Context, FromSources, Group, Init, Input, Method, Parameter, SourceSpec};

pub(super) const REGISTERED: Registered = Registered::new::<Spot>("spot", "SPoT", "Vu et al. 2022");

/// A soft prompt before the encoder's input embeddings that was tuned on another task before.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spot {
    /// The soft prompt that trains.
    pub prompt: TargetPrompt,
    /// The source task, or the mixture of several.
    pub sources: Vec<String>,
    /// How source prompts are tuned.
    pub source_prompt: SourcePrompt,
}

impl Default for Spot {
    fn default() -> Self {
        Self {
            prompt: TargetPrompt { length: 100, learning_rate: 0.3 },
            sources: vec!["mnli".into()],
            source_prompt: SourcePrompt::default(),
        }
    }
}

impl Validate for Spot {
    fn validate(&self) -> Result<(), String> {
        self.prompt.validate()?;
        validate_tasks(&self.sources)?;
        if self.sources.len() > 1 {
            return Err(format!(
                "`sources` has {} tasks; it must have one, which may be their mixture, `{}`",
                self.sources.len(),
                mixture(&self.sources)
            ));
        }
        self.source_prompt.validate()
    }
}

impl Method for Spot {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let (length, width) = (self.prompt.length, layout.d_model);
        let copied = FromSources::new(move |sources| Ok(prompts(sources, length, width)?.concat()));
        let prompt = Parameter::new(NAME, &[length, width], Init::Sources(copied));
        Ok(vec![prompt.in_group(Group::PROMPT)])
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![self.prompt.rate()]
    }

    fn sources(&self) -> Vec<SourceSpec> {
        self.source_prompt.on(&self.sources, self.prompt.length)
    }

    fn prompt_length(&self) -> usize {
        self.prompt.length
    }

    fn input(&self, context: &Context, stack: Stack, input: Input) -> Input {
        match stack {
            Stack::Encoder => prepend(context, input),
            Stack::Decoder => input,
        }
    }

    fn merges(&self) -> Result<(), String> {
        Err("its prompt stands in the input, and no weight puts positions there".into())
    }

    fn as_prompt(&self, context: &Context) -> Option<Tensor<3>> {
        Some(soft_prompt(context))
    }
}

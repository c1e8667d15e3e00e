//! SPoT (Vu et al. 2022): prompt tuning that starts from the soft prompt of a source task.
//!
//! `prompt = P_source` at the first step (section 2.2.1, "generic SPoT"); all else is prompt tuning, so that the
//! parameters are `length x d_model`: 76,800 of T5-base. MNLI is the source that ATTEMPT and MPT compare with. The paper
//! also tunes source prompts on mixtures of tasks, here `sources = ["mnli+qqp"]`.
//!
//! With `retrieve = k`, the prompt starts from the k of the sources that are most similar to a prompt tuned on the target
//! task itself, the paper's "targeted" transfer: similarity is the cosine of the prompts' mean tokens, and several are
//! averaged with their similarities for weights, none below zero. The paper compares prompts of early checkpoints; here
//! they are compared as they are at their best, and the target's is tuned as the sources' are. A source that is the target
//! task itself is left out.
//!
//! What goes wrong: a source prompt that was tuned too briefly is no better than words of the vocabulary.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::prompt::{NAME, prepend, soft_prompt};
use super::source_prompts::{SourcePrompt, TargetPrompt, mixture, prompts, validate_tasks};
use super::{Registered, Validate};
use crate::layout::{Layout, Stack};
use crate::source::OWN_TASK;
use crate::{Context, FromSources, Group, Init, Input, Method, Parameter, SourceSpec};

pub(super) const REGISTERED: Registered = Registered::new::<Spot>("spot", "SPoT", "Vu et al. 2022");

/// A soft prompt before the encoder's input embeddings that was tuned on another task before.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spot {
    /// The soft prompt that trains.
    pub prompt: TargetPrompt,
    /// The source task, or the mixture of several; with `retrieve`, the tasks among which are the most similar ones.
    pub sources: Vec<String>,
    /// Number of sources that are retrieved by their similarity to the target task; 0 for the only one.
    pub retrieve: usize,
    /// How source prompts are tuned.
    pub source_prompt: SourcePrompt,
}

impl Default for Spot {
    fn default() -> Self {
        Self {
            prompt: TargetPrompt { length: 100, learning_rate: 0.3 },
            sources: vec!["mnli".into()],
            retrieve: 0,
            source_prompt: SourcePrompt::default(),
        }
    }
}

impl Validate for Spot {
    fn validate(&self) -> Result<(), String> {
        self.prompt.validate()?;
        validate_tasks(&self.sources)?;
        let count = self.sources.len();
        if self.retrieve == 0 && count > 1 {
            return Err(format!(
                "`sources` has {count} tasks; it must have one, which may be their mixture, `{}`, or `retrieve` must say how \
                 many of them to start from",
                mixture(&self.sources)
            ));
        }
        if self.retrieve > count {
            return Err(format!("`retrieve` is {}; `sources` has {count} tasks", self.retrieve));
        }
        self.source_prompt.validate()
    }
}

impl Method for Spot {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let (length, width, retrieve) = (self.prompt.length, layout.d_model, self.retrieve);
        let start = FromSources::new(move |sources| {
            let prompts = prompts(sources, length, width)?;
            match (retrieve, &prompts[..]) {
                (0, _) => Ok(prompts.concat()),
                (_, [sources @ .., own]) => retrieved(sources, own, retrieve, width),
                (_, []) => Err("it starts from no prompt".into()),
            }
        });
        let prompt = Parameter::new(NAME, &[length, width], Init::Sources(start));
        Ok(vec![prompt.in_group(Group::PROMPT)])
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![self.prompt.rate()]
    }

    fn sources(&self) -> Vec<SourceSpec> {
        let own = (self.retrieve > 0).then(|| OWN_TASK.to_string());
        let tasks: Vec<String> = self.sources.iter().cloned().chain(own).collect();
        self.source_prompt.on(&tasks, self.prompt.length)
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

/// The mean of the prompts that are most similar to the target's own, weighted by their similarity.
fn retrieved(sources: &[&[f32]], own: &[f32], count: usize, width: usize) -> Result<Vec<f32>, String> {
    let target = mean_token(own, width);
    let others = sources.iter().filter(|source| **source != own);
    let mut ranked: Vec<(f64, &[f32])> =
        others.map(|source| (cosine(&mean_token(source, width), &target), *source)).collect();
    ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    ranked.truncate(count);
    if ranked.is_empty() {
        return Err("`sources` has no task but the target's own".into());
    }
    let total: f64 = ranked.iter().map(|(similarity, _)| similarity.max(0.0)).sum();
    let weight = |similarity: f64| match total > 0.0 {
        true => similarity.max(0.0) / total,
        false => 1.0 / ranked.len() as f64,
    };
    let at =
        |i: usize| ranked.iter().map(|(s, prompt)| weight(*s) * f64::from(prompt[i])).sum::<f64>() as f32;
    Ok((0..own.len()).map(at).collect())
}

/// The mean of a prompt's tokens.
fn mean_token(prompt: &[f32], width: usize) -> Vec<f64> {
    let tokens = (prompt.len() / width) as f64;
    let mean = |at: usize| prompt.iter().skip(at).step_by(width).map(|&x| f64::from(x)).sum::<f64>() / tokens;
    (0..width).map(mean).collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let lengths = (product(a, a) * product(b, b)).sqrt();
    if lengths > 0.0 { product(a, b) / lengths } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of two tokens, whose mean is `[x, y]`.
    fn prompt(x: f32, y: f32) -> Vec<f32> {
        vec![x + 1.0, y - 2.0, x - 1.0, y + 2.0]
    }

    fn from(sources: &[&[f32]], own: &[f32], count: usize) -> Result<Vec<f32>, String> {
        retrieved(sources, own, count, 2)
    }

    #[test]
    fn the_most_similar_prompts_are_averaged_by_their_similarity() {
        let own = prompt(2.0, 0.0);
        let (near, far, opposite) = (prompt(3.0, 4.0), prompt(0.0, 5.0), prompt(-1.0, 0.0));
        let sources = [&far[..], &opposite, &near];
        assert_eq!(from(&sources, &own, 1).unwrap(), near);
        // Cosines of 0.6, 0 and -1.
        assert_eq!(from(&sources, &own, 3).unwrap(), near);
        let other = prompt(4.0, 3.0);
        let mean: Vec<f32> = near.iter().zip(&other).map(|(a, b)| (0.6 * a + 0.8 * b) / 1.4).collect();
        for (found, mean) in from(&[&near, &other], &own, 2).unwrap().iter().zip(&mean) {
            assert!((found - mean).abs() < 1e-6);
        }
        assert_eq!(from(&[&far], &own, 1).unwrap(), far, "alone, whatever its similarity");
    }

    #[test]
    fn the_targets_own_prompt_is_no_source() {
        let (own, far) = (prompt(2.0, 0.0), prompt(0.0, 5.0));
        assert_eq!(from(&[&own, &far], &own, 1).unwrap(), far);
        assert!(from(&[&own], &own, 1).unwrap_err().contains("no task but the target's own"));
    }
}

//! ATTEMPT (Asai et al. 2022): a mixture of frozen source prompts and a trained one, weighed anew for each source text.
//!
//! With X the input embeddings, P_1 .. P_t the source prompts and P_(t+1) the target prompt, and max-pooling over
//! positions written as ^ (section 3.2):
//!
//! ```text
//! h = LayerNorm(W_up SiLU(W_down X^))
//! a = softmax over j of (P_j^ . h / T)
//! prompt = P_(t+1) + sum over j of a_j P_j
//! ```
//!
//! Parameters: `length x d_model + 2 x bottleneck x d_model + 2 x d_model`, 231,936 of T5-base (the paper's 232k); the
//! source prompts, `t x length x d_model` more, are frozen. It acts on the encoder's input alone.
//!
//! Several target tasks can train at once, on a mixture of so many with `tasks` (section 3.3, the multi-task rows of
//! tables): each has a target prompt of its own, and all share the attention, in which a text sees the source prompts and
//! the prompt of its own task. That is `tasks x length x d_model` for the prompts: 96,192 for each of eight tasks, the
//! paper's 96k.
//!
//! The paper and the authors' code agree on the prompt's length, the bottleneck of 100, T = e x d_model (2,087 in the
//! code's configuration), and one learning rate of 0.3 for all. The code pools over padding too, since every source is
//! padded to the limit; here pooling leaves padding out, so that an answer does not depend on the texts beside it.
//! The target prompt starts from words of the vocabulary, and the attention with a deviation of 0.01, as in the code, whose
//! configurations of several tasks load an attention that was trained on the source tasks before; not so here.
//!
//! What goes wrong: the prompt at the start is the target's plus a mean of all, so its scale is about twice that of prompt
//! tuning; with a temperature near 1 the softmax saturates on one source and the attention stops learning.

use burn::tensor::{Bool, Int, Tensor, activation};
use serde::{Deserialize, Serialize};

use super::prompt::{NAME, put_before};
use super::source_prompts::{SIX_TASKS, SourcePrompt, prompts, validate_tasks};
use super::tasks::prompts_of_rows;
use super::{Prompt, PromptInit, Registered, Validate, factor, learning_rate, positive};
use crate::layout::{Layout, Stack};
use crate::ops::{linear_per_run, per_run};
use crate::{Context, FromSources, Group, Init, Input, Method, Parameter, SourceSpec};

pub(super) const REGISTERED: Registered =
    Registered::new::<Attempt>("attempt", "ATTEMPT", "Asai et al. 2022");

/// A mixture of soft prompts before the encoder's input embeddings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Attempt {
    /// The target prompt; source prompts have its length.
    pub prompt: Prompt,
    /// Target tasks that train at once, each with a prompt of its own.
    pub tasks: usize,
    /// The source tasks.
    pub sources: Vec<String>,
    /// How source prompts are tuned.
    pub source_prompt: SourcePrompt,
    /// Width between the attention's two projections.
    pub bottleneck: usize,
    /// Temperature of the softmax in units of `d_model`.
    pub temperature: f64,
    /// Learning rate of the attention.
    pub learning_rate: f64,
}

impl Default for Attempt {
    fn default() -> Self {
        Self {
            prompt: Prompt::new(100, PromptInit::Vocabulary),
            tasks: 1,
            sources: SIX_TASKS.map(String::from).into(),
            source_prompt: SourcePrompt::default(),
            bottleneck: 100,
            temperature: std::f64::consts::E,
            learning_rate: 0.3,
        }
    }
}

impl Validate for Attempt {
    fn validate(&self) -> Result<(), String> {
        positive("prompt.length", self.prompt.length)?;
        self.prompt.validate()?;
        positive("tasks", self.tasks)?;
        validate_tasks(&self.sources)?;
        self.source_prompt.validate()?;
        positive("bottleneck", self.bottleneck)?;
        factor("temperature", self.temperature)?;
        learning_rate("learning_rate", self.learning_rate)
    }
}

const SOURCES: &str = "source_prompts";
const DOWN: &str = "attention.down.weight";
const UP: &str = "attention.up.weight";
const NORM_WEIGHT: &str = "attention.norm.weight";
const NORM_BIAS: &str = "attention.norm.bias";

/// Deviation of the attention's weights.
const INITIAL_DEVIATION: f64 = 0.01;

/// Added to the variance in the attention's norm, torch's default.
const NORM_EPSILON: f64 = 1e-5;

impl Method for Attempt {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let (d, r, length) = (layout.d_model, self.bottleneck, self.prompt.length);
        let all = FromSources::new(move |sources| Ok(prompts(sources, length, d)?.concat()));
        let mut parameters: Vec<Parameter> =
            self.prompt.declare_for(self.tasks, layout).into_iter().collect();
        parameters.extend([
            Parameter::new(SOURCES, &[self.sources.len(), length, d], Init::Sources(all)).frozen(),
            Parameter::new(DOWN, &[r, d], Init::Normal(INITIAL_DEVIATION)),
            Parameter::new(UP, &[d, r], Init::Normal(INITIAL_DEVIATION)),
            Parameter::new(NORM_WEIGHT, &[d], Init::Ones),
            Parameter::new(NORM_BIAS, &[d], Init::Zeros),
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
        (self.tasks > 1).then_some(self.tasks)
    }

    fn prompt_length(&self) -> usize {
        self.prompt.length
    }

    fn input(&self, context: &Context, stack: Stack, input: Input) -> Input {
        match stack {
            Stack::Encoder => put_before(self.mixture(context, &input), input),
            Stack::Decoder => input,
        }
    }

    fn merges(&self) -> Result<(), String> {
        Err("its prompt stands in the input, and no weight puts positions there".into())
    }
}

impl Attempt {
    /// The prompt of each sentence, `[runs, batch, length, d_model]`.
    fn mixture(&self, context: &Context, input: &Input) -> Tensor<4> {
        let targets: Tensor<4> = match self.tasks {
            1 => context.parameters.get::<3>(NAME).unsqueeze_dim(1),
            _ => context.parameters.get(NAME),
        };
        let sources: Tensor<4> = context.parameters.get(SOURCES);
        let all = Tensor::cat(vec![sources, targets.clone()], 1);
        let [runs, count, length, d] = all.dims();
        let pooled = all.clone().max_dim(2).reshape([runs, count, d]);
        let scores = linear_per_run(query(context, input), pooled) / (self.temperature * d as f64);
        let scores = match self.tasks {
            1 => scores,
            _ => {
                let others = self.others(context, &scores);
                scores.mask_fill(others, f32::MIN)
            }
        };
        let weights = activation::softmax(scores, 3);
        // Each number of the prompts is a weighted sum over them: one product for all.
        let table = all.reshape([runs, count, length * d]).swap_dims(1, 2);
        let batch = weights.dims()[1];
        let mixed = linear_per_run(weights, table).reshape([runs, batch, length, d]);
        mixed + prompts_of_rows(context, targets, batch)
    }

    /// Which of the prompts are those of other tasks than the sentence's, `[runs, batch, 1, prompts]` as the scores.
    fn others(&self, context: &Context, scores: &Tensor<4>) -> Tensor<4, Bool> {
        let [runs, batch, _, count] = scores.dims();
        let device = scores.device();
        let own = match context.tasks {
            Some(tasks) => tasks.clone().reshape([runs, batch, 1, 1]),
            None => Tensor::zeros([runs, batch, 1, 1], &device),
        };
        let sources = count - self.tasks;
        let places = Tensor::<1, Int>::arange(0..count as i64, &device) - sources as i64;
        let places = places.reshape([1, 1, 1, count]).expand([runs, batch, 1, count]);
        let is_source = places.clone().lower_elem(0);
        places.equal(own.expand([runs, batch, 1, count])).bool_or(is_source).bool_not()
    }
}

/// What a sentence looks for in prompts, `[runs, batch, 1, d_model]`.
fn query(context: &Context, input: &Input) -> Tensor<4> {
    let padding = input.mask.clone().equal_elem(0).unsqueeze_dim::<4>(3).expand(input.embeddings.dims());
    let pooled = input.embeddings.clone().mask_fill(padding, f32::MIN).max_dim(2);
    let hidden = activation::silu(linear_per_run(pooled, context.parameters.get(DOWN)));
    let projected = linear_per_run(hidden, context.parameters.get(UP));
    let centered = projected.clone() - projected.mean_dim(3);
    let variance = centered.clone().powi_scalar(2).mean_dim(3);
    let normed = centered / (variance + NORM_EPSILON).sqrt();
    let scale = per_run(context.parameters.get(NORM_WEIGHT), &normed);
    let bias = per_run(context.parameters.get(NORM_BIAS), &normed);
    normed * scale + bias
}

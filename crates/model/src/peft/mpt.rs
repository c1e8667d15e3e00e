//! MPT (Wang et al. 2023): a prompt shared by tasks, times rank-one factors of the task's own.
//!
//! `prompt = P o (u v^T)` with `P` `[length, d_model]`, `u` `[length]`, `v` `[d_model]`, all of them trained on the target
//! task (equation 1). Parameters: `length x d_model + length + d_model`, 77,668 of T5-base (the paper's 77.6k). It acts on
//! the encoder's input alone. Learning rates are the paper's two: 0.3 for the shared prompt, 0.4 for the factors.
//!
//! Several target tasks can train at once, on a mixture of so many with `tasks` (the multi-task rows of tables): they
//! share P and have factors of their own, `length x d_model + tasks x (length + d_model)`: 10,468 for each of eight tasks,
//! the paper's 10.5k.
//!
//! Both start from a source stage. As published, `source_stage = "multitask-distillation"`, it is one training on the
//! mixture of the source tasks, which mpt_source.rs describes: the target starts from its P, and from the mean of its
//! tasks' factors. `"rank-one-fit"` spares that training: P and the factors are fitted to source prompts that were tuned
//! one by one. Scores under it are not those of the published method.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::mpt_source::{MptSource, validate_distillation};
use super::prompt::{NAME, prepend_vectors};
use super::rank_one::{
    FEATURE_FACTOR, POSITION_FACTOR, prepend_prompts_of_tasks, prompts_of_tasks, trained_prompts,
};
use super::source_prompts::{SIX_TASKS, SourcePrompt, TargetPrompt, prompts, validate_tasks};
use super::{Prompt, Registered, Validate, learning_rate, positive};
use crate::layout::{Layout, Stack};
use crate::{Context, FromSources, Group, Init, Input, Method, Parameter, SourceSpec, SourceTensors};

pub(super) const REGISTERED: Registered = Registered::new::<Mpt>("mpt", "MPT", "Wang et al. 2023");

/// A shared prompt times rank-one factors, before the encoder's input embeddings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mpt {
    /// The shared prompt; source prompts have its length.
    pub prompt: TargetPrompt,
    /// Target tasks that train at once, each with factors of its own.
    pub tasks: usize,
    /// The source tasks.
    pub sources: Vec<String>,
    /// How source prompts are tuned.
    pub source_prompt: SourcePrompt,
    /// How the shared prompt and the factors come from the source tasks.
    pub source_stage: SourceStage,
    /// What the distance from the teacher counts for in the training on the mixture, beside 1 for the targets.
    pub distillation: f64,
    /// What logits are divided by before they are compared with the teacher's.
    pub temperature: f64,
    /// Learning rate of the training on the mixture.
    pub source_learning_rate: f64,
    /// Learning rate of the factors.
    pub learning_rate: f64,
}

/// How the shared prompt and the factors come from the source tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SourceStage {
    /// Trained on all source tasks at once, as published.
    MultitaskDistillation,
    /// Fitted to prompts that were tuned on one task each; not as published.
    RankOneFit,
}

impl Default for Mpt {
    fn default() -> Self {
        Self {
            prompt: TargetPrompt { length: 100, learning_rate: 0.3 },
            tasks: 1,
            sources: SIX_TASKS.map(String::from).into(),
            source_prompt: SourcePrompt::default(),
            source_stage: SourceStage::MultitaskDistillation,
            distillation: 0.9,
            temperature: 1.0,
            source_learning_rate: 0.3,
            learning_rate: 0.4,
        }
    }
}

impl Validate for Mpt {
    fn validate(&self) -> Result<(), String> {
        self.prompt.validate()?;
        positive("tasks", self.tasks)?;
        validate_tasks(&self.sources)?;
        self.source_prompt.validate()?;
        validate_distillation(self.distillation, self.temperature)?;
        learning_rate("source_learning_rate", self.source_learning_rate)?;
        learning_rate("learning_rate", self.learning_rate)
    }
}

impl Method for Mpt {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let (length, d, source_tasks) = (self.prompt.length, layout.d_model, self.sources.len());
        let stage = self.source_stage;
        let start = |times: usize, part: fn(Start) -> Vec<f64>| {
            Init::Sources(FromSources::new(move |sources| {
                let start = match (stage, sources) {
                    (SourceStage::MultitaskDistillation, [mixture]) => {
                        Start::distilled(mixture, source_tasks, length, d)?
                    }
                    (SourceStage::MultitaskDistillation, _) => {
                        return Err("it starts from one mixture".into());
                    }
                    (SourceStage::RankOneFit, _) => Start::fit(&prompts(sources, length, d)?, length, d),
                };
                let values: Vec<f32> = part(start).into_iter().map(|x| x as f32).collect();
                Ok(values.repeat(times))
            }))
        };
        let factor = |name: &str, width: usize, part| {
            let start = start(self.tasks, part);
            match self.tasks {
                1 => Parameter::new(name, &[width], start),
                tasks => Parameter::new(name, &[tasks, width], start),
            }
        };
        Ok(vec![
            Parameter::new(NAME, &[length, d], start(1, |start| start.shared)).in_group(Group::PROMPT),
            factor(POSITION_FACTOR, length, |start| start.position),
            factor(FEATURE_FACTOR, d, |start| start.feature),
        ])
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![self.prompt.rate(), (Group::NETWORK, self.learning_rate)]
    }

    fn sources(&self) -> Vec<SourceSpec> {
        match self.source_stage {
            SourceStage::MultitaskDistillation => vec![self.source().on_mixture()],
            SourceStage::RankOneFit => self.source_prompt.on(&self.sources, self.prompt.length),
        }
    }

    fn tasks(&self) -> Option<usize> {
        (self.tasks > 1).then_some(self.tasks)
    }

    fn prompt_length(&self) -> usize {
        self.prompt.length
    }

    fn input(&self, context: &Context, stack: Stack, input: Input) -> Input {
        match (stack, self.tasks) {
            (Stack::Encoder, 1) => prepend_vectors(prompt(context), input),
            (Stack::Encoder, _) => prepend_prompts_of_tasks(context, trained_prompts(context), input),
            (Stack::Decoder, _) => input,
        }
    }

    fn merges(&self) -> Result<(), String> {
        Err("its prompt stands in the input, and no weight puts positions there".into())
    }

    fn as_prompt(&self, context: &Context) -> Option<Tensor<3>> {
        (self.tasks == 1).then(|| prompt(context))
    }
}

impl Mpt {
    /// The training on the mixture of the source tasks.
    fn source(&self) -> MptSource {
        let learning_rate = self.source_learning_rate;
        let SourcePrompt { init, text, .. } = self.source_prompt.clone();
        MptSource {
            prompt: Prompt { length: self.prompt.length, init, text, learning_rate },
            sources: self.sources.clone(),
            source_prompt: self.source_prompt.clone(),
            distillation: self.distillation,
            temperature: self.temperature,
            learning_rate,
        }
    }
}

/// `P o (u v^T)`: `[runs, length, d_model]`; in f32, whatever the backbone computes in.
fn prompt(context: &Context) -> Tensor<3> {
    let factor = |name: &str| context.parameters.get_f32::<2>(name).unsqueeze_dim(1);
    let of_tasks =
        prompts_of_tasks(context.parameters.get_f32(NAME), factor(POSITION_FACTOR), factor(FEATURE_FACTOR));
    of_tasks.squeeze_dim::<3>(1).cast(context.weights.dtype())
}

/// Where the target starts.
struct Start {
    shared: Vec<f64>,
    position: Vec<f64>,
    feature: Vec<f64>,
}

/// Rounds of the fit; the residual falls by little after the first few.
const ROUNDS: usize = 20;

impl Start {
    /// The shared prompt of a training on a mixture, and the mean of its tasks' factors.
    fn distilled(mixture: &SourceTensors, tasks: usize, length: usize, d: usize) -> Result<Self, String> {
        let wide = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
        let mean_of = |name: &str, width: usize| {
            let all: Vec<Vec<f64>> = mixture.get(name, &[tasks, width])?.chunks(width).map(wide).collect();
            Ok::<_, String>(mean(&all))
        };
        Ok(Self {
            shared: wide(mixture.get(NAME, &[length, d])?),
            position: mean_of(POSITION_FACTOR, length)?,
            feature: mean_of(FEATURE_FACTOR, d)?,
        })
    }

    /// Fits `P o (u_k v_k^T)` to prompts P_k by alternating least squares, from P their mean and factors of one, and
    /// takes the mean of the factors, each `v_k` scaled to a mean square of one and a positive sum first.
    fn fit(prompts: &[&[f32]], length: usize, d: usize) -> Self {
        let prompts: Vec<Vec<f64>> =
            prompts.iter().map(|p| p.iter().map(|&x| f64::from(x)).collect()).collect();
        let count = prompts.len() as f64;
        let mut shared: Vec<f64> =
            (0..length * d).map(|at| prompts.iter().map(|p| p[at]).sum::<f64>() / count).collect();
        let mut positions = vec![vec![1.0; length]; prompts.len()];
        let mut features = vec![vec![1.0; d]; prompts.len()];
        for _ in 0..ROUNDS {
            for (k, prompt) in prompts.iter().enumerate() {
                for i in 0..length {
                    let row = (0..d).map(|j| (shared[i * d + j] * features[k][j], prompt[i * d + j]));
                    positions[k][i] = least_squares(row, positions[k][i]);
                }
                for j in 0..d {
                    let column =
                        (0..length).map(|i| (shared[i * d + j] * positions[k][i], prompt[i * d + j]));
                    features[k][j] = least_squares(column, features[k][j]);
                }
            }
            for (at, value) in shared.iter_mut().enumerate() {
                let (i, j) = (at / d, at % d);
                let of_tasks =
                    prompts.iter().enumerate().map(|(k, p)| (positions[k][i] * features[k][j], p[at]));
                *value = least_squares(of_tasks, *value);
            }
        }
        for (position, feature) in positions.iter_mut().zip(&mut features) {
            let size = (feature.iter().map(|x| x * x).sum::<f64>() / d as f64).sqrt();
            let factor = if feature.iter().sum::<f64>() < 0.0 { -size } else { size };
            if factor != 0.0 {
                position.iter_mut().for_each(|x| *x *= factor);
                feature.iter_mut().for_each(|x| *x /= factor);
            }
        }
        Self { shared, position: mean(&positions), feature: mean(&features) }
    }
}

/// The factor by which the first of each pair comes closest to the second; `otherwise` where all of them are zero.
fn least_squares(pairs: impl Iterator<Item = (f64, f64)>, otherwise: f64) -> f64 {
    let (product, square) =
        pairs.fold((0.0, 0.0), |(product, square), (x, y)| (product + x * y, square + x * x));
    if square > 0.0 { product / square } else { otherwise }
}

fn mean(vectors: &[Vec<f64>]) -> Vec<f64> {
    let sum = |at: usize| vectors.iter().map(|vector| vector[at]).sum::<f64>();
    (0..vectors[0].len()).map(|at| sum(at) / vectors.len() as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: usize = 3;
    const WIDTH: usize = 4;

    fn scaled(position: [f64; LENGTH], feature: [f64; WIDTH]) -> Vec<f32> {
        let shared = |i: usize, j: usize| 0.3 + (i * WIDTH + j) as f64 * 0.7 % 1.1;
        let value = |at: usize| shared(at / WIDTH, at % WIDTH) * position[at / WIDTH] * feature[at % WIDTH];
        (0..LENGTH * WIDTH).map(|at| value(at) as f32).collect()
    }

    fn product(start: &Start, at: usize) -> f64 {
        start.shared[at] * start.position[at / WIDTH] * start.feature[at % WIDTH]
    }

    #[test]
    fn one_source_is_where_the_target_starts() {
        let prompt = scaled([1.0, -2.0, 0.5], [1.0, 0.1, -0.4, 2.0]);
        let start = Start::fit(&[&prompt], LENGTH, WIDTH);
        for (at, &value) in prompt.iter().enumerate() {
            assert!((product(&start, at) - f64::from(value)).abs() < 1e-6, "{at}");
        }
    }

    #[test]
    fn prompts_that_differ_by_rank_one_factors_are_fitted_exactly() {
        // Of two prompts that are multiples of one another, the mean of the factors gives their mean.
        let factors = ([1.0, -2.0, 0.5], [1.0, 0.5, 0.4, 2.0]);
        let [one, three] = [1.0, 3.0].map(|by| scaled(factors.0.map(|x| x * by), factors.1));
        let start = Start::fit(&[&one, &three], LENGTH, WIDTH);
        for (at, &value) in one.iter().enumerate() {
            assert!((product(&start, at) - 2.0 * f64::from(value)).abs() < 1e-6, "{at}");
        }
    }

    #[test]
    fn prompts_of_zeros_start_finite() {
        let zeros = [0.0; LENGTH * WIDTH];
        let start = Start::fit(&[&zeros, &zeros], LENGTH, WIDTH);
        let all = [start.shared, start.position, start.feature].concat();
        assert!(all.iter().all(|x| x.is_finite()), "{all:?}");
    }
}

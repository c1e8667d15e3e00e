//! HyperFormer++ (Karimi Mahabadi et al. 2021): one network per stack generates all of its adapters.
//!
//! The adapter of a task `t` in block `l` at position `p` (after self-attention or after the feed-forward layer) is
//! `h + LN(U gelu(D h + a) + b)`, LN a layer norm with scale `g` and bias `c` (section 2.1). All of `D, a, U, b, g, c` are
//! affine in one embedding `I = LayerNorm(W2 relu(W1 [z_t; l; p] + b1) + b2)` of the task, the block and the position
//! (section 2.3), so that blocks and tasks share what they learn. Encoder and decoder have generators of their own and
//! share the tasks' embeddings.
//!
//! Parameters, with `e` = `embedding`, `h` = `hidden`, `k` = `projected`, `r = d / reduction`: `T e` for the tasks, and
//! for each stack `(L + 2) e` for blocks and positions, `(3 e h + h) + (h k + k) + 2 k` for `I`, and
//! `(k + 1)(2 d r + d + r + 2 d)` for the generators; with `train_norms` the scales of all norms. On T5-base that is 2.3%
//! of the model without the norms, 0.29% for each of the paper's eight tasks: the 638K of other papers' tables.
//!
//! Defaults are those of the authors' `hyperformer++.json`: a reduction of 32, embeddings of 64 before and after the
//! projection, GELU by its tanh approximation, norms that train, a learning rate of 3e-4. The hidden width of 128, the
//! layer norm of `I` with an epsilon of 1e-6 and that after the adapter with torch's 1e-5 are from their code, which has
//! no LN before the adapter. The paper trains eight tasks at once: so does a mixture of so many, with `tasks = 8`. With
//! one task its embedding is a bias to the projection, and what is left is sharing between blocks.
//!
//! What goes wrong: generated scales start near zero (deviation 0.01), so adapters start near the identity and learn
//! slowly at first.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::adapter::Nonlinearity;
use super::tasks::of_rows;
use super::{Registered, Validate, learning_rate, positive};
use crate::layout::{Branch, Layout, Stack, SublayerKind};
use crate::ops::{affine_per_run, layer_norm_per_run};
use crate::{Context, Group, Init, Method, Parameter};

pub(super) const REGISTERED: Registered =
    Registered::new::<HyperFormer>("hyperformer", "HyperFormer++", "Karimi Mahabadi et al. 2021");

/// Adapters whose weights a network generates from embeddings of the task, the block and the position in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HyperFormer {
    /// The model's width over the adapters' bottleneck.
    pub reduction: usize,
    /// Tasks with an embedding of their own.
    pub tasks: usize,
    /// Width of each embedding.
    pub embedding: usize,
    /// Hidden units of the projection.
    pub hidden: usize,
    /// Width of what the generators take.
    pub projected: usize,
    /// The adapters' non-linearity.
    pub activation: Nonlinearity,
    /// Whether T5's norm scales train too.
    pub train_norms: bool,
    /// Learning rate of all that trains.
    pub learning_rate: f64,
}

impl Default for HyperFormer {
    fn default() -> Self {
        Self {
            reduction: 32,
            tasks: 1,
            embedding: 64,
            hidden: 128,
            projected: 64,
            activation: Nonlinearity::GeluNew,
            train_norms: true,
            learning_rate: 3e-4,
        }
    }
}

impl Validate for HyperFormer {
    fn validate(&self) -> Result<(), String> {
        positive("reduction", self.reduction)?;
        positive("tasks", self.tasks)?;
        positive("embedding", self.embedding)?;
        positive("hidden", self.hidden)?;
        positive("projected", self.projected)?;
        learning_rate("learning_rate", self.learning_rate)
    }
}

/// Deviation of the maps' weights.
const INITIAL_DEVIATION: f64 = 0.01;

/// Name of the tasks' embeddings.
const TASKS: &str = "task_embeddings";

impl Method for HyperFormer {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let d = layout.d_model;
        if self.reduction > d {
            return Err(format!(
                "`reduction` is {}; it must be at most {d}, the width of the model",
                self.reduction
            ));
        }
        let table = |name: String, rows| Parameter::new(name, &[rows, self.embedding], Init::Normal(1.0));
        let mut parameters = vec![table(TASKS.into(), self.tasks)];
        let stacks = [Stack::Encoder, Stack::Decoder].into_iter().filter(|stack| layout.layers(*stack) > 0);
        for stack in stacks {
            parameters.push(table(name(stack, "layer_embeddings"), layout.layers(stack)));
            parameters.push(table(name(stack, "position_embeddings"), POSITIONS.len()));
            let mut map = |part: &str, input, out| {
                let weight = Init::Normal(INITIAL_DEVIATION);
                parameters.push(Parameter::new(
                    name(stack, &format!("{part}.weight")),
                    &[out, input],
                    weight,
                ));
                parameters.push(Parameter::new(name(stack, &format!("{part}.bias")), &[out], Init::Zeros));
            };
            map("projection.0", 3 * self.embedding, self.hidden);
            map("projection.2", self.hidden, self.projected);
            for (part, size) in self.generated(d) {
                map(part, self.projected, size);
            }
            parameters.push(Parameter::new(name(stack, "norm.weight"), &[self.projected], Init::Ones));
            parameters.push(Parameter::new(name(stack, "norm.bias"), &[self.projected], Init::Zeros));
        }
        if self.train_norms {
            parameters.extend(layout.norms.iter().map(|norm| Parameter::backbone(&norm.weight, [1, d])));
        }
        Ok(parameters)
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::NETWORK, self.learning_rate)]
    }

    fn tasks(&self) -> Option<usize> {
        (self.tasks > 1).then_some(self.tasks)
    }

    fn sublayer(&self, context: &Context, branch: &Branch, output: Tensor<4>) -> Tensor<4> {
        let Some(position) = POSITIONS.iter().position(|kind| *kind == branch.at.kind) else { return output };
        let [runs, batch, length, d] = output.dims();
        let embedding = self.embedding(context, branch, position);
        let tasks = context.tasks.filter(|_| self.tasks > 1);
        // Where rows differ in their weights, each is a run to the operations.
        let (groups, rows) = if tasks.is_some() { (runs * batch, 1) } else { (runs, batch) };
        let generated = |part: &str| -> Tensor<2> {
            let of_tasks = context.affine(&name(branch.at.stack, part), embedding.clone());
            match tasks {
                Some(tasks) => of_rows(of_tasks.squeeze_dim(1), tasks),
                None => of_tasks.narrow(2, 0, 1).squeeze_dims(&[1, 2]),
            }
        };
        let r = d / self.reduction;
        let input = output.clone().reshape([groups, rows, length, d]);
        let down = generated("down.weight_generator").reshape([groups, r, d]);
        let hidden = self.activation.apply(affine_per_run(input, down, generated("down.bias_generator")));
        let up = generated("up.weight_generator").reshape([groups, d, r]);
        let change = affine_per_run(hidden, up, generated("up.bias_generator"));
        let (scale, bias) = (generated("scale_generator"), generated("shift_generator"));
        output + layer_norm_per_run(change, scale, bias, 1e-5).reshape([runs, batch, length, d])
    }

    fn merges(&self) -> Result<(), String> {
        Err("its adapters are not linear, and the backbone has no weights for them".into())
    }
}

/// The sub-layers that have an adapter, in the order of their embeddings.
const POSITIONS: [SublayerKind; 2] = [SublayerKind::FeedForward, SublayerKind::SelfAttention];

impl HyperFormer {
    /// What is generated of an adapter, and its size.
    fn generated(&self, d: usize) -> [(&'static str, usize); 6] {
        let r = d / self.reduction;
        [
            ("down.weight_generator", r * d),
            ("down.bias_generator", r),
            ("up.weight_generator", d * r),
            ("up.bias_generator", d),
            ("scale_generator", d),
            ("shift_generator", d),
        ]
    }

    /// What the generators take for each task at a place: `[runs, 1, tasks, projected]`.
    fn embedding(&self, context: &Context, branch: &Branch, position: usize) -> Tensor<4> {
        let stack = branch.at.stack;
        let of_place = |part: &str, row| {
            let table: Tensor<3> = context.parameters.get(&name(stack, part));
            table.narrow(1, row, 1).repeat_dim(1, self.tasks)
        };
        let tasks: Tensor<3> = context.parameters.get(TASKS);
        let layer = of_place("layer_embeddings", branch.at.layer);
        let all = Tensor::cat(vec![tasks, layer, of_place("position_embeddings", position)], 2);
        let hidden = activation::relu(context.affine(&name(stack, "projection.0"), all.unsqueeze_dim(1)));
        let projected = context.affine(&name(stack, "projection.2"), hidden);
        let norm = |part: &str| context.parameters.get::<2>(&name(stack, part));
        layer_norm_per_run(projected, norm("norm.weight"), norm("norm.bias"), 1e-6)
    }
}

fn name(stack: Stack, part: &str) -> String {
    let stack = match stack {
        Stack::Encoder => "encoder",
        Stack::Decoder => "decoder",
    };
    format!("{stack}.hyper.{part}")
}

//! Ladder side-tuning (Sung et al. 2022): a small T5 beside the frozen one reads its states and answers in its place.
//!
//! A side network of width `d / reduction` runs along each stack (section 3.2). It starts with `s = D x`, the embeddings
//! `x` projected down; beside block `i`, whose output is `b_i`, it goes on with
//! `s = block_i(g s + (1 - g) (D_i b_i + c_i))`, where `g = sigmoid(alpha_i / T)` and `block_i` is a T5 block of which
//! `d_model`, `d_kv` and `d_ff` are divided by the reduction. The decoder's side blocks attend to the encoder's side
//! states. The logits are the frozen head's of `U norm(s) + c`, scaled as those of the decoder are: neither the
//! backbone's last states nor its final norm has a part in them. No gradient passes through the backbone.
//!
//! Parameters, with `'` for what is divided: `4 d' n'` for an attention, `n'` the heads' width, `2 d' d_ff'` for a
//! feed-forward layer (3 where it is gated), `d'` for a norm; `d d' + d'` for each projection down and `d' d + d` for that
//! up; one gate per side block. With 9 of 12 blocks on T5-base 3,877,938, 1.74% of the
//! model, where tables of other papers say 3.8M.
//!
//! Defaults are those of the authors' script for T5-base: a reduction of 8, no side blocks beside blocks 0, 4 and 8 of 12
//! (`drop_every`, section 3.4), biases on the projections, gates that start at `alpha = 0` with
//! `T = 0.1`, a learning rate of 3e-3, dropout as in T5.
//!
//! As published: the arithmetic, and of the initialization (section 3.3) its order: the columns of the embedding table
//! with the largest L1 norm are kept, then map by map the columns of what was kept and the rows of the largest norm;
//! query, key and value (and both maps of a gated layer, which the authors' code does not know) are cut alike, by the
//! product of their entries; a norm keeps what the map before it kept. Not as published: importance is the weight's
//! magnitude, the paper's data-free variant, where its main results take Fisher information of the training data; the
//! side network enters with the backbone's dropped embeddings rather than a dropout of its own; and the first side block,
//! where `drop_every` keeps it, shares the backbone's frozen position bias as all later ones do, where the authors' code
//! gives it a trained copy.
//!
//! What goes wrong: the answers start from nothing, as U starts near zero; and heads of `d_kv` below the reduction leave
//! no room, which is refused.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::{Registered, Validate, learning_rate, positive, probability};
use crate::layout::{Branch, Layout, Linear, Norm, NormSite, Projection, Site, Stack, SublayerKind};
use crate::ops::{Attention, attention, linear_per_run, per_run, rms_norm};
use crate::{Computed, Context, Group, Init, Ladder, Method, Parameter, Weights};

pub(super) const REGISTERED: Registered = Registered::new::<Lst>("lst", "LST", "Sung et al. 2022");

/// A side network along each stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lst {
    /// The backbone's sizes over those of the side network.
    pub reduction: usize,
    /// Of every so many blocks the first has no side block; 0 is none of them.
    pub drop_every: usize,
    /// Dropout in the side network.
    pub dropout: f64,
    /// Where side blocks start.
    pub init: SideInit,
    /// Learning rate of the side network.
    pub learning_rate: f64,
}

/// Where side blocks start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SideInit {
    /// At the backbone's largest weights.
    Pruned,
    /// At random, as a new T5 does.
    Random,
}

impl Default for Lst {
    fn default() -> Self {
        Self { reduction: 8, drop_every: 4, dropout: 0.1, init: SideInit::Pruned, learning_rate: 3e-3 }
    }
}

impl Validate for Lst {
    fn validate(&self) -> Result<(), String> {
        positive("reduction", self.reduction)?;
        if self.drop_every > DEEPEST {
            return Err(format!("`drop_every` is {}; it must be at most {DEEPEST}", self.drop_every));
        }
        probability("dropout", self.dropout)?;
        learning_rate("learning_rate", self.learning_rate)
    }
}

/// Blocks that no stack has more of.
const DEEPEST: usize = 1000;

/// The gates' temperature.
const TEMPERATURE: f64 = 0.1;

/// Deviation of the projections' weights.
const INITIAL_DEVIATION: f64 = 0.01;

impl Method for Lst {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let sizes = Sizes::new(layout, self.reduction)?;
        let init = Start::new(self.init, layout, sizes);
        let (d, side) = (layout.d_model, sizes.d_model);
        let mut parameters = Vec::new();
        let projection = |path: &str, [out, input]: [usize; 2]| {
            [
                Parameter::new(format!("{path}.weight"), &[out, input], Init::Normal(INITIAL_DEVIATION)),
                Parameter::new(format!("{path}.bias"), &[out], Init::Zeros),
            ]
        };
        let norm = |norm: &Norm| Parameter::new(in_side(&norm.path), &[1, side], init.norm(norm));
        for stack in [Stack::Encoder, Stack::Decoder] {
            parameters.extend(projection(&first(stack), [side, d]));
            for layer in (0..layout.layers(stack)).filter(|&layer| self.has_block(layer)) {
                parameters.push(Parameter::new(gate(stack, layer), &[1], Init::Zeros));
                parameters.extend(projection(&rung(stack, layer), [side, d]));
                for branch in sublayers(layout, stack, layer) {
                    parameters.push(norm(layout.norm(NormSite::Sublayer(branch.at))));
                    parameters.extend(maps(layout, branch).map(|linear| {
                        let shape = sizes.shape(linear);
                        Parameter::new(in_side(&linear.path), &shape, init.linear(linear, shape))
                    }));
                }
            }
            parameters.push(norm(layout.norm(NormSite::Final(stack))));
        }
        parameters.extend(projection(UP, [d, side]));
        Ok(parameters)
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::NETWORK, self.learning_rate)]
    }

    fn traces(&self) -> bool {
        true
    }

    fn side_network(&self, context: &Context, stack: Stack, ladder: &Ladder) -> Option<Tensor<4>> {
        let side = Side { context, dropout: self.dropout, ladder };
        // Detached, so that gradient checkpointing takes none through the backbone either.
        let backbone = |i: usize| ladder.trace[i].clone().detach();
        let mut states = context.affine(&first(stack), backbone(0));
        for layer in (0..context.layout.layers(stack)).filter(|&layer| self.has_block(layer)) {
            let projected = context.affine(&rung(stack, layer), backbone(layer + 1));
            let share = side.share(&gate(stack, layer), &states);
            states = projected.clone() + (states - projected) * share;
            for branch in sublayers(context.layout, stack, layer) {
                let update = side.sublayer(branch, side.norm(NormSite::Sublayer(branch.at), states.clone()));
                states = states + side.drop(&branch.path, update);
            }
        }
        let states = side.norm(NormSite::Final(stack), states);
        Some(match stack {
            Stack::Encoder => side.drop("encoder.output", states),
            Stack::Decoder => context.affine(UP, side.drop("decoder.output", states)),
        })
    }

    fn merges(&self) -> Result<(), String> {
        Err("its side network runs beside the backbone, which has no weights for it".into())
    }
}

impl Lst {
    fn has_block(&self, layer: usize) -> bool {
        self.drop_every == 0 || !layer.is_multiple_of(self.drop_every)
    }
}

/// The side network's arithmetic; activations are `[runs, batch, length, width]`.
struct Side<'a> {
    context: &'a Context<'a>,
    dropout: f64,
    ladder: &'a Ladder<'a>,
}

impl Side<'_> {
    /// A gate's share of the side states, everywhere.
    fn share(&self, name: &str, like: &Tensor<4>) -> Tensor<4> {
        let alpha: Tensor<2> = self.context.parameters.get(name);
        per_run(activation::sigmoid(alpha / TEMPERATURE).repeat_dim(1, like.dims()[3]), like)
    }

    fn norm(&self, site: NormSite, input: Tensor<4>) -> Tensor<4> {
        let scale = self.context.parameters.get(&in_side(&self.context.layout.norm(site).path));
        rms_norm(input, scale, self.context.layout.norm_epsilon)
    }

    fn drop(&self, site: &str, input: Tensor<4>) -> Tensor<4> {
        self.context.dropout(&in_side(site), input, self.dropout)
    }

    fn linear(&self, branch: &Branch, projection: Projection, input: Tensor<4>) -> Tensor<4> {
        let linear = self.context.layout.linear(Site::Projection(branch.at, projection));
        linear_per_run(input, self.context.parameters.get(&in_side(&linear.path)))
    }

    fn sublayer(&self, branch: &Branch, input: Tensor<4>) -> Tensor<4> {
        match (branch.at.kind, branch.at.stack) {
            (SublayerKind::FeedForward, _) => self.feed_forward(branch, input),
            (SublayerKind::CrossAttention, _) => {
                let encoded = self.ladder.encoded.expect("a side network beside the encoder came before");
                let [keys, values] = [Projection::Key, Projection::Value].map(|projection| {
                    let new = || self.linear(branch, projection, encoded.clone());
                    match self.context.memory {
                        Some(memory) => memory.once(&cached(branch, projection), new),
                        None => new(),
                    }
                });
                self.attend(branch, input, [keys, values], None, Some(self.ladder.mask.clone()))
            }
            (SublayerKind::SelfAttention, stack) => {
                let decoded = self.context.memory.filter(|_| stack == Stack::Decoder);
                let keys_values = [Projection::Key, Projection::Value].map(|projection| {
                    let new = self.linear(branch, projection, input.clone());
                    match decoded {
                        Some(memory) => memory.append(&cached(branch, projection), new),
                        None => new,
                    }
                });
                let mask = (stack == Stack::Encoder).then(|| self.ladder.mask.clone());
                self.attend(branch, input, keys_values, Some(self.ladder.bias.clone()), mask)
            }
        }
    }

    fn attend(
        &self,
        branch: &Branch,
        input: Tensor<4>,
        [keys, values]: [Tensor<4>; 2],
        bias: Option<Tensor<4>>,
        mask: Option<Tensor<3>>,
    ) -> Tensor<4> {
        let heads = self.context.layout.num_heads;
        let queries = self.linear(branch, Projection::Query, input);
        let ([runs, batch, length, _], [_, _, width, _]) = (queries.dims(), keys.dims());
        let site = in_side(&format!("{}.weights", branch.path));
        let dims = [runs, batch, heads, length, width];
        let dropout = self.context.dropout.and_then(|dropout| dropout.mask(&site, &dims, self.dropout));
        let mixed = attention(Attention { queries, keys, values, bias, mask }, heads, dropout);
        self.linear(branch, Projection::Output, mixed)
    }

    fn feed_forward(&self, branch: &Branch, input: Tensor<4>) -> Tensor<4> {
        let activation = self.context.layout.activation;
        let gated = maps(self.context.layout, branch).any(|linear| is(linear, Projection::Gate));
        let hidden = match gated {
            true => {
                let gate = activation.apply(self.linear(branch, Projection::Gate, input.clone()));
                gate * self.linear(branch, Projection::Up, input)
            }
            false => activation.apply(self.linear(branch, Projection::Up, input)),
        };
        let hidden = self.drop(&format!("{}.hidden", branch.path), hidden);
        self.linear(branch, Projection::Down, hidden)
    }
}

/// Sizes of the side network.
#[derive(Clone, Copy)]
struct Sizes {
    d_model: usize,
    d_ff: usize,
    inner_dim: usize,
}

impl Sizes {
    fn new(layout: &Layout, reduction: usize) -> Result<Self, String> {
        let d_kv = layout.inner_dim / layout.num_heads;
        let smallest = d_kv.min(layout.d_model).min(layout.d_ff);
        if reduction > smallest {
            return Err(format!(
                "`reduction` is {reduction}; it must be at most {smallest}, the smallest of the model's d_kv {d_kv}, \
                 d_model {} and d_ff {}",
                layout.d_model, layout.d_ff
            ));
        }
        Ok(Self {
            d_model: layout.d_model / reduction,
            d_ff: layout.d_ff / reduction,
            inner_dim: layout.num_heads * (d_kv / reduction),
        })
    }

    /// `[out, in]` sizes of a linear map.
    fn shape(self, linear: &Linear) -> [usize; 2] {
        let Site::Projection(_, projection) = linear.site else { unreachable!("the head has no copy") };
        match projection {
            Projection::Query | Projection::Key | Projection::Value => [self.inner_dim, self.d_model],
            Projection::Output => [self.d_model, self.inner_dim],
            Projection::Up | Projection::Gate => [self.d_ff, self.d_model],
            Projection::Down => [self.d_model, self.d_ff],
        }
    }
}

/// Where the tensors of the side blocks start; what is pruned is so once for all of them.
struct Start {
    pruning: Option<Pruning>,
    d_kv: usize,
}

impl Start {
    fn new(init: SideInit, layout: &Layout, sizes: Sizes) -> Self {
        let pruning = (init == SideInit::Pruned).then(|| Pruning::new(layout, sizes));
        Self { pruning, d_kv: sizes.inner_dim / layout.num_heads }
    }

    fn norm(&self, norm: &Norm) -> Init {
        self.pruning.as_ref().map_or(Init::Ones, |pruning| pruning.init(&norm.weight))
    }

    /// Random maps have the deviations of a T5 of the side network's sizes.
    fn linear(&self, linear: &Linear, [_, input]: [usize; 2]) -> Init {
        let random = || match is(linear, Projection::Query) {
            true => Init::Normal(((input * self.d_kv) as f64).powf(-0.5)),
            false => Init::Normal((input as f64).powf(-0.5)),
        };
        self.pruning.as_ref().map_or_else(random, |pruning| pruning.init(&linear.weight))
    }
}

/// The backbone cut to the side network's sizes, when first asked for.
#[derive(Clone)]
struct Pruning {
    layout: Arc<Layout>,
    sizes: Sizes,
    pruned: Arc<OnceLock<HashMap<String, Vec<f32>>>>,
}

impl Pruning {
    fn new(layout: &Layout, sizes: Sizes) -> Self {
        Self { layout: Arc::new(layout.clone()), sizes, pruned: Arc::default() }
    }

    /// What is left of a backbone tensor.
    fn init(&self, name: &str) -> Init {
        let (pruning, name) = (self.clone(), name.to_string());
        Init::Computed(Computed::new(move |weights: &Weights| {
            pruning.pruned.get_or_init(|| pruning.prune(weights))[&name].clone()
        }))
    }

    fn prune(&self, weights: &Weights) -> HashMap<String, Vec<f32>> {
        let mut pruned = HashMap::new();
        let table = Matrix::read(weights, &self.layout.embedding);
        let mut kept = largest(&table.column_norms(), self.sizes.d_model);
        for stack in [Stack::Encoder, Stack::Decoder] {
            for branch in self.layout.branches.iter().filter(|branch| branch.at.stack == stack) {
                let norm = self.layout.norm(NormSite::Sublayer(branch.at));
                pruned.insert(norm.weight.clone(), Matrix::read(weights, &norm.weight).columns(&kept).values);
                let (last, joint): (Vec<&Linear>, Vec<&Linear>) =
                    maps(&self.layout, branch).partition(|linear| is_last(linear));
                for group in [joint, last] {
                    kept = self.prune_together(weights, &group, &kept, &mut pruned);
                }
            }
            let norm = self.layout.norm(NormSite::Final(stack));
            pruned.insert(norm.weight.clone(), Matrix::read(weights, &norm.weight).columns(&kept).values);
        }
        pruned
    }

    /// Cuts maps to columns and to the same rows, which it gives.
    fn prune_together(
        &self,
        weights: &Weights,
        group: &[&Linear],
        columns: &[usize],
        pruned: &mut HashMap<String, Vec<f32>>,
    ) -> Vec<usize> {
        let cut = |linear: &&Linear| Matrix::read(weights, &linear.weight).columns(columns);
        let matrices: Vec<Matrix> = group.iter().map(cut).collect();
        let product = matrices.iter().cloned().reduce(Matrix::times).expect("a group has maps");
        let [out, _] = self.sizes.shape(group[0]);
        let rows = largest(&product.row_norms(), out);
        for (linear, matrix) in group.iter().zip(&matrices) {
            pruned.insert(linear.weight.clone(), matrix.rows(&rows).values);
        }
        rows
    }
}

/// A weight on the host, row after row.
#[derive(Clone)]
struct Matrix {
    width: usize,
    values: Vec<f32>,
}

impl Matrix {
    fn read(weights: &Weights, name: &str) -> Self {
        let tensor = weights.get(name).clone();
        let [_, width] = tensor.dims();
        Self { width, values: tensor.try_into_vec_as().expect("weights are floats") }
    }

    fn columns(&self, kept: &[usize]) -> Self {
        let values = self.values.chunks(self.width).flat_map(|row| kept.iter().map(|&i| row[i]));
        Self { width: kept.len(), values: values.collect() }
    }

    fn rows(&self, kept: &[usize]) -> Self {
        let values = kept.iter().flat_map(|&i| &self.values[i * self.width..][..self.width]);
        Self { width: self.width, values: values.copied().collect() }
    }

    /// The product entry by entry.
    fn times(mut self, other: Self) -> Self {
        self.values.iter_mut().zip(other.values).for_each(|(a, b)| *a *= b);
        self
    }

    /// L1 norms.
    fn row_norms(&self) -> Vec<f64> {
        self.values.chunks(self.width).map(|row| row.iter().map(|x| f64::from(x.abs())).sum()).collect()
    }

    /// L1 norms.
    fn column_norms(&self) -> Vec<f64> {
        let mut norms = vec![0.0; self.width];
        for row in self.values.chunks(self.width) {
            norms.iter_mut().zip(row).for_each(|(norm, x)| *norm += f64::from(x.abs()));
        }
        norms
    }
}

/// Where the largest of some values are, in order; of equal ones the first.
fn largest(values: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order.truncate(count);
    order.sort_unstable();
    order
}

fn sublayers(layout: &Layout, stack: Stack, layer: usize) -> impl Iterator<Item = &Branch> {
    layout.branches.iter().filter(move |branch| branch.at.stack == stack && branch.at.layer == layer)
}

/// The linear maps of a sub-layer.
fn maps<'a>(layout: &'a Layout, branch: &'a Branch) -> impl Iterator<Item = &'a Linear> {
    let own = |linear: &&Linear| matches!(linear.site, Site::Projection(at, _) if at == branch.at);
    layout.linears.iter().filter(own)
}

fn is(linear: &Linear, projection: Projection) -> bool {
    matches!(linear.site, Site::Projection(_, own) if own == projection)
}

/// Whether a map is the one back to the residual stream.
fn is_last(linear: &Linear) -> bool {
    is(linear, Projection::Output) || is(linear, Projection::Down)
}

/// The projection from the side network to the head's input.
const UP: &str = "side.up";

/// The projection of the embeddings.
fn first(stack: Stack) -> String {
    format!("side.{}.first", stack_name(stack))
}

/// The projection of a block's output.
fn rung(stack: Stack, layer: usize) -> String {
    format!("side.{}.down.{layer}", stack_name(stack))
}

fn gate(stack: Stack, layer: usize) -> String {
    format!("side.{}.gate.{layer}", stack_name(stack))
}

fn stack_name(stack: Stack) -> &'static str {
    match stack {
        Stack::Encoder => "encoder",
        Stack::Decoder => "decoder",
    }
}

/// What the side network has of a place of the backbone.
fn in_side(path: &str) -> String {
    format!("side.{path}")
}

fn cached(branch: &Branch, projection: Projection) -> String {
    format!("{}.{projection:?}", branch.path)
}

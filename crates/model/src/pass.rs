use std::ops::Deref;

use burn::tensor::{Int, Tensor, activation};

use crate::context::{Context, Weight};
use crate::dropout::Mask;
use crate::layout::{Linear, Norm, Stack};
use crate::method::Method;
use crate::ops;

/// One forward pass: what a family's arithmetic asks of the backbone's tensors, with what the method makes of it.
///
/// Every activation has the shape `[runs, batch, length, width]`.
pub struct Pass<'a> {
    /// The method that acts.
    pub method: &'a dyn Method,
    context: Context<'a>,
    dropout_rate: f64,
}

impl<'a> Deref for Pass<'a> {
    type Target = Context<'a>;

    fn deref(&self) -> &Context<'a> {
        &self.context
    }
}

impl<'a> Pass<'a> {
    /// A pass in which the backbone drops elements with this probability, where it trains.
    pub(crate) fn new(method: &'a dyn Method, context: Context<'a>, dropout_rate: f64) -> Self {
        Self { method, context, dropout_rate }
    }

    /// What the method sees.
    pub fn context(&self) -> &Context<'a> {
        &self.context
    }

    /// A linear map and what the method makes of it: `[runs, batch, length, in]` to `[runs, batch, length, out]`.
    pub fn linear(&self, linear: &Linear, input: Tensor<4>) -> Tensor<4> {
        let input = self.method.projection_input(self, linear, input);
        let output = match self.weight(&linear.weight) {
            Weight::Shared(weight) => ops::linear(input.clone(), weight),
            Weight::PerRun(weight) => ops::linear_per_run(input.clone(), weight),
        };
        self.method.projection(self, linear, &input, output)
    }

    /// A root-mean-square norm, without mean and bias, and what the method makes of it: `[runs, batch, length, d_model]`.
    pub fn rms_norm(&self, norm: &Norm, input: Tensor<4>, epsilon: f64) -> Tensor<4> {
        let scale = match self.weight(&norm.weight) {
            Weight::Shared(scale) => scale.unsqueeze(),
            Weight::PerRun(scale) => scale,
        };
        self.method.norm(self, norm, ops::rms_norm(input, scale, epsilon))
    }

    /// Looks ids up in the embedding table of a stack: `[runs, batch, length]` to `[runs, batch, length, d_model]`.
    pub fn embed(&self, stack: Stack, ids: Tensor<3, Int>) -> Tensor<4> {
        let [runs, batch, length] = ids.dims();
        let d_model = self.layout.d_model;
        let rows = match self.method.embeddings(self, stack, self.weight(&self.layout.embedding)) {
            Weight::Shared(table) => table.select(0, ids.reshape([-1])),
            Weight::PerRun(tables) => {
                let vocabulary = self.layout.vocab_size;
                let first = Tensor::<1, Int>::arange(0..runs as i64, &ids.device()) * vocabulary as i64;
                let ids = ids + first.reshape([runs, 1, 1]);
                tables.reshape([-1, d_model as i64]).select(0, ids.reshape([-1]))
            }
        };
        rows.reshape([runs, batch, length, d_model])
    }

    /// The backbone's dropout at a site, active in training although the backbone is frozen.
    pub fn dropout(&self, site: &str, input: Tensor<4>) -> Tensor<4> {
        self.context.dropout(site, input, self.dropout_rate)
    }

    /// `residual + dropout(update)`.
    pub fn add_dropout(&self, site: &str, residual: Tensor<4>, update: Tensor<4>) -> Tensor<4> {
        match self.mask(site, &update.dims()) {
            Some(mask) => ops::add_dropout(residual, update, mask),
            None => residual + update,
        }
    }

    /// `dropout(max(input, 0))`.
    pub fn relu_dropout(&self, site: &str, input: Tensor<4>) -> Tensor<4> {
        match self.mask(site, &input.dims()) {
            Some(mask) => ops::relu_dropout(input, mask),
            None => activation::relu(input),
        }
    }

    /// `dropout(gelu(gate) * up)`, with the approximation of GELU by tanh.
    pub fn gelu_gate_dropout(&self, site: &str, gate: Tensor<4>, up: Tensor<4>) -> Tensor<4> {
        match self.mask(site, &gate.dims()) {
            Some(mask) => ops::gelu_gate_dropout(gate, up, mask),
            None => activation::gelu_approximate(gate) * up,
        }
    }

    /// The mask of the backbone's dropout at a site; `None` where nothing is dropped.
    pub fn mask(&self, site: &str, dims: &[usize]) -> Option<Mask> {
        self.context.dropout?.mask(site, dims, self.dropout_rate)
    }
}

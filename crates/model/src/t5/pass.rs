use burn::tensor::{Int, Tensor, activation};

use super::{Backbone, Site, T5Config};
use crate::dropout::{Dropout, Mask};
use crate::ops;
use crate::peft::{Method, Parameters};

/// One forward pass: a frozen backbone, a method that acts on it, and the method's parameters.
///
/// Every activation has the shape `[runs, batch, length, width]`.
#[derive(Clone, Copy)]
pub struct Pass<'a> {
    /// The frozen backbone.
    pub backbone: &'a Backbone,
    /// The method that acts on it.
    pub method: &'a dyn Method,
    /// The method's parameters.
    pub parameters: &'a Parameters,
    /// Where dropout masks come from; `None` evaluates.
    pub dropout: Option<&'a Dropout>,
}

/// A weight as a forward pass sees it.
pub enum Weight {
    /// Frozen and the same for every run: `[rows, columns]`.
    Shared(Tensor<2>),
    /// Trained, one per run: `[runs, rows, columns]`.
    PerRun(Tensor<3>),
}

impl Pass<'_> {
    /// The backbone's configuration.
    pub fn config(&self) -> &T5Config {
        self.backbone.config()
    }

    /// Number of runs side by side.
    pub fn runs(&self) -> usize {
        self.parameters.runs()
    }

    /// A backbone tensor by name, or what the method trains in its place.
    pub fn weight(&self, name: &str) -> Weight {
        if self.parameters.contains(name) {
            Weight::PerRun(self.parameters.get(name))
        } else {
            Weight::Shared(self.backbone.tensor(name).clone())
        }
    }

    /// The linear map of a site and what the method makes of it:
    /// `[runs, batch, length, in]` to `[runs, batch, length, out]`.
    pub fn linear(&self, site: Site, input: Tensor<4>) -> Tensor<4> {
        let input = self.method.projection_input(self, site, input);
        let output = match self.weight(&site.weight(self.config())) {
            Weight::Shared(weight) => ops::linear(input.clone(), weight),
            Weight::PerRun(weight) => ops::linear_per_run(input.clone(), weight),
        };
        self.method.projection(self, site, &input, output)
    }

    /// T5's layer norm, root mean square without mean and bias, and what the method makes of it:
    /// `[runs, batch, length, d_model]`.
    pub fn norm(&self, name: &str, input: Tensor<4>) -> Tensor<4> {
        let scale = match self.weight(name) {
            Weight::Shared(scale) => scale.unsqueeze(),
            Weight::PerRun(scale) => scale,
        };
        let output = ops::rms_norm(input, scale, self.config().layer_norm_epsilon);
        self.method.norm(self, name, output)
    }

    /// Looks ids up in the shared embedding table: `[runs, batch, length]` to
    /// `[runs, batch, length, d_model]`.
    pub fn embed(&self, ids: Tensor<3, Int>) -> Tensor<4> {
        let [runs, batch, length] = ids.dims();
        let d_model = self.config().d_model;
        let rows = match self.weight("shared.weight") {
            Weight::Shared(table) => table.select(0, ids.reshape([-1])),
            Weight::PerRun(tables) => {
                let vocabulary = self.config().vocab_size;
                let first = Tensor::<1, Int>::arange(0..runs as i64, &ids.device()) * vocabulary as i64;
                let ids = ids + first.reshape([runs, 1, 1]);
                tables.reshape([-1, d_model as i64]).select(0, ids.reshape([-1]))
            }
        };
        rows.reshape([runs, batch, length, d_model])
    }

    /// The backbone's dropout at a site, active in training although the backbone is frozen.
    pub(super) fn dropout(&self, site: &str, input: Tensor<4>) -> Tensor<4> {
        self.method_dropout(site, input, self.config().dropout_rate)
    }

    /// `residual + dropout(update)`.
    pub(super) fn add_dropout(&self, site: &str, residual: Tensor<4>, update: Tensor<4>) -> Tensor<4> {
        match self.mask(site, &update.dims()) {
            Some(mask) => ops::add_dropout(residual, update, mask),
            None => residual + update,
        }
    }

    /// `dropout(max(input, 0))`.
    pub(super) fn relu_dropout(&self, site: &str, input: Tensor<4>) -> Tensor<4> {
        match self.mask(site, &input.dims()) {
            Some(mask) => ops::relu_dropout(input, mask),
            None => activation::relu(input),
        }
    }

    /// The mask of the backbone's dropout at a site; `None` where nothing is dropped.
    pub(super) fn mask(&self, site: &str, dims: &[usize]) -> Option<Mask> {
        self.dropout?.mask(site, dims, self.config().dropout_rate)
    }

    /// Dropout at a rate of the method's own. A site has one mask per step, so methods name sites of their own.
    pub fn method_dropout(&self, site: &str, input: Tensor<4>, rate: f64) -> Tensor<4> {
        match self.dropout.and_then(|dropout| dropout.mask(site, &input.dims(), rate)) {
            Some(mask) => ops::dropout(input, mask),
            None => input,
        }
    }
}

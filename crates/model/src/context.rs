use std::cell::RefCell;
use std::collections::HashMap;

use burn::tensor::{Int, Tensor};

use crate::dropout::Dropout;
use crate::layout::Layout;
use crate::ops;
use crate::parameters::Parameters;
use crate::weights::Weights;

/// What a method sees of a forward pass.
///
/// Every activation has the shape `[runs, batch, length, width]`.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The places and tensors of the backbone.
    pub layout: &'a Layout,
    /// The frozen backbone's tensors.
    pub weights: &'a Weights,
    /// The method's own tensors.
    pub parameters: &'a Parameters,
    /// Where dropout masks come from; `None` evaluates.
    pub dropout: Option<&'a Dropout>,
    /// Which task each row is of, `[runs, batch]`, where the batch says.
    pub tasks: Option<&'a Tensor<2, Int>>,
    /// What is kept from one step to the next, in step-by-step decoding.
    pub memory: Option<&'a Memory>,
}

/// Tensors that a method keeps, by name, for as long as one decoding takes.
#[derive(Debug, Default)]
pub struct Memory(RefCell<HashMap<String, Tensor<4>>>);

impl Memory {
    /// Puts new positions `[runs, batch, length, width]` after those kept under a name, and gives all of them.
    pub fn append(&self, name: &str, new: Tensor<4>) -> Tensor<4> {
        let mut kept = self.0.borrow_mut();
        let all = match kept.remove(name) {
            Some(past) => Tensor::cat(vec![past, new], 2),
            None => new,
        };
        kept.insert(name.into(), all.clone());
        all
    }

    /// What is kept under a name, computed where nothing is.
    pub fn once(&self, name: &str, new: impl FnOnce() -> Tensor<4>) -> Tensor<4> {
        self.0.borrow_mut().entry(name.into()).or_insert_with(new).clone()
    }
}

/// A weight as a forward pass sees it.
pub enum Weight {
    /// Frozen and the same for every run: `[rows, columns]`.
    Shared(Tensor<2>),
    /// Trained, one per run: `[runs, rows, columns]`.
    PerRun(Tensor<3>),
}

impl Weight {
    /// `[rows, columns]` of the only run.
    pub(crate) fn of_single_run(self) -> Tensor<2> {
        match self {
            Self::Shared(weight) => weight,
            Self::PerRun(weight) => weight.squeeze_dim(0),
        }
    }
}

impl Context<'_> {
    /// A backbone tensor by name, or what the method trains in its place.
    pub fn weight(&self, name: &str) -> Weight {
        if self.parameters.contains(name) {
            Weight::PerRun(self.parameters.get(name))
        } else {
            Weight::Shared(self.weights.get(name).clone())
        }
    }

    /// What the method's own affine map makes of `[runs, batch, length, in]`: `name.weight` `[out, in]` and `name.bias`.
    pub fn affine(&self, name: &str, input: Tensor<4>) -> Tensor<4> {
        let weight = self.parameters.get::<3>(&format!("{name}.weight"));
        ops::affine_per_run(input, weight, self.parameters.get(&format!("{name}.bias")))
    }

    /// Dropout at a rate of the method's own. A site has one mask per step, so methods name sites of their own.
    pub fn dropout(&self, site: &str, input: Tensor<4>, rate: f64) -> Tensor<4> {
        match self.dropout.and_then(|dropout| dropout.mask(site, &input.dims(), rate)) {
            Some(mask) => ops::dropout(input, mask),
            None => input,
        }
    }

    /// A number in [0, 1) for each run, drawn anew at each training step; `None` evaluates.
    pub fn draws(&self, site: &str) -> Option<Vec<f64>> {
        self.dropout.map(|dropout| dropout.draws(site))
    }
}

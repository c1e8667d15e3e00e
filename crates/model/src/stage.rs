//! A forward pass in stages, so that training can keep what lies between them and compute the rest again.

use burn::tensor::{Gradients, Tensor};

/// What one stage of a forward pass hands to the next: stages begin a stack, run one of its blocks, or end it.
#[derive(Debug, Clone)]
pub struct State {
    /// The states of the stack at work, `[runs, batch, length, d_model]`; after the last stage the logits,
    /// `[runs, batch, target length, vocab_size]`.
    pub states: Tensor<4>,
    /// What the first stack made of the sources, where a second one reads it: `[runs, batch, length, d_model]`.
    pub encoded: Option<Tensor<4>>,
    /// What the method made of the first stack, where it makes something: with a network beside it, or of what it gave.
    pub side: Option<Tensor<4>>,
    /// What hides padding of the sources, `[runs, batch, length]`.
    pub mask: Tensor<3>,
    /// The position bias of the stack at work, `[1 or runs, heads, queries, keys]`, where a stage before has made it.
    pub bias: Option<Tensor<4>>,
    /// The states between the blocks of the stack at work, where the method asks for them.
    pub trace: Vec<Tensor<4>>,
}

impl State {
    /// The same values as the start of a graph of their own. The bias is left out, and made again by who needs it.
    pub(crate) fn detached(&self) -> Self {
        let leaf = |tensor: &Tensor<4>| tensor.clone().inner().autodiff().require_grad();
        Self {
            states: leaf(&self.states),
            encoded: self.encoded.as_ref().map(leaf),
            side: self.side.as_ref().map(leaf),
            mask: self.mask.clone(),
            bias: None,
            trace: self.trace.iter().map(leaf).collect(),
        }
    }

    /// Everything that has a gradient, in one order.
    fn tensors(&self) -> impl Iterator<Item = &Tensor<4>> {
        [&self.states].into_iter().chain(&self.encoded).chain(&self.side).chain(&self.trace)
    }

    /// The gradients of a detached state.
    pub(crate) fn gradients(&self, gradients: &Gradients) -> StateGradients {
        StateGradients(self.tensors().map(|tensor| tensor.grad(gradients)).collect())
    }
}

/// Gradients with respect to a state.
pub(crate) struct StateGradients(Vec<Option<Tensor<4>>>);

impl StateGradients {
    /// A number whose gradient with respect to the state is this one: `[1]`; `None` where nothing depends on it.
    pub(crate) fn product(self, state: &State) -> Option<Tensor<1>> {
        let pairs = state.tensors().zip(self.0).filter(|(tensor, _)| tensor.is_tracked());
        let products =
            pairs.filter_map(|(tensor, gradient)| Some((tensor.clone() * gradient?.autodiff()).sum()));
        products.reduce(|sum, more| sum + more)
    }
}

//! The loss of a batch and its gradients: from one graph, or stage by stage, computing each again.

use burn::tensor::Tensor;

use crate::dropout::Dropout;
use crate::loss::loss;
use crate::stage::{State, StateGradients};
use crate::{Adaptation, Backbone, Batch, Gradients, Method, Parameters};

/// A batch, or a slice of one, with all that its loss depends on.
pub(super) struct Objective<'a> {
    pub backbone: &'a dyn Backbone,
    pub method: &'a dyn Method,
    /// Values that nothing records.
    pub parameters: &'a Parameters,
    /// The same values, recording what is done with them.
    pub tracked: &'a Parameters,
    pub dropout: &'a Dropout,
    pub batch: &'a Batch,
    /// Its share of the update's loss.
    pub share: f64,
    /// Whether the method's penalty is added.
    pub penalty: bool,
}

impl<'a> Objective<'a> {
    /// The loss of each run, `[runs]`, and the gradients of its share, from a graph that keeps every activation.
    pub(super) fn gradients(&self) -> (Tensor<1>, Gradients) {
        let state = self.backbone.target_state(&self.adaptation(self.tracked), self.batch);
        let (loss, objective) = self.objective(state);
        // What depends on no parameter has no gradients.
        let gradients = match objective.is_tracked() {
            true => self.tracked.take_gradients(&mut objective.backward()),
            false => vec![None; self.tracked.declared().len()],
        };
        (loss.inner(), gradients)
    }

    /// The same from the states between stages alone (gradient checkpointing, Chen et al. 2016): in the backward pass
    /// every stage is computed a second time, with the same dropout masks.
    pub(super) fn gradients_by_stage(&self) -> (Tensor<1>, Gradients) {
        let (states, last) = self.states();
        let (loss, mut sum, of_last) = self.last_stage(last);
        let mut gradients = Some(of_last);
        for (stage, before) in (0..states.len()).rev().zip(befores(states)) {
            let Some(of_state) = gradients else { break };
            let tracked = self.adaptation(self.tracked);
            let after = self.backbone.target_stage(&tracked, self.batch, stage, before.clone());
            let Some(objective) = of_state.product(&after) else { break };
            let mut graph = objective.backward();
            sum = add(sum, self.tracked.take_gradients(&mut graph));
            gradients = before.map(|before| before.gradients(&graph));
        }
        (loss, sum)
    }

    /// What each stage but the last makes, without a graph: those of all but the last two stages, and that which the
    /// last begins with.
    fn states(&self) -> (Vec<State>, State) {
        let plain = self.adaptation(self.parameters);
        let mut states: Vec<State> = Vec::new();
        for stage in 0..self.backbone.stages() - 1 {
            let before = states.last().cloned();
            states.push(self.backbone.target_stage(&plain, self.batch, stage, before));
        }
        let last = states.last().cloned().expect("a pass has a beginning and an end");
        (states, last)
    }

    /// The loss, and its gradients with respect to parameters and to the state before.
    fn last_stage(&self, before: State) -> (Tensor<1>, Gradients, StateGradients) {
        let before = before.detached();
        let (tracked, stage) = (self.adaptation(self.tracked), self.backbone.stages() - 1);
        let after = self.backbone.target_stage(&tracked, self.batch, stage, Some(before.clone()));
        let (loss, objective) = self.objective(after);
        let mut graph = objective.backward();
        let of_parameters = self.tracked.take_gradients(&mut graph);
        (loss.inner(), of_parameters, before.gradients(&graph))
    }

    /// The loss of the last state, `[runs]`, and what the gradients are of, `[1]`: all runs' losses with what the method
    /// adds, and with the distance from its teacher.
    fn objective(&self, last: State) -> (Tensor<1>, Tensor<1>) {
        let penalty = match self.penalty {
            true => self.backbone.penalty(&self.adaptation(self.tracked), self.batch),
            false => None,
        };
        let distillation = self.backbone.distillation(&self.adaptation(self.tracked), &last, self.batch);
        let loss = loss(last.states, self.batch);
        let each = [penalty, distillation].into_iter().flatten().fold(loss.clone(), |sum, more| sum + more);
        (loss, each.sum() * self.share)
    }

    fn adaptation(&self, parameters: &'a Parameters) -> Adaptation<'a> {
        Adaptation { method: self.method, parameters, dropout: Some(self.dropout) }
    }
}

/// What each stage begins with, from the last but one to the first, which begins with nothing.
fn befores(states: Vec<State>) -> impl Iterator<Item = Option<State>> {
    let befores = states.into_iter().rev().skip(1).map(|state| Some(state.detached()));
    befores.chain([None])
}

/// The sum of two lists of gradients.
pub(super) fn add(sum: Gradients, new: Gradients) -> Gradients {
    let pairs = sum.into_iter().zip(new);
    pairs
        .map(|pair| match pair {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        })
        .collect()
}

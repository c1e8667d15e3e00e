use burn::tensor::Tensor;

use super::{AdamW, Rates};
use crate::dropout::Dropout;
use crate::{Adaptation, Backbone, Batch, Gradients, Method, Parameters, StepCount};

/// One update of the parameters of several runs.
pub struct Update<'a> {
    /// The frozen backbone.
    pub backbone: &'a dyn Backbone,
    /// The method whose parameters train.
    pub method: &'a dyn Method,
    /// Updates so far, this one included, and in all.
    pub count: StepCount,
    /// The learning rates of each run.
    pub rates: &'a [Rates],
    /// The schedule's factor on every learning rate.
    pub factor: f64,
}

/// A part of the rows of an update, which are too many for one forward pass.
pub struct Part {
    /// The rows.
    pub batch: Batch,
    /// Where the dropout masks come from.
    pub dropout: Dropout,
    /// Its share of the update's loss; the shares add up to 1.
    pub share: f64,
}

impl Update<'_> {
    /// Takes the gradients over all parts and changes the parameters. Gives each part's loss, `[runs]`, on the device.
    pub fn apply(
        &self,
        parameters: &mut Parameters,
        optimizer: &mut AdamW,
        parts: impl IntoIterator<Item = Part>,
    ) -> Vec<Tensor<1>> {
        let tracked = parameters.tracked();
        let (mut losses, mut gradients) = (Vec::new(), None);
        for Part { batch, dropout, share } in parts {
            let adaptation =
                Adaptation { method: self.method, parameters: &tracked, dropout: Some(&dropout) };
            let loss = self.backbone.target_loss(&adaptation, &batch);
            losses.push(loss.clone().inner());
            let objective = match self.backbone.penalty(&adaptation, &batch) {
                Some(penalty) => loss + penalty,
                None => loss,
            };
            // What depends on no parameter has no gradients.
            let new = match objective.is_tracked() {
                true => tracked.take_gradients(&mut (objective.sum() * share).backward()),
                false => vec![None; tracked.declared().len()],
            };
            gradients = Some(add(gradients, new));
        }
        drop(tracked);
        if let Some(gradients) = gradients {
            // Taken out, so that the update can work in place.
            let old = std::mem::take(parameters);
            let new = optimizer.step(old, &gradients, self.count.step, self.rates, self.factor);
            *parameters = self.method.after_update(new, &gradients, self.count);
        }
        losses
    }
}

/// The sum of the gradients of two parts.
fn add(sum: Option<Gradients>, new: Gradients) -> Gradients {
    let Some(sum) = sum else { return new };
    let pairs = sum.into_iter().zip(new);
    pairs
        .map(|pair| match pair {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        })
        .collect()
}

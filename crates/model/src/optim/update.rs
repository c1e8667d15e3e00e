use burn::tensor::Tensor;

use super::gradients::{Objective, add};
use super::{AdamW, Rates};
use crate::dropout::Dropout;
use crate::{Backbone, Batch, Method, Parameters, StepCount};

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
    /// Whether blocks are computed a second time in the backward pass, so that less is kept: slower, to the same
    /// gradients but for rounding.
    pub gradient_checkpointing: bool,
}

/// A batch of an update, which may have several.
pub struct Part {
    /// The rows: whole, or in slices where they are too many for one forward pass.
    pub slices: Vec<Batch>,
    /// Where the dropout masks of the whole batch come from.
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
        for Part { slices, dropout, share } in parts {
            let mut whole: Option<Tensor<1>> = None;
            for batch in slices {
                let first_row = batch.slice.as_ref().map_or(0, |slice| slice.first_row);
                let objective = Objective {
                    backbone: self.backbone,
                    method: self.method,
                    parameters,
                    tracked: &tracked,
                    dropout: &dropout.from_row(first_row),
                    batch: &batch,
                    share,
                    // Once for the whole batch.
                    penalty: first_row == 0,
                };
                let (loss, new) = match self.gradient_checkpointing {
                    true => objective.gradients_by_stage(),
                    false => objective.gradients(),
                };
                whole = Some(match whole {
                    Some(sum) => sum + loss,
                    None => loss,
                });
                gradients = Some(match gradients {
                    Some(sum) => add(sum, new),
                    None => new,
                });
            }
            losses.extend(whole);
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

//! What a pretrained model says of a pair.

use anyhow::{Context, Result};
use peft_model::{Adaptation, Backbone, Batch, Parameters, peft};

/// A tolerance for sums of f32 that are computed in another order.
pub(super) const TOLERANCE: f64 = 1e-3;

/// The summed log-probability of a target's tokens, EOS included.
pub(super) fn log_probability(backbone: &dyn Backbone, source: &[u32], target: &[u32]) -> Result<f64> {
    let (frozen, parameters) = (peft::frozen(), Parameters::none(1, backbone.dtype()));
    let adaptation = Adaptation::new(frozen.method.as_ref(), &parameters);
    let scores = backbone.target_log_probabilities(&adaptation, &batch(backbone, source, target));
    let scores: Vec<f32> = scores.try_into_vec_as().context("reading a log-probability")?;
    scores.first().copied().map(f64::from).context("there is no log-probability")
}

/// The tokens that a model generates for a source.
pub(super) fn generated(backbone: &dyn Backbone, source: &[u32], most: usize) -> Vec<u32> {
    let (frozen, parameters) = (peft::frozen(), Parameters::none(1, backbone.dtype()));
    let adaptation = Adaptation::new(frozen.method.as_ref(), &parameters);
    let rows = batch(backbone, source, &[]).source;
    backbone.generate(&adaptation, rows, most).into_iter().flatten().flatten().collect()
}

fn batch(backbone: &dyn Backbone, source: &[u32], target: &[u32]) -> Batch {
    Batch::new(&[vec![(source, target)]], backbone.layout().tokens.pad, backbone.device())
}

/// What a computed value comes to beside the known one; the error says how they differ.
pub(super) fn compare(value: f64, known: f64) -> Result<String, String> {
    let text = format!("a log-probability of {value:.4}, known as {known:.4}");
    if (value - known).abs() <= TOLERANCE { Ok(text) } else { Err(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_beyond_the_tolerance_or_not_a_number_is_wrong() {
        assert!(compare(-19.0851, -19.0845).is_ok());
        assert!(compare(-19.0865, -19.0845).is_err());
        assert!(compare(f64::NAN, -19.0845).is_err());
    }
}

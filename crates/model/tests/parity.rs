//! T5 against transformers, on the committed fixtures of both variants.

mod common;

use common::{Expected, VARIANTS, backbone, identity, relative_error, values};
use peft_model::t5::{Pass, generate, target_log_probabilities, target_logits, target_loss};

#[test]
fn logits_losses_and_log_probabilities_agree() {
    for variant in VARIANTS {
        let (backbone, expected) = (backbone(variant), Expected::read(variant));
        let (built, parameters) = identity(&backbone);
        let pass = Pass {
            backbone: &backbone,
            method: built.method.as_ref(),
            parameters: &parameters,
            dropout: None,
        };
        let batch = expected.batch(1);
        let logits = relative_error(&values(target_logits(&pass, &batch)), &expected.floats("logits"));
        let loss = relative_error(&values(target_loss(&pass, &batch).per_run), &expected.floats("loss"));
        let log_probability =
            relative_error(&values(target_log_probabilities(&pass, &batch)), &expected.floats("logprob"));
        println!(
            "{variant}: relative errors: logits {logits:.1e}, loss {loss:.1e}, log-probability {log_probability:.1e}"
        );
        assert!(logits < 1e-5 && loss < 1e-5 && log_probability < 1e-5);
    }
}

#[test]
fn greedy_ids_are_identical() {
    for variant in VARIANTS {
        let (backbone, expected) = (backbone(variant), Expected::read(variant));
        let (built, parameters) = identity(&backbone);
        let pass = Pass {
            backbone: &backbone,
            method: built.method.as_ref(),
            parameters: &parameters,
            dropout: None,
        };
        let batch = expected.batch(1);
        let generated = generate(&pass, batch.source, batch.source_mask, 12);
        let width = expected.shape("generated")[1];
        for (ours, theirs) in generated[0].iter().zip(expected.ints("generated").chunks(width)) {
            // transformers starts with the start token and pads after the end token.
            let mut padded: Vec<i32> = ours.iter().map(|&id| id as i32).collect();
            padded.insert(0, 0);
            padded.resize(width, 0);
            assert_eq!(padded, theirs, "{variant}");
        }
    }
}

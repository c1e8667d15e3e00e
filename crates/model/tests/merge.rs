//! Merged into the backbone's weights, a method computes what it computes beside them, or says why it cannot.

mod common;

use burn::tensor::Tensor;
use common::{Expected, VARIANTS, backbone, every_path, initial, method, moved, relative_error, values};
use peft_model::layout::{Layout, Linear, Site};
use peft_model::{Adaptation, Backbone, Context, Group, Method, Parameter, Parameters, peft};
use serde_json::json;

const MERGED: [&str; 8] = ["full", "lora", "rslora", "dora", "adalora", "vera", "ia3", "layer-norm"];

fn logits(
    backbone: &dyn Backbone,
    method: &dyn Method,
    parameters: &Parameters,
    batch: &Expected,
) -> Vec<f32> {
    values(backbone.target_logits(&Adaptation::new(method, parameters), &batch.batch(1)))
}

/// Logits of a backbone by itself.
fn plain(backbone: &dyn Backbone, batch: &Expected) -> Vec<f32> {
    let none = Parameters::none(1, backbone.dtype());
    logits(backbone, peft::frozen().method.as_ref(), &none, batch)
}

#[test]
fn merged_weights_give_the_logits_of_the_method_beside_them() {
    for variant in VARIANTS {
        let (backbone, expected) = (backbone(variant), Expected::read(variant));
        let pretrained = plain(backbone.as_ref(), &expected);
        for (label, name, settings) in every_path() {
            let built = method(name, settings);
            let parameters = moved(&built, &[7], backbone.as_ref());
            let adaptation = Adaptation::new(built.method.as_ref(), &parameters);
            let weights = match (backbone.merged(&adaptation), MERGED.contains(&name)) {
                (Ok(weights), true) => weights,
                (Err(reason), false) => {
                    assert!(reason.starts_with("it"), "{label}: {reason}");
                    continue;
                }
                (merged, _) => panic!("{label}: {:?}", merged.map(|_| "merged")),
            };
            let merged = backbone.configuration().build(weights);
            let unmerged = logits(backbone.as_ref(), built.method.as_ref(), &parameters, &expected);
            let error = relative_error(&plain(merged.as_ref(), &expected), &unmerged);
            println!("{variant} {label}: {error:.1e}");
            assert!(error < 1e-5, "{variant} {label}: {error:.1e}");
            assert!(relative_error(&pretrained, &unmerged) > 1e-4, "{variant} {label} changes nothing");
        }
    }
}

#[test]
fn offsets_of_tokens_fold_into_a_table_of_the_encoder() {
    for variant in VARIANTS {
        let (backbone, expected) = (backbone(variant), Expected::read(variant));
        for length in [0, 3] {
            let built = method("adept", json!({"prompt": {"length": length}, "bottleneck": 4}));
            let parameters = moved(&built, &[7], backbone.as_ref());
            let adaptation = Adaptation::new(built.method.as_ref(), &parameters);
            let (folded, table) = backbone.folded(&adaptation).unwrap();
            let unfolded = logits(backbone.as_ref(), built.method.as_ref(), &parameters, &expected);
            let error =
                relative_error(&logits(backbone.as_ref(), folded.as_ref(), &table, &expected), &unfolded);
            println!("{variant}, prompt of {length}: {error:.1e}");
            assert!(error < 1e-5, "{variant}: {error:.1e}");
            assert!(relative_error(&plain(backbone.as_ref(), &expected), &unfolded) > 1e-2);
            assert_eq!(folded.prompt_length(), length);
            assert_eq!(peft::num_trainable(folded.as_ref(), backbone.layout()), Ok(0));
            let answers = |method, parameters| {
                backbone.generate(&Adaptation::new(method, parameters), expected.batch(1).source, 6)
            };
            assert_eq!(answers(folded.as_ref(), &table), answers(built.method.as_ref(), &parameters));
        }
        let lora = method("lora", json!({}));
        let parameters = initial(&lora, &[7], backbone.as_ref());
        assert!(backbone.folded(&Adaptation::new(lora.method.as_ref(), &parameters)).is_none());
    }
}

/// Doubles the logits.
#[derive(Debug)]
struct DoubledHead;

impl Method for DoubledHead {
    fn parameters(&self, _layout: &Layout) -> Result<Vec<Parameter>, String> {
        Ok(Vec::new())
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        Vec::new()
    }

    fn merges(&self) -> Result<(), String> {
        Ok(())
    }

    fn merged(&self, _context: &Context, linear: &Linear, weight: Tensor<2>) -> Tensor<2> {
        if linear.site == Site::Head { weight * 2.0 } else { weight }
    }
}

#[test]
fn a_head_that_is_the_embedding_table_is_not_changed_alone() {
    let merged = |variant: &str| {
        let (backbone, expected) = (backbone(variant), Expected::read(variant));
        let none = Parameters::none(1, backbone.dtype());
        let weights = backbone.merged(&Adaptation::new(&DoubledHead, &none))?;
        let doubled = plain(backbone.configuration().build(weights).as_ref(), &expected);
        Ok((doubled, plain(backbone.as_ref(), &expected)))
    };
    let refused: Result<_, String> = merged("original");
    let reason = refused.unwrap_err();
    assert!(reason.contains("lm_head") && reason.contains("embedding table"), "{reason}");
    let (doubled, single) = merged("v1_1").unwrap();
    assert!(doubled.iter().zip(&single).all(|(a, b)| *a == 2.0 * b));
}

#[test]
#[should_panic(expected = "a single run")]
fn several_runs_are_not_merged_at_once() {
    let backbone = backbone("original");
    let lora = method("lora", json!({}));
    let parameters = initial(&lora, &[1, 2], backbone.as_ref());
    let _ = backbone.merged(&Adaptation::new(lora.method.as_ref(), &parameters));
}

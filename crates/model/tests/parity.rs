//! T5 against transformers, on the committed fixtures of both variants.

mod common;

use std::collections::HashSet;

use burn::tensor::kind::Numeric;
use burn::tensor::{DType, Tensor};
use common::{Expected, VARIANTS, backbone, device, identity, relative_error, values};
use peft_model::dropout::Dropout;
use peft_model::t5::relative_position_bucket;
use peft_model::{Adaptation, Batch, Rows, families};

#[test]
fn logits_losses_and_log_probabilities_agree() {
    for variant in VARIANTS {
        let (backbone, expected) = (backbone(variant), Expected::read(variant));
        let (built, parameters) = identity(backbone.as_ref());
        let adaptation = Adaptation::new(built.method.as_ref(), &parameters);
        let batch = expected.batch(1);
        let logits =
            relative_error(&values(backbone.target_logits(&adaptation, &batch)), &expected.floats("logits"));
        let loss =
            relative_error(&values(backbone.target_loss(&adaptation, &batch)), &expected.floats("loss"));
        let log_probability = relative_error(
            &values(backbone.target_log_probabilities(&adaptation, &batch)),
            &expected.floats("logprob"),
        );
        println!(
            "{variant}: relative errors: logits {logits:.1e}, loss {loss:.1e}, log-probability {log_probability:.1e}"
        );
        assert!(logits < 1e-5 && loss < 1e-5 && log_probability < 1e-5);
    }
}

#[test]
fn several_targets_of_the_same_sources_score_as_each_alone() {
    for variant in VARIANTS {
        let (backbone, expected) = (backbone(variant), Expected::read(variant));
        let (built, parameters) = identity(backbone.as_ref());
        let adaptation = Adaptation::new(built.method.as_ref(), &parameters);
        let batch = expected.batch(1);
        let Rows { ids, mask, tasks } = batch.target.clone();
        // Every row gets another one's target.
        let other =
            Batch { target: Rows { ids: ids.flip([1]), mask: mask.flip([1]), tasks }, ..batch.clone() };
        let both = [batch, other];
        let together = backbone.alternative_log_probabilities(&adaptation, &both);
        let [first, second] = [0, 1].map(|i: usize| values(together[i].clone()));
        assert!(relative_error(&first, &second) > 0.01, "the targets differ");
        for (batch, found) in both.iter().zip([first, second]) {
            let alone = values(backbone.target_log_probabilities(&adaptation, batch));
            assert!(relative_error(&found, &alone) < 1e-6, "{variant}: {found:?} {alone:?}");
        }
    }
}

#[test]
fn greedy_ids_are_identical() {
    for variant in VARIANTS {
        let (backbone, expected) = (backbone(variant), Expected::read(variant));
        let (built, parameters) = identity(backbone.as_ref());
        let adaptation = Adaptation::new(built.method.as_ref(), &parameters);
        let batch = expected.batch(1);
        let generated = backbone.generate(&adaptation, batch.source, 12);
        let width = expected.shape("generated")[1];
        let reference = expected.ints("generated");
        assert_telling(reference.chunks(width));
        for (ours, theirs) in generated[0].iter().zip(reference.chunks(width)) {
            // transformers starts with the start token and pads after the EOS token.
            let mut padded: Vec<i32> = ours.iter().map(|&id| id as i32).collect();
            padded.insert(0, 0);
            padded.resize(width, 0);
            assert_eq!(padded, theirs, "{variant}");
        }
    }
}

/// Rows that stopped together, or that repeat one id, would hide faults of greedy decoding.
fn assert_telling<'a>(rows: impl Iterator<Item = &'a [i32]>) {
    const END: i32 = 1;
    let mut ends = HashSet::new();
    for row in rows {
        let end = row.iter().position(|&id| id == END);
        let generated = &row[1..end.map_or(row.len(), |end| end + 1)];
        let distinct: HashSet<_> = generated.iter().collect();
        assert!(distinct.len() >= generated.len().min(3), "ids repeat: {row:?}");
        ends.insert(end);
    }
    assert!(ends.contains(&None), "every row stops before the limit");
    assert!(ends.len() >= 3, "rows stop together: {ends:?}");
}

#[test]
fn padding_to_256_changes_nothing() {
    for variant in VARIANTS {
        let (backbone, expected) = (backbone(variant), Expected::read(variant));
        let (built, parameters) = identity(backbone.as_ref());
        let loss = |batch: &Batch, training: bool| {
            let dropout = Dropout::new(&[3], 5);
            let adaptation = Adaptation {
                dropout: training.then_some(&dropout),
                ..Adaptation::new(built.method.as_ref(), &parameters)
            };
            values(backbone.target_loss(&adaptation, batch))
        };
        let narrow = expected.batch(1);
        let wide = Batch {
            source: pad_rows(&narrow.source, 256),
            target: pad_rows(&narrow.target, 20),
            slice: None,
        };
        // In training too: the dropout masks of real tokens do not depend on the width.
        for training in [false, true] {
            let error = relative_error(&loss(&wide, training), &loss(&narrow, training));
            println!("{variant}, training {training}: relative error of the loss {error:.1e}");
            assert!(error < 1e-6);
        }
        assert_ne!(loss(&narrow, true), loss(&narrow, false));
    }
}

fn pad_rows(rows: &Rows, width: usize) -> Rows {
    Rows { ids: pad_to(rows.ids.clone(), width), mask: pad_to(rows.mask.clone(), width), tasks: None }
}

fn pad_to<K: Numeric>(tensor: Tensor<3, K>, width: usize) -> Tensor<3, K> {
    let [runs, batch, length] = tensor.dims();
    let padding = Tensor::zeros([runs, batch, width - length], &tensor.device());
    Tensor::cat(vec![tensor, padding], 2)
}

#[test]
fn relative_positions_fall_into_the_reference_buckets() {
    let expected = Expected::read("original");
    for (buckets, furthest) in [(32, 128), (8, 20)] {
        for (stack, bidirectional) in [("encoder", true), ("decoder", false)] {
            let reference = expected.ints(&format!("buckets.{stack}.{buckets}"));
            for (i, &reference) in reference.iter().enumerate() {
                let distance = i as i64 - 700;
                let ours = relative_position_bucket(distance, bidirectional, buckets, furthest);
                assert_eq!(ours, i64::from(reference), "{stack}, {buckets} buckets, distance {distance}");
            }
        }
    }
}

#[test]
fn checkpoints_of_every_format_and_precision_load() {
    let reference = backbone("original");
    let folder = |name: &str| common::folder("formats").join(name);
    for (name, tolerance) in [("sharded", 0.0), ("pytorch", 0.0), ("f16", 1e-3), ("bf16", 1e-2)] {
        let loaded = families::load(&folder(name), &device(), DType::F32).unwrap();
        for (tensor, expected) in reference.weights().iter() {
            let error =
                relative_error(&values(loaded.weights().get(tensor).clone()), &values(expected.clone()));
            assert!(error <= tolerance, "{name}, {tensor}: {error:.1e}");
        }
    }
}

#[test]
fn a_saved_backbone_loads_as_it_was() {
    for variant in VARIANTS {
        let (backbone, folder) = (backbone(variant), tempfile::tempdir().unwrap());
        backbone.save(folder.path(), DType::F32).unwrap();
        let loaded = families::load(folder.path(), &device(), DType::F32).unwrap();
        assert_eq!(loaded.configuration().fields(), backbone.configuration().fields());
        for (name, tensor) in backbone.weights().iter() {
            assert_eq!(values(loaded.weights().get(name).clone()), values(tensor.clone()), "{name}");
        }
    }
}

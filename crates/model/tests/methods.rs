//! Every PEFT method against its PyTorch reference: the loss and the gradient of each trainable tensor at random parameter
//! values, scores and answers, and where it starts.

mod common;

use burn::tensor::{DType, Tensor, TensorData};
use common::{
    Expected, VARIANTS, backbone, device, fixtures, initial, largest, largest_difference, method,
    relative_error, values,
};
use peft_model::peft::ConfiguredMethod;
use peft_model::random::keyed_rng;
use peft_model::{Adaptation, Backbone, Batch, Init, Parameter, Parameters, SourceTensors};
use rand::Rng;
use serde_json::json;

fn from_fixture(
    built: &ConfiguredMethod,
    backbone: &dyn Backbone,
    expected: &Expected,
    fixture: &str,
) -> Parameters {
    let declared = built.method.parameters(backbone.layout()).unwrap();
    let run: Vec<Vec<f32>> = declared
        .iter()
        .map(|parameter| {
            let name = format!("{fixture}/value/{}", parameter.name);
            match parameter.init {
                _ if expected.contains(&name) => expected.floats(&name),
                Init::Backbone => values(backbone.weights().get(&parameter.name).clone()),
                // What a method has not begun to remember.
                Init::Zeros if !parameter.trains => vec![0.0; parameter.len()],
                _ => panic!("no fixture has {name}"),
            }
        })
        .collect();
    Parameters::from_host(declared, &[&run], &device(), DType::F32)
}

#[test]
fn losses_and_gradients_agree_with_the_reference() {
    for variant in VARIANTS {
        let (backbone, expected) = (backbone(variant), Expected::read(variant));
        for (fixture, name, settings) in fixtures() {
            let built = method(name, settings);
            let parameters = from_fixture(&built, backbone.as_ref(), &expected, fixture).tracked();
            let adaptation = Adaptation::new(built.method.as_ref(), &parameters);
            let loss = backbone.target_loss(&adaptation, &expected.batch(1));
            let loss_error =
                relative_error(&values(loss.clone().inner()), &expected.floats(&format!("{fixture}/loss")));
            let gradients = parameters.take_gradients(&mut loss.sum().backward());
            let (training, frozen): (Vec<_>, Vec<_>) =
                parameters.declared().iter().zip(gradients).partition(|(parameter, _)| parameter.trains);
            assert!(frozen.iter().all(|(_, gradient)| gradient.is_none()), "{fixture}");
            let reference =
                |(p, _): &(&Parameter, _)| expected.floats(&format!("{fixture}/gradient/{}", p.name));
            let references: Vec<Vec<f32>> = training.iter().map(reference).collect();
            // Some gradients are zero but for rounding, such as those of a bias on the keys.
            let smallest_scale = 1e-2 * references.iter().map(|r| largest(r)).fold(0f32, f32::max);
            let mut worst = 0f32;
            for ((parameter, gradient), reference) in training.into_iter().zip(&references) {
                let gradient =
                    gradient.unwrap_or_else(|| panic!("{fixture}: no gradient for {}", parameter.name));
                let scale = largest(reference).max(smallest_scale);
                worst = worst.max(largest_difference(&values(gradient), reference) / scale);
            }
            println!(
                "{variant} {fixture}: relative errors: loss {loss_error:.1e}, worst gradient {worst:.1e}"
            );
            assert!(loss_error < 1e-5 && worst < 1e-4, "{variant} {fixture}");
        }
    }
}

#[test]
fn scores_and_answers_agree_with_the_reference() {
    for variant in VARIANTS {
        let (backbone, expected) = (backbone(variant), Expected::read(variant));
        let with_answers =
            fixtures().into_iter().filter(|(f, ..)| expected.contains(&format!("{f}/generated")));
        let mut checked = 0;
        for (fixture, name, settings) in with_answers {
            let built = method(name, settings);
            let parameters = from_fixture(&built, backbone.as_ref(), &expected, fixture);
            let adaptation = Adaptation::new(built.method.as_ref(), &parameters);
            let batch = expected.batch(1);
            let scores = values(backbone.target_log_probabilities(&adaptation, &batch));
            let error = relative_error(&scores, &expected.floats(&format!("{fixture}/logprob")));
            assert!(error < 1e-5, "{variant} {fixture}: {error:.1e}");
            let name = format!("{fixture}/generated");
            let width = expected.shape(&name)[1];
            let generated = backbone.generate(&adaptation, batch.source, width - 1);
            for (ours, theirs) in generated[0].iter().zip(expected.ints(&name).chunks(width)) {
                // The reference starts with the start token and pads after the EOS token.
                let mut padded: Vec<i32> = ours.iter().map(|&id| id as i32).collect();
                padded.insert(0, 0);
                padded.resize(width, 0);
                assert_eq!(padded, theirs, "{variant} {fixture}");
            }
            checked += 1;
        }
        assert!(checked >= 19, "{checked}");
    }
}

#[test]
fn what_starts_from_the_backbone_starts_where_the_reference_does() {
    for variant in VARIANTS {
        let (backbone, expected) = (backbone(variant), Expected::read(variant));
        let mut checked = 0;
        for (fixture, name, settings) in fixtures() {
            let built = method(name, settings);
            let parameters = initial(&built, &[1], backbone.as_ref());
            for (parameter, values) in parameters.declared().iter().zip(parameters.run_to_host(0)) {
                let reference = format!("{fixture}/initial/{}", parameter.name);
                if expected.contains(&reference) {
                    assert_eq!(values, expected.floats(&reference), "{variant} {reference}");
                    checked += 1;
                }
            }
        }
        assert!(checked >= 8, "{checked}");
    }
}

#[test]
fn rows_have_what_is_of_their_tasks() {
    let sources = json!(["a", "b"]);
    for (name, settings) in [
        ("hyperformer", json!({"reduction": 4})),
        ("attempt", json!({"prompt": {"length": 3}, "sources": sources, "temperature": 0.01})),
        ("mpt", json!({"prompt": {"length": 3}, "sources": sources})),
    ] {
        for variant in VARIANTS {
            check_rows_of_tasks(variant, name, &settings);
        }
    }
}

/// A method of two tasks scores each row as the method of one does that has what is of the row's task.
fn check_rows_of_tasks(variant: &str, name: &str, settings: &serde_json::Value) {
    let (backbone, expected) = (backbone(variant), Expected::read(variant));
    let of_tasks = |tasks: usize| {
        let mut settings = settings.clone();
        settings["tasks"] = tasks.into();
        let built = method(name, settings);
        let declared = built.method.parameters(backbone.layout()).unwrap();
        (built, declared)
    };
    let scores = |tasks: usize, run: &[Vec<f32>], rows: Option<[i64; 4]>| {
        let (built, declared) = of_tasks(tasks);
        let parameters = Parameters::from_host(declared, &[run], &device(), DType::F32);
        let mut batch = expected.batch(1);
        let tensor = |rows: [i64; 4]| Tensor::from_data(TensorData::new(rows.to_vec(), [1, 4]), &device());
        batch.source.tasks = rows.map(tensor);
        values(
            backbone.target_log_probabilities(&Adaptation::new(built.method.as_ref(), &parameters), &batch),
        )
    };
    let ((_, single), (_, double)) = (of_tasks(1), of_tasks(2));
    let random = |parameter: &Parameter| -> Vec<f32> {
        let mut rng = keyed_rng(3, &parameter.name);
        (0..parameter.len()).map(|_| rng.random_range(-1.0..1.0)).collect()
    };
    let both: Vec<Vec<f32>> = double.iter().map(random).collect();
    let of_task = |task: usize| {
        let own = both.iter().zip(&single).map(|(values, one)| match values.len() == one.len() {
            true => values.clone(),
            false => values[task * one.len()..][..one.len()].to_vec(),
        });
        scores(1, &own.collect::<Vec<_>>(), None)
    };
    let (first, second) = (of_task(0), of_task(1));
    assert!(first.iter().zip(&second).all(|(a, b)| (a - b).abs() > 1e-3), "{name}: {first:?} {second:?}");
    let mixed = scores(2, &both, Some([0, 1, 1, 0]));
    let expected = [first[0], second[1], second[2], first[3]];
    assert!(relative_error(&mixed, &expected) < 1e-5, "{variant} {name}: {mixed:?} {expected:?}");
    let untold = scores(2, &both, None);
    assert!(relative_error(&untold, &first) < 1e-5, "{name}: rows that do not say are of the first");
}

#[test]
fn a_student_comes_near_the_teacher_of_each_rows_task_as_the_reference_does() {
    for variant in VARIANTS {
        let (backbone, expected) = (backbone(variant), Expected::read(variant));
        let of = |name: &str| expected.floats(&format!("mpt-source/{name}"));
        let tasks = ["rte", "cola", "mrpc"];
        let settings = json!({"prompt": {"length": 6}, "sources": tasks, "temperature": 2.0});
        let built = method("mpt-source", settings);
        let parameters = from_fixture(&built, backbone.as_ref(), &expected, "mpt-source").tracked();
        let adaptation = Adaptation::new(built.method.as_ref(), &parameters);
        let tasks: Vec<u32> = expected.ints("mpt-source/tasks").into_iter().map(|task| task as u32).collect();
        let rows = expected.rows();
        let pairs: Vec<(&[u32], &[u32])> = rows.iter().map(|(s, t)| (&s[..], &t[..])).collect();
        // Whole, then in slices whose parts add up to it.
        for most in [rows.len(), 3] {
            let (mut loss, mut added, mut sums) = (0.0, 0.0, vec![None; 4]);
            for mut batch in Batch::slices(std::slice::from_ref(&pairs), most, 0, &device()) {
                batch.tell_tasks(std::slice::from_ref(&tasks));
                let last = backbone.target_state(&adaptation, &batch);
                let part = backbone.distillation(&adaptation, &last, &batch).unwrap();
                let of_targets = backbone.target_loss(&adaptation, &batch);
                loss += values(of_targets.clone().inner())[0];
                added += values(part.clone().inner())[0];
                let own = parameters.take_gradients(&mut (of_targets + part).sum().backward());
                for (sum, own) in sums.iter_mut().zip(own) {
                    *sum = match (sum.take(), own) {
                        (Some(sum), Some(own)) => Some(sum + own),
                        (sum, own) => sum.or(own),
                    };
                }
            }
            assert!(sums[3].is_none(), "the teachers' prompts do not train");
            let gradients: Vec<Vec<f32>> = sums.into_iter().flatten().map(values).collect();
            assert!(loss > 0.0 && added > 0.0 && gradients.len() == 3);
            let errors = [relative_error(&[loss], &of("loss")), relative_error(&[added], &of("added"))];
            println!("{variant}, at most {most} rows: relative errors {errors:?}");
            assert!(errors.iter().all(|error| *error < 1e-5), "{variant}: {errors:?}");
            for (parameter, gradient) in parameters.declared().iter().zip(&gradients) {
                let error = relative_error(gradient, &of(&format!("gradient/{}", parameter.name)));
                assert!(error < 1e-4, "{variant} {}: {error:.1e}", parameter.name);
            }
        }
    }
}

#[test]
fn methods_with_sources_start_from_what_these_trained() {
    for variant in VARIANTS {
        let (backbone, expected) = (backbone(variant), Expected::read(variant));
        let prompts = expected.floats("mpt-fit/sources");
        let [count, length, d] = expected.shape("mpt-fit/sources").try_into().unwrap();
        let tuned = method("prompt-tuning", json!({"prompt": {"length": length}}));
        let declared = tuned.method.parameters(backbone.layout()).unwrap();
        let trained = |values: &[f32]| {
            let run = vec![values.to_vec()];
            Parameters::from_host(declared.clone(), &[&run], &device(), DType::F32).to_source()
        };
        let sources: Vec<SourceTensors> = prompts.chunks(length * d).map(trained).collect();
        let start = |name: &str, sources: &[SourceTensors]| {
            let tasks: Vec<String> = (0..sources.len()).map(|i| format!("task {i}")).collect();
            let mut settings = json!({"prompt": {"length": length}, "sources": tasks});
            if name == "mpt" {
                settings["source_stage"] = "rank-one-fit".into();
            }
            let built = method(name, settings);
            let started =
                backbone.start_from(sources, built.method.as_ref(), &[1, 2], &common::tokenize).unwrap();
            assert_eq!(started.declared().len(), started.values().len());
            let names = started.declared().iter().map(|parameter| parameter.name.clone());
            names.zip(started.run_to_host(1)).collect::<std::collections::HashMap<_, _>>()
        };
        assert_eq!(count, 3);
        assert_eq!(start("spot", &sources[1..2])["prompt"], prompts[length * d..2 * length * d]);
        assert_eq!(start("attempt", &sources)["source_prompts"], prompts);
        for (name, values) in start("mpt", &sources) {
            let error = relative_error(&values, &expected.floats(&format!("mpt-fit/start/{name}")));
            assert!(error < 1e-5, "{variant} {name}: {error:.1e}");
        }

        let mixture = method("mpt-source", json!({"prompt": {"length": length}, "sources": ["a", "b", "c"]}));
        let mixture = from_fixture(&mixture, backbone.as_ref(), &expected, "mpt-source");
        let target = method("mpt", json!({"prompt": {"length": length}, "sources": ["a", "b", "c"]}));
        let sources = [mixture.to_source()];
        let target = backbone.start_from(&sources, target.method.as_ref(), &[1], &common::tokenize).unwrap();
        for (parameter, values) in target.declared().iter().zip(target.run_to_host(0)) {
            let trained = expected.floats(&format!("mpt-source/value/{}", parameter.name));
            let of_tasks = trained.chunks(values.len());
            let mean =
                |at: usize| of_tasks.clone().map(|of_task| of_task[at]).sum::<f32>() / of_tasks.len() as f32;
            let means: Vec<f32> = (0..values.len()).map(mean).collect();
            assert!(relative_error(&values, &means) < 1e-6, "{variant} {}", parameter.name);
        }

        let sources: Vec<SourceTensors> = prompts.chunks(length * d).map(trained).collect();
        let built = method("spot", json!({"prompt": {"length": length + 1}}));
        let refused = |sources: &[SourceTensors]| {
            backbone.start_from(sources, built.method.as_ref(), &[1], &common::tokenize).unwrap_err()
        };
        assert!(
            refused(&sources[..1]).contains("`prompt` is [6, 32], not [7, 32]"),
            "{}",
            refused(&sources[..1])
        );
        assert_eq!(refused(&[]), "it starts from 1 sources, and 0 are given");
    }
}

//! What saves memory changes nothing but rounding, whatever the method: batches in slices, whose losses add up and whose
//! masks are those of the rows, and blocks that are computed a second time.

mod common;

use common::{
    Expected, VARIANTS, backbone, device, every_path, initial, largest, largest_difference, method,
    tell_tasks, values,
};
use peft_model::dropout::Dropout;
use peft_model::optim::{AdamW, AdamWSettings, Part, Update};
use peft_model::peft::ConfiguredMethod;
use peft_model::{Backbone, Batch, StepCount};

/// An epsilon beside which gradients are small, so that an update is as linear in them as can be.
const SETTINGS: AdamWSettings = AdamWSettings { epsilon: 10.0, weight_decay: 0.0, max_gradient_norm: 1e9 };

const SEEDS: [u64; 2] = [3, 4];

/// The loss of each run, and how an update changes every parameter.
fn update(
    backbone: &dyn Backbone,
    built: &ConfiguredMethod,
    slices: Vec<Batch>,
    gradient_checkpointing: bool,
) -> (Vec<f32>, Vec<Vec<f32>>) {
    let mut parameters = initial(built, &SEEDS, backbone);
    let before = [0, 1].map(|run| parameters.run_to_host(run)).concat();
    let rates = vec![built.method.learning_rates().into_iter().map(|(group, _)| (group, 1.0)).collect(); 2];
    let mut optimizer = AdamW::new(&parameters, SETTINGS);
    let method = built.method.as_ref();
    let update = Update {
        backbone,
        method,
        // The first of many, so that no method has done with its tensors.
        count: StepCount { step: 1, steps: 100 },
        rates: &rates,
        factor: 1.0,
        gradient_checkpointing,
    };
    let part = Part { slices, dropout: Dropout::new(&SEEDS, 7), share: 1.0 };
    let losses = update.apply(&mut parameters, &mut optimizer, [part]);
    let after = [0, 1].map(|run| parameters.run_to_host(run)).concat();
    let change = |(a, b): (&Vec<f32>, &Vec<f32>)| a.iter().zip(b).map(|(a, b)| b - a).collect();
    assert_eq!(losses.len(), 1, "slices of one batch have one loss");
    (values(losses[0].clone()), before.iter().zip(&after).map(change).collect())
}

#[test]
fn slices_and_checkpoints_train_as_the_whole_does() {
    for variant in VARIANTS {
        let (backbone, expected) = (backbone(variant), Expected::read(variant));
        let rows = expected.rows();
        let run: Vec<(&[u32], &[u32])> = rows.iter().map(|(s, t)| (&s[..], &t[..])).collect();
        let mut reversed = run.clone();
        reversed.reverse();
        let runs = [run, reversed];
        for (label, name, settings) in every_path() {
            let built = method(name, settings);
            let train = |most, checkpointing| {
                let mut slices = Batch::slices(&runs, most, 0, &device());
                slices.iter_mut().for_each(|slice| tell_tasks(slice, &built, runs.len(), runs[0].len()));
                update(backbone.as_ref(), &built, slices, checkpointing)
            };
            assert!(Batch::slices(&runs, 2, 0, &device()).len() > 1);
            let (loss, whole) = train(usize::MAX, false);
            let scale = whole.iter().map(|change| largest(change)).fold(0f32, f32::max);
            for (most, checkpointing) in [(1, false), (2, false), (usize::MAX, true), (2, true)] {
                let (its_loss, its) = train(most, checkpointing);
                let error = largest_difference(&its_loss, &loss) / largest(&loss);
                let changes =
                    its.iter().zip(&whole).map(|(its, whole)| largest_difference(its, whole) / scale);
                let worst = changes.fold(0f32, f32::max);
                let what = format!("{variant} {label}, {most} rows, checkpointing {checkpointing}");
                println!("{what}: loss {error:.1e}, change {worst:.1e}");
                assert!(error < 1e-6 && worst < 1e-4, "{what}: {error:.1e} {worst:.1e}");
            }
        }
    }
}

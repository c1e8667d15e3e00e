//! What every method promises, checked for each that is registered, as it comes: it starts where it says, trains its own
//! tensors and all of them, leaves the backbone alone, is saved and loaded whole or not at all, decodes step by step what it
//! scores at once, repeats itself to the bit, and learns. That runs side by side do not notice each other is in company.rs.

mod common;

use std::path::Path;

use burn::tensor::{Tensor, TensorData};
use common::{
    Expected, VARIANTS, as_it_comes, backbone, device, initial, largest, largest_difference, values,
};
use peft_model::dropout::Dropout;
use peft_model::optim::{AdamW, AdamWSettings, Part, Rates, Update};
use peft_model::peft::{self, ConfiguredMethod, METHODS};
use peft_model::random::keyed_rng;
use peft_model::{Adaptation, Backbone, Batch, Parameters, StepCount, adapter};
use rand::Rng;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// A method on a backbone.
struct Case {
    backbone: Box<dyn Backbone>,
    built: ConfiguredMethod,
    expected: Expected,
}

/// Whether a property holds.
enum Verdict {
    Holds,
    /// The method does not claim it.
    NotClaimed,
    Fails(String),
}

use Verdict::{Fails, Holds, NotClaimed};

impl Verdict {
    fn of(holds: bool, why: impl FnOnce() -> String) -> Self {
        if holds { Holds } else { Fails(why()) }
    }

    fn cell(&self) -> &'static str {
        match self {
            Holds => "yes",
            NotClaimed => "not claimed",
            Fails(_) => "NO",
        }
    }
}

type Property = fn(&Case) -> Verdict;

const PROPERTIES: [(&str, Property); 8] = [
    ("starts at backbone", starts_at_backbone),
    ("gradients", gradients_are_of_all_that_trains),
    ("backbone kept", training_leaves_the_backbone),
    ("saved and loaded", saving_keeps_every_bit),
    ("others refused", other_tensors_are_refused),
    ("stepwise", steps_give_what_is_scored_at_once),
    ("repeats", training_repeats_itself),
    ("learns", learns),
];

#[test]
fn every_method_keeps_its_promises() {
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for variant in VARIANTS {
        for registered in METHODS {
            let backbone = backbone(variant);
            let built = as_it_comes(registered.name, backbone.as_ref());
            let case = Case { backbone, built, expected: Expected::read(variant) };
            let name = format!("{} ({variant})", registered.name);
            let mut row = format!("{name:33}");
            for (property, check) in PROPERTIES {
                let verdict = check(&case);
                row += &format!(" {:>width$}", verdict.cell(), width = property.len().max(11));
                if let Fails(why) = verdict {
                    failures.push(format!("{name}: {property}: {why}"));
                }
            }
            rows.push(row);
        }
    }
    let heads = PROPERTIES.map(|(property, _)| format!(" {property:>11}")).concat();
    println!("{:33}{heads}\n{}", "method", rows.join("\n"));
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

impl Case {
    fn start(&self, seed: u64) -> Parameters {
        initial(&self.built, &[seed], self.backbone.as_ref())
    }

    /// Values away from where the method starts, so that no zero hides another tensor.
    fn random(&self) -> Parameters {
        let start = self.start(1);
        let noisy = |i: usize, value: Tensor<2>| {
            let shape = value.dims();
            let mut rng = keyed_rng(2, &start.declared()[i].name);
            let noise: Vec<f32> = (0..shape[1]).map(|_| rng.random_range(-0.2..0.2)).collect();
            value + Tensor::from_data(TensorData::new(noise, shape), &device())
        };
        start.clone().map_values(noisy)
    }

    fn adaptation<'a>(&'a self, parameters: &'a Parameters) -> Adaptation<'a> {
        Adaptation::new(self.built.method.as_ref(), parameters)
    }

    fn loss(&self, parameters: &Parameters) -> Vec<f32> {
        values(self.backbone.target_loss(&self.adaptation(parameters), &self.expected.batch(1)))
    }

    /// The parameters after so many updates on the fixture's batch: at ten times the rates of a real training, which few
    /// updates would not show, but at most `highest`.
    fn train(&self, steps: u64, highest: f64) -> Parameters {
        let mut parameters = self.start(3);
        let settings = AdamWSettings { epsilon: 1e-6, weight_decay: 0.01, max_gradient_norm: 1.0 };
        let mut optimizer = AdamW::new(&parameters, settings);
        let raised = |(group, rate): (_, f64)| (group, (10.0 * rate).min(highest));
        let rates: Vec<Rates> = vec![self.built.method.learning_rates().into_iter().map(raised).collect()];
        for step in 1..=steps {
            let update = Update {
                backbone: self.backbone.as_ref(),
                method: self.built.method.as_ref(),
                count: StepCount { step, steps },
                rates: &rates,
                factor: 1.0,
                gradient_checkpointing: false,
            };
            let slices = vec![self.expected.batch(1)];
            let part = Part { slices, dropout: Dropout::new(&[3], step), share: 1.0 };
            update.apply(&mut parameters, &mut optimizer, [part]);
        }
        parameters
    }
}

fn bits(run: &[Vec<f32>]) -> Vec<Vec<u32>> {
    run.iter().map(|values| values.iter().map(|value| value.to_bits()).collect()).collect()
}

/// Two-sided: what starts at the backbone is to say so.
fn starts_at_backbone(case: &Case) -> Verdict {
    let (frozen, none) = (peft::frozen(), Parameters::none(1, case.backbone.dtype()));
    let batch = case.expected.batch(1);
    let logits = |adaptation: &Adaptation| values(case.backbone.target_logits(adaptation, &batch));
    let reference = logits(&Adaptation::new(frozen.method.as_ref(), &none));
    let own = logits(&case.adaptation(&case.start(5)));
    let error = largest_difference(&own, &reference) / largest(&reference);
    match (case.built.method.starts_at_backbone(), error < 1e-5) {
        (true, true) => Holds,
        (false, false) => NotClaimed,
        (true, false) => Fails(format!("logits differ by {error:.1e} of the largest")),
        (false, true) => Fails("it does, but `Method::starts_at_backbone` says otherwise".into()),
    }
}

fn gradients_are_of_all_that_trains(case: &Case) -> Verdict {
    let tracked = case.random().tracked();
    let loss = case.backbone.target_loss(&case.adaptation(&tracked), &case.expected.batch(1));
    let gradients = tracked.take_gradients(&mut loss.sum().backward());
    for (parameter, gradient) in tracked.declared().iter().zip(gradients) {
        let gradient = gradient.map(values);
        let right = match (&gradient, parameter.trains) {
            (Some(gradient), true) => gradient.iter().all(|g| g.is_finite()) && largest(gradient) > 0.0,
            (None, false) => true,
            _ => false,
        };
        if !right {
            let found = gradient.map(|gradient| largest(&gradient));
            return Fails(format!("`{}` has {found:?} for its largest gradient", parameter.name));
        }
    }
    Holds
}

fn training_leaves_the_backbone(case: &Case) -> Verdict {
    let snapshot = || {
        let weights = case.backbone.weights().iter();
        let mut all: Vec<_> =
            weights.map(|(name, tensor)| (name.to_string(), bits(&[values(tensor.clone())]))).collect();
        all.sort();
        all
    };
    let before = snapshot();
    case.train(3, 0.1);
    Verdict::of(before == snapshot(), || "its tensors changed".into())
}

fn load(case: &Case, path: &Path) -> Result<Parameters, String> {
    let declared = case.built.method.parameters(case.backbone.layout()).unwrap();
    adapter::load(declared, path, 1 << 30, &device(), case.backbone.dtype())
        .map_err(|error| error.to_string())
}

fn saving_keeps_every_bit(case: &Case) -> Verdict {
    let folder = tempfile::tempdir().unwrap();
    let (path, parameters) = (folder.path().join("adapter.safetensors"), case.random());
    adapter::save(&parameters, 0, &path).unwrap();
    let loaded = load(case, &path).unwrap();
    let same = bits(&loaded.run_to_host(0)) == bits(&parameters.run_to_host(0));
    let loss = bits(&[case.loss(&loaded)]) == bits(&[case.loss(&parameters)]);
    Verdict::of(same && loss, || "another file came back".into())
}

/// A file that lacks a tensor, has it under another name, or in another shape.
fn other_tensors_are_refused(case: &Case) -> Verdict {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapter.safetensors");
    adapter::save(&case.start(1), 0, &path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let whole = SafeTensors::deserialize(&bytes).unwrap();
    let declared = case.built.method.parameters(case.backbone.layout()).unwrap();
    let name = &declared.last().unwrap().name;
    let shape = [&[1], whole.tensor(name).unwrap().shape()].concat();
    for (what, renamed, shape) in [
        ("missing", None, None),
        ("renamed", Some("other"), None),
        ("reshaped", Some(name.as_str()), Some(shape)),
    ] {
        let others = whole.tensors().into_iter().filter(|(other, _)| other != name);
        let view = whole.tensor(name).unwrap();
        let shape = shape.unwrap_or(view.shape().to_vec());
        let changed = renamed
            .map(|renamed| (renamed.to_string(), TensorView::new(Dtype::F32, shape, view.data()).unwrap()));
        safetensors::serialize_to_file(others.chain(changed), None, &path).unwrap();
        match load(case, &path) {
            Ok(_) => return Fails(format!("`{name}` may be {what}")),
            Err(error) if error.contains(name.as_str()) || error.contains("other") => {}
            Err(error) => return Fails(format!("`{name}` is {what}, but the message is: {error}")),
        }
    }
    Holds
}

fn steps_give_what_is_scored_at_once(case: &Case) -> Verdict {
    let parameters = case.random();
    let adaptation = case.adaptation(&parameters);
    let answers = case.backbone.generate(&adaptation, case.expected.batch(1).source, 6).remove(0);
    let rows = case.expected.rows();
    let pairs: Vec<(&[u32], &[u32])> =
        rows.iter().zip(&answers).map(|(row, a)| (&row.0[..], &a[..])).collect();
    let batch = Batch::new(&[pairs], 0, &device());
    let best = case.backbone.target_logits(&adaptation, &batch).argmax(3);
    let width = best.dims()[2];
    let best: Vec<i64> = best.try_into_vec_as().unwrap();
    for (answer, best) in answers.iter().zip(best.chunks(width)) {
        let best: Vec<u32> = best.iter().take(answer.len()).map(|&id| id as u32).collect();
        if *answer != best {
            return Fails(format!("{answer:?} step by step, {best:?} at once"));
        }
    }
    Holds
}

fn training_repeats_itself(case: &Case) -> Verdict {
    let [once, again] = [(); 2].map(|()| bits(&case.train(3, 0.1).run_to_host(0)));
    Verdict::of(once == again, || "two trainings differ".into())
}

/// Highest learning rates with which learning is tried.
const RATES: [f64; 3] = [0.1, 0.3, 0.01];

fn learns(case: &Case) -> Verdict {
    let before = case.loss(&case.start(3))[0];
    // What moves a soft prompt puts some networks of a model this small beside themselves.
    let learned = RATES.iter().any(|&highest| case.loss(&case.train(30, highest))[0] < 0.99 * before);
    Verdict::of(learned, || format!("the loss, {before} before, did not fall"))
}

//! Every place at which a method can act, by small methods of this test's own.

mod common;

use burn::tensor::{Int, Tensor, TensorData};
use common::{Expected, backbone, device, values};
use peft_model::dropout::Dropout;
use peft_model::layout::{Layout, Stack};
use peft_model::ops::per_run;
use peft_model::optim::{AdamW, AdamWSettings, Part, Update};
use peft_model::{
    Adaptation, Backbone, Computed, Context, Gradients, Group, Init, Input, Method, Parameter, Parameters,
    StepCount, Weights, adapter, peft,
};

fn rates() -> Vec<(Group, f64)> {
    vec![(Group::NETWORK, 0.1)]
}

fn start(backbone: &dyn Backbone, method: &dyn Method, seeds: &[u64]) -> Parameters {
    backbone.start(method, seeds, &common::tokenize).unwrap()
}

/// Losses of the fixture's batch after so many updates, and the parameters.
fn train(backbone: &dyn Backbone, method: &dyn Method, seeds: &[u64], steps: u64) -> (Vec<f32>, Parameters) {
    train_with(backbone, method, seeds, steps, false)
}

fn train_with(
    backbone: &dyn Backbone,
    method: &dyn Method,
    seeds: &[u64],
    steps: u64,
    gradient_checkpointing: bool,
) -> (Vec<f32>, Parameters) {
    let mut parameters = start(backbone, method, seeds);
    let settings = AdamWSettings { epsilon: 1e-6, weight_decay: 0.0, max_gradient_norm: 1e9 };
    let mut optimizer = AdamW::new(&parameters, settings);
    let rates = vec![method.learning_rates(); seeds.len()];
    let mut last = Vec::new();
    for step in 1..=steps {
        let update = Update {
            backbone,
            method,
            count: StepCount { step, steps },
            rates: &rates,
            factor: 1.0,
            gradient_checkpointing,
        };
        let batch = Expected::read("original").batch(seeds.len());
        let part = Part { slices: vec![batch], dropout: Dropout::new(seeds, step), share: 1.0 };
        last = values(update.apply(&mut parameters, &mut optimizer, [part]).remove(0));
    }
    (last, parameters)
}

/// Puts a trained mixture of the states between the blocks in the place of the last.
#[derive(Debug)]
struct Mixture;

impl Mixture {
    fn name(stack: Stack) -> String {
        format!("mixture.{stack:?}")
    }
}

impl Method for Mixture {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let weights = |stack| {
            let last = layout.layers(stack);
            let one_hot =
                Computed::new(move |_: &Weights| (0..=last).map(|i| f32::from(i == last)).collect());
            Parameter::new(Self::name(stack), &[last + 1], Init::Computed(one_hot))
        };
        Ok([Stack::Encoder, Stack::Decoder].map(weights).into())
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        rates()
    }

    fn traces(&self) -> bool {
        true
    }

    fn output(&self, context: &Context, stack: Stack, output: Tensor<4>, trace: &[Tensor<4>]) -> Tensor<4> {
        assert_eq!(trace.len(), context.layout.layers(stack) + 1);
        let weights: Tensor<2> = context.parameters.get(&Self::name(stack));
        let width = output.dims()[3];
        let weighted = trace.iter().enumerate().map(|(i, states)| {
            let weight = weights.clone().narrow(1, i, 1).repeat_dim(1, width);
            states.clone() * per_run(weight, states)
        });
        weighted.reduce(|a, b| a + b).unwrap()
    }
}

#[test]
fn a_method_mixes_the_states_between_the_blocks() {
    for variant in common::VARIANTS {
        let (backbone, expected) = (backbone(variant), Expected::read(variant));
        let parameters = start(backbone.as_ref(), &Mixture, &[1, 2]);
        let adaptation = Adaptation::new(&Mixture, &parameters);
        let loss = values(backbone.target_loss(&adaptation, &expected.batch(2)));
        let reference = expected.floats("loss")[0];
        assert!(loss.iter().all(|loss| (loss - reference).abs() < 1e-5 * reference), "{loss:?} {reference}");
        let answers = backbone.generate(&adaptation, expected.batch(2).source, 5);
        let (frozen, none) = (peft::frozen(), Parameters::none(2, backbone.dtype()));
        let frozen = Adaptation::new(frozen.method.as_ref(), &none);
        assert_eq!(answers, backbone.generate(&frozen, expected.batch(2).source, 5));
    }
    let backbone = backbone("original");
    let (_, trained) = train(backbone.as_ref(), &Mixture, &[1], 2);
    let (_, recomputed) = train_with(backbone.as_ref(), &Mixture, &[1], 2, true);
    for (kept, recomputed) in trained.run_to_host(0).iter().zip(recomputed.run_to_host(0)) {
        assert!(common::relative_error(&recomputed, kept) < 1e-4, "{kept:?} {recomputed:?}");
    }
    for (start, trained) in
        start(backbone.as_ref(), &Mixture, &[1]).run_to_host(0).iter().zip(trained.run_to_host(0))
    {
        assert!(start.iter().zip(&trained).all(|(a, b)| a != b), "every state counts: {start:?} {trained:?}");
    }
}

/// Trains nothing that the loss depends on; the penalty pulls it to zero, and a counter counts.
#[derive(Debug)]
struct Counted {
    penalty: bool,
}

impl Method for Counted {
    fn parameters(&self, _layout: &Layout) -> Result<Vec<Parameter>, String> {
        Ok(vec![
            Parameter::new("pulled", &[3], Init::Ones),
            Parameter::new("count", &[1], Init::Zeros).frozen(),
        ])
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        rates()
    }

    fn penalty(&self, context: &Context) -> Option<Tensor<1>> {
        let pulled: Tensor<2> = context.parameters.get("pulled");
        self.penalty.then(|| pulled.powi_scalar(2).sum_dim(1).squeeze_dim(1))
    }

    fn after_update(&self, parameters: Parameters, gradients: &Gradients, count: StepCount) -> Parameters {
        assert_eq!(gradients.iter().map(Option::is_some).collect::<Vec<_>>(), [self.penalty, false]);
        parameters.map_values(|i, value| if i == 1 { value + 10.0 / count.steps as f64 } else { value })
    }
}

#[test]
fn a_method_adds_to_the_loss_and_remembers_between_updates() {
    let backbone = backbone("original");
    let (loss, without) = train(backbone.as_ref(), &Counted { penalty: false }, &[1, 2], 5);
    let (penalized, with) = train(backbone.as_ref(), &Counted { penalty: true }, &[1, 2], 5);
    assert_eq!(loss, penalized, "reported losses leave the penalty out");
    assert_eq!(without.run_to_host(1), [vec![1.0; 3], vec![10.0]]);
    let [pulled, count] = &with.run_to_host(1)[..] else { panic!("two parameters") };
    assert!(pulled.iter().all(|value| *value < 0.7), "{pulled:?}");
    assert_eq!(count, &[10.0]);
    assert_eq!(peft::num_trainable(&Counted { penalty: true }, backbone.layout()), Ok(3));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("counted.safetensors");
    adapter::save(&with, 1, &path).unwrap();
    let loaded = adapter::load(with.declared().to_vec(), &path, 4096, &device(), backbone.dtype()).unwrap();
    assert_eq!(loaded.run_to_host(0), with.run_to_host(1), "what does not train is kept too");
}

/// An embedding per task, added to every source position.
#[derive(Debug)]
struct TaskEmbeddings;

impl Method for TaskEmbeddings {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        Ok(vec![Parameter::new("tasks", &[2, layout.d_model], Init::Normal(1.0))])
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        rates()
    }

    fn input(&self, context: &Context, stack: Stack, input: Input) -> Input {
        let (Stack::Encoder, Some(tasks)) = (stack, context.tasks) else { return input };
        let [runs, batch, length, width] = input.embeddings.dims();
        let table: Tensor<3> = context.parameters.get("tasks");
        let first = Tensor::<1, Int>::arange(0..runs as i64, &tasks.device()) * 2;
        let rows = (tasks.clone() + first.unsqueeze_dim(1)).reshape([-1]);
        let own = table.reshape([-1, width as i64]).select(0, rows).reshape([runs, batch, 1, width]);
        Input { embeddings: input.embeddings + own.repeat_dim(2, length), ..input }
    }
}

#[test]
fn a_method_tells_tasks_apart() {
    let backbone = backbone("original");
    let parameters = start(backbone.as_ref(), &TaskEmbeddings, &[1]);
    let adaptation = Adaptation::new(&TaskEmbeddings, &parameters);
    let scores = |tasks: Option<[i64; 2]>| {
        let row: (&[u32], &[u32]) = (&[5, 8, 13, 1], &[21, 1]);
        let mut batch = peft_model::Batch::new(&[vec![row, row]], 0, &device());
        batch.source.tasks =
            tasks.map(|tasks| Tensor::from_data(TensorData::new(tasks.to_vec(), [1, 2]), &device()));
        let answers = backbone.generate(&adaptation, batch.source.clone(), 8);
        (values(backbone.target_log_probabilities(&adaptation, &batch)), answers)
    };
    let ((none, _), (same, _), (other, answers)) = (scores(None), scores(Some([1, 1])), scores(Some([0, 1])));
    assert_eq!((none[0], same[0]), (none[1], same[1]));
    assert!(other[0] != other[1] && other[1] == same[1] && none[0] != same[0], "{none:?} {same:?} {other:?}");
    assert_ne!(answers[0][0], answers[0][1]);
}

/// Starts from the norms of a weight's rows, and scales at random while it trains.
#[derive(Debug)]
struct Drawn;

impl Method for Drawn {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let linear = layout.linears[0].clone();
        let [rows, _] = linear.shape;
        let norms = Computed::new(move |weights: &Weights| {
            let squares = weights.get(&linear.weight).clone().powi_scalar(2).sum_dim(1);
            squares.sqrt().try_into_vec_as().expect("weights are floats")
        });
        Ok(vec![Parameter::new("norms", &[rows], Init::Computed(norms))])
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        rates()
    }

    fn input(&self, context: &Context, _stack: Stack, input: Input) -> Input {
        let Some(draws) = context.draws("input") else { return input };
        let width = input.embeddings.dims()[3];
        let draws: Vec<f32> = draws.iter().flat_map(|&draw| vec![1.0 + draw as f32; width]).collect();
        let runs = draws.len() / width;
        let factors = Tensor::from_data(TensorData::new(draws, [runs, width]), &input.embeddings.device());
        let embeddings = input.embeddings.clone() * per_run(factors, &input.embeddings);
        Input { embeddings, ..input }
    }
}

#[test]
fn a_method_starts_from_the_backbone_and_draws_anew_each_step() {
    let backbone = backbone("original");
    let parameters = start(backbone.as_ref(), &Drawn, &[1]);
    let weight = backbone.weights().get(&backbone.layout().linears[0].weight).clone();
    let [_, columns] = weight.dims();
    let norms: Vec<f32> =
        values(weight).chunks(columns).map(|row| row.iter().map(|x| x * x).sum::<f32>().sqrt()).collect();
    assert!(common::relative_error(&parameters.run_to_host(0)[0], &norms) < 1e-6);

    let batch = |runs| Expected::read("original").batch(runs);
    let loss = |seeds: &[u64], step: Option<u64>| {
        let parameters = start(backbone.as_ref(), &Drawn, seeds);
        let dropout = step.map(|step| Dropout::new(seeds, step));
        let adaptation = Adaptation { dropout: dropout.as_ref(), ..Adaptation::new(&Drawn, &parameters) };
        values(backbone.target_loss(&adaptation, &batch(seeds.len())))
    };
    assert_eq!(loss(&[3, 4], Some(7)), [loss(&[3], Some(7)), loss(&[4], Some(7))].concat());
    assert_ne!(loss(&[3], Some(7)), loss(&[3], Some(8)));
    let reference = Expected::read("original").floats("loss");
    assert!(common::relative_error(&loss(&[3], None), &reference) < 1e-5, "no draw in evaluation");
}

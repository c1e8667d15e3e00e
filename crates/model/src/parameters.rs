//! The tensors that a method adds to a backbone or trains in it.

use std::collections::HashMap;
use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::Rng;
use rand::seq::index;
use rand_distr::{Distribution, Normal, Uniform};

use crate::layout::Layout;
use crate::random::keyed_rng;
use crate::source::{FromSources, SourceTensors};
use crate::weights::Weights;

/// Parameters that share a learning rate, by the setting that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Group(pub &'static str);

impl Group {
    /// Soft prompts, which want learning rates of 0.3 and more.
    pub const PROMPT: Self = Self("prompt.learning_rate");
    /// Everything else.
    pub const NETWORK: Self = Self("learning_rate");
}

/// One tensor of a method, as it declares it.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its name in adapters and checkpoints.
    pub name: String,
    /// Shape of one run's tensor.
    pub shape: Vec<usize>,
    /// Which learning rate it has.
    pub group: Group,
    /// Where training starts.
    pub init: Init,
    /// Whether gradients change it. What does not train is kept in checkpoints all the same: fixed projections, or what
    /// a method remembers from one update to the next.
    pub trains: bool,
}

impl Parameter {
    /// Declares a parameter of [`Group::NETWORK`].
    pub fn new(name: impl Into<String>, shape: &[usize], init: Init) -> Self {
        Self { name: name.into(), shape: shape.to_vec(), group: Group::NETWORK, init, trains: true }
    }

    /// The same parameter, which no gradient changes.
    pub fn frozen(self) -> Self {
        Self { trains: false, ..self }
    }

    /// The same parameter in another group.
    pub fn in_group(self, group: Group) -> Self {
        Self { group, ..self }
    }

    /// Declares that a backbone tensor trains, starting from its pretrained value.
    pub fn backbone(name: &str, shape: [usize; 2]) -> Self {
        Self::new(name, &shape, Init::Backbone)
    }

    /// Number of elements of one run's tensor.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the tensor has no elements, as a prompt of length 0 has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where training starts.
#[derive(Debug, Clone)]
pub enum Init {
    /// All zeros.
    Zeros,
    /// All ones.
    Ones,
    /// Uniform in `[-bound, bound]`.
    Uniform(f64),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// The backbone tensor of the same name.
    Backbone,
    /// The embeddings of a text's tokens, EOS token included, repeated from the first until the table is full; of several
    /// tables, each.
    Text(String),
    /// Distinct random rows among this many first ones of the embedding table.
    SampledEmbeddingRows(usize),
    /// What a function of the backbone's tensors gives.
    Computed(Computed),
    /// What a function of the tensors of the method's sources gives: [`Method::sources`](crate::Method::sources).
    Sources(FromSources),
}

/// A function from the backbone's tensors to the values of a parameter, row after row.
#[derive(Clone)]
pub struct Computed(Arc<Function>);

type Function = dyn Fn(&Weights) -> Vec<f32> + Send + Sync;

impl Computed {
    /// Wraps a function.
    pub fn new(function: impl Fn(&Weights) -> Vec<f32> + Send + Sync + 'static) -> Self {
        Self(Arc::new(function))
    }
}

impl std::fmt::Debug for Computed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Computed")
    }
}

/// The tensors of several runs of one method.
///
/// Values are kept flat, `[runs, elements]` in f32, so that the optimizer, the gradient norm and
/// checkpoints treat all of them alike.
#[derive(Debug, Clone)]
pub struct Parameters {
    declared: Vec<Parameter>,
    values: Vec<Tensor<2>>,
    index: HashMap<String, usize>,
    runs: usize,
    dtype: DType,
}

impl Default for Parameters {
    /// No parameters and no runs.
    fn default() -> Self {
        Self::from_values(Vec::new(), Vec::new(), 0, DType::F32)
    }
}

/// Gradients in the order of the parameters, `[runs, elements]`; `None` where the loss does not depend.
pub type Gradients = Vec<Option<Tensor<2>>>;

impl Parameters {
    /// Initializes the parameters of one run per seed; `tokenize` gives the ids of a text, EOS token included. What a
    /// run starts from depends on its own seed and on the sources alone.
    ///
    /// # Errors
    /// When the sources lack a tensor that a parameter starts from, or it has another shape.
    pub fn init(
        declared: Vec<Parameter>,
        seeds: &[u64],
        layout: &Layout,
        weights: &Weights,
        tokenize: &dyn Fn(&str) -> Vec<u32>,
        sources: &[SourceTensors],
    ) -> Result<Self, String> {
        let origin = Origin { layout, weights, tokenize, sources };
        let values = declared.iter().map(|parameter| {
            let mut flat = Vec::with_capacity(seeds.len() * parameter.len());
            for &seed in seeds {
                flat.extend(origin.values(parameter, seed)?);
            }
            let shape = [seeds.len(), parameter.len()];
            Ok(Tensor::from_data(TensorData::new(flat, shape), weights.device()))
        });
        let values = values.collect::<Result<_, String>>()?;
        Ok(Self::from_values(declared, values, seeds.len(), weights.dtype()))
    }

    /// No parameters, for so many runs.
    pub fn none(runs: usize, dtype: DType) -> Self {
        Self::from_values(Vec::new(), Vec::new(), runs, dtype)
    }

    fn from_values(declared: Vec<Parameter>, values: Vec<Tensor<2>>, runs: usize, dtype: DType) -> Self {
        let index = declared.iter().enumerate().map(|(i, p)| (p.name.clone(), i)).collect();
        Self { declared, values, index, runs, dtype }
    }

    /// Number of runs side by side.
    pub fn runs(&self) -> usize {
        self.runs
    }

    /// What the method declared.
    pub fn declared(&self) -> &[Parameter] {
        &self.declared
    }

    /// Values in declaration order, each `[runs, elements]`.
    pub fn values(&self) -> &[Tensor<2>] {
        &self.values
    }

    /// Whether the method has a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    /// A tensor by name, `[runs, ...shape]`, in the backbone's type.
    ///
    /// # Panics
    /// When the method declared no such parameter, or one of another rank.
    pub fn get<const D: usize>(&self, name: &str) -> Tensor<D> {
        self.get_f32(name).cast(self.dtype)
    }

    /// A tensor by name, `[runs, ...shape]`, as the optimizer keeps it: for sums over many elements.
    ///
    /// # Panics
    /// When the method declared no such parameter, or one of another rank.
    pub fn get_f32<const D: usize>(&self, name: &str) -> Tensor<D> {
        let &i = self.index.get(name).unwrap_or_else(|| panic!("the method declared no parameter `{name}`"));
        let mut shape = [self.runs; D];
        shape[1..].copy_from_slice(&self.declared[i].shape);
        self.values[i].clone().reshape(shape)
    }

    /// The same parameters for a backbone of another type.
    pub(crate) fn for_dtype(&self, dtype: DType) -> Self {
        Self { dtype, ..self.clone() }
    }

    /// A copy whose tensors record what is done with them, for one training step.
    pub fn tracked(&self) -> Self {
        let tracked = |(parameter, value): (&Parameter, &Tensor<2>)| match parameter.trains {
            true => value.clone().autodiff().require_grad(),
            false => value.clone().autodiff(),
        };
        Self { values: self.declared.iter().zip(&self.values).map(tracked).collect(), ..self.clone() }
    }

    /// Takes the gradients of tracked parameters out of a backward pass.
    pub fn take_gradients(&self, gradients: &mut burn::tensor::Gradients) -> Gradients {
        let taken = |(parameter, value): (&Parameter, &Tensor<2>)| match parameter.trains {
            true => value.grad_remove(gradients),
            false => None,
        };
        self.declared.iter().zip(&self.values).map(taken).collect()
    }

    /// Changes each value, given its place in the declaration.
    pub fn map_values(self, mut change: impl FnMut(usize, Tensor<2>) -> Tensor<2>) -> Self {
        let values = self.values.into_iter().enumerate().map(|(i, value)| change(i, value)).collect();
        Self { values, ..self }
    }

    /// The same parameters with other values, `[runs, elements]` each, maybe of another number of runs.
    pub fn with_values(&self, values: Vec<Tensor<2>>) -> Self {
        let runs = values.first().map_or(self.runs, |v| v.dims()[0]);
        Self { values, runs, ..self.clone() }
    }

    /// Other parameters of the same runs.
    pub(crate) fn with(&self, declared: Vec<Parameter>, values: Vec<Tensor<2>>) -> Self {
        Self::from_values(declared, values, self.runs, self.dtype)
    }

    /// The parameters of some of the runs, in this order.
    pub fn select(&self, runs: &[usize]) -> Self {
        self.with_values(select_runs(&self.values, runs))
    }

    /// The tensors of the first run, for a method that starts from them.
    pub fn to_source(&self) -> SourceTensors {
        let tensor = |(parameter, values): (&Parameter, _)| {
            (parameter.name.clone(), (parameter.shape.clone(), values))
        };
        SourceTensors::new(self.declared().iter().zip(self.run_to_host(0)).map(tensor).collect())
    }

    /// Copies one run's values to the host, in declaration order.
    pub fn run_to_host(&self, run: usize) -> Vec<Vec<f32>> {
        self.values
            .iter()
            .map(|v| {
                let row = v.clone().inner().narrow(0, run, 1);
                row.try_into_vec_as::<f32>().expect("parameters are f32")
            })
            .collect()
    }

    /// Gathers runs from host values, one `Vec` per run as [`Parameters::run_to_host`] gives them.
    pub fn from_host(declared: Vec<Parameter>, runs: &[&[Vec<f32>]], device: &Device, dtype: DType) -> Self {
        let values = (0..declared.len())
            .map(|i| {
                let flat: Vec<f32> = runs.iter().flat_map(|run| run[i].iter().copied()).collect();
                Tensor::from_data(TensorData::new(flat, [runs.len(), declared[i].len()]), device)
            })
            .collect();
        Self::from_values(declared, values, runs.len(), dtype)
    }
}

/// Some of the runs of each tensor `[runs, elements]`, in this order.
///
/// # Panics
/// When no run is asked for: tensors without elements do not exist.
pub fn select_runs(tensors: &[Tensor<2>], runs: &[usize]) -> Vec<Tensor<2>> {
    tensors
        .iter()
        .map(|tensor| Tensor::cat(runs.iter().map(|&run| tensor.clone().narrow(0, run, 1)).collect(), 0))
        .collect()
}

/// What initial values are made from.
struct Origin<'a> {
    layout: &'a Layout,
    weights: &'a Weights,
    tokenize: &'a dyn Fn(&str) -> Vec<u32>,
    sources: &'a [SourceTensors],
}

impl Origin<'_> {
    fn values(&self, parameter: &Parameter, seed: u64) -> Result<Vec<f32>, String> {
        let count = parameter.len();
        let mut rng = keyed_rng(seed, &parameter.name);
        Ok(match &parameter.init {
            Init::Zeros => vec![0.0; count],
            Init::Ones => vec![1.0; count],
            Init::Uniform(bound) => draw(Uniform::new_inclusive(-bound, bound), count, &mut rng),
            Init::Normal(deviation) => draw(Normal::new(0.0, *deviation), count, &mut rng),
            Init::Backbone => to_host(self.weights.get(&parameter.name).clone()),
            Init::Text(text) => {
                let ids = (self.tokenize)(text);
                let [.., rows, width] = parameter.shape[..] else { unreachable!("a table of embeddings") };
                let one: Vec<u32> = ids.iter().copied().cycle().take(rows).collect();
                self.embedding_rows(one.repeat(count / (rows * width)))
            }
            Init::SampledEmbeddingRows(first) => {
                let first = (*first).min(self.layout.vocab_size);
                let rows = count / self.layout.d_model;
                self.embedding_rows(if rows <= first {
                    index::sample(&mut rng, first, rows).iter().map(|i| i as u32).collect()
                } else {
                    (0..rows).map(|_| rng.random_range(0..first) as u32).collect()
                })
            }
            Init::Computed(Computed(function)) => {
                let values = function(self.weights);
                assert_eq!(values.len(), count, "values computed for `{}`", parameter.name);
                values
            }
            Init::Sources(function) => {
                let values = function.values(self.sources)?;
                assert_eq!(values.len(), count, "values from sources for `{}`", parameter.name);
                values
            }
        })
    }

    fn embedding_rows(&self, ids: Vec<u32>) -> Vec<f32> {
        if ids.is_empty() {
            return Vec::new();
        }
        let ids: Vec<i64> = ids.into_iter().map(i64::from).collect();
        let count = ids.len();
        let ids =
            Tensor::<1, burn::tensor::Int>::from_data(TensorData::new(ids, [count]), self.weights.device());
        to_host(self.weights.get(&self.layout.embedding).clone().select(0, ids))
    }
}

fn draw<D: Distribution<f64>, E: std::fmt::Debug>(
    distribution: Result<D, E>,
    count: usize,
    rng: &mut impl Rng,
) -> Vec<f32> {
    let distribution = distribution.expect("methods declare finite bounds");
    (0..count).map(|_| distribution.sample(rng) as f32).collect()
}

fn to_host(tensor: Tensor<2>) -> Vec<f32> {
    tensor.try_into_vec_as::<f32>().expect("converted to f32")
}

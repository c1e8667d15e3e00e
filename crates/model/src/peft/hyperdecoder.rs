//! HyperDecoder (Ivison & Peters 2022): a network makes the decoder's adapters of what the encoder has read, for each text.
//!
//! Each feed-forward layer has an adapter beside it: `h + FF(LN(h)) + U relu(D LN(h) + a) + b`. The encoder's are trained
//! as they are. The decoder's are generated: with `e` the mean of the encoder's states over the source, layer `l` has
//!
//! ```text
//! x = relu(W [mlp(e); l] + c)        mlp(e) = W2 relu(W1 e + c1) + c2
//! D, a, U, b = affine in x
//! ```
//!
//! where `l` is a trained embedding of 10 numbers. Tasks are not told apart: texts are. It is trained on a mixture of tasks
//! (`train_on`), as HyperFormer is.
//!
//! Parameters, with `r` units in adapters and `h = hidden`: `L (2 d r + d + r)` in the encoder, `10 L` for the decoder's
//! layers, `2 (d^2 + d)` for the mlp, `(d + 10) h + h` for W, and `(h + 1)(2 d r + d + r)` for the generators. On T5-base
//! that is 15,259,192, or 14,078,008 without the mlp, of which an eighth for each of GLUE's tasks is the 1.8M of other
//! papers' tables.
//!
//! All of this is read from the authors' code. Defaults are those of its `glue_t5_base.json`: adapters of 64 units, a hidden
//! layer of 128, the mlp, adapters that read normed states, a learning rate of 3e-4; initial values are the code's, too,
//! with which adapters start as good as off.
//!
//! What goes wrong: generated weights start near zero, and their gradients, too, so that little moves in the first hundred
//! updates. Each text has weights of its own: `2 d r` numbers per layer and row in memory.

use burn::tensor::{DType, Tensor, activation};
use serde::{Deserialize, Serialize};

use super::{Registered, Validate, learning_rate, positive};
use crate::layout::{Branch, Layout, Stack, SublayerKind};
use crate::ops::{affine_per_run, per_sentence};
use crate::{Context, Group, Init, Method, Parameter};

pub(super) const REGISTERED: Registered =
    Registered::new::<HyperDecoder>("hyperdecoder", "HyperDecoder", "Ivison & Peters 2022");

/// Adapters beside feed-forward layers; the decoder's are generated from what the encoder gives.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HyperDecoder {
    /// Hidden units of the encoder's adapters.
    pub encoder_bottleneck: usize,
    /// Hidden units of the decoder's adapters.
    pub decoder_bottleneck: usize,
    /// Hidden units between the encoder's mean state and the generators.
    pub hidden: usize,
    /// Whether a network of two layers reads the encoder's mean state first.
    pub mlp: bool,
    /// Learning rate of all that trains.
    pub learning_rate: f64,
}

impl Default for HyperDecoder {
    fn default() -> Self {
        Self { encoder_bottleneck: 64, decoder_bottleneck: 64, hidden: 128, mlp: true, learning_rate: 3e-4 }
    }
}

impl Validate for HyperDecoder {
    fn validate(&self) -> Result<(), String> {
        positive("encoder_bottleneck", self.encoder_bottleneck)?;
        positive("decoder_bottleneck", self.decoder_bottleneck)?;
        positive("hidden", self.hidden)?;
        learning_rate("learning_rate", self.learning_rate)
    }
}

/// Numbers in the embedding of a layer.
const LAYER_EMBEDDING: usize = 10;

/// What initial weights that stand for adapters are scaled by: for trained ones, and for generated ones.
const TRAINED_GAIN: f64 = 1e-4;
const GENERATED_GAIN: f64 = 1e-3;

const LAYERS: &str = "decoder.hyper.layer_embeddings";

impl Method for HyperDecoder {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        if layout.layers(Stack::Encoder) == 0 {
            return Err("it reads what an encoder gives, and the model has none".into());
        }
        let (d, h) = (layout.d_model, self.hidden);
        let mut parameters = Vec::new();
        let mut affine = |name: String, [out, input]: [usize; 2], weight: f64, bias: Init| {
            parameters.push(Parameter::new(format!("{name}.weight"), &[out, input], Init::Uniform(weight)));
            parameters.push(Parameter::new(format!("{name}.bias"), &[out], bias));
        };
        let r = self.encoder_bottleneck;
        // Glorot's bound.
        let bound = TRAINED_GAIN * (6.0 / (d + r) as f64).sqrt();
        for branch in layout.branches.iter().filter(|branch| is_adapted(branch, Stack::Encoder)) {
            affine(format!("{}.adapter.down", branch.path), [r, d], bound, Init::Zeros);
            affine(format!("{}.adapter.up", branch.path), [d, r], bound, Init::Zeros);
        }
        // As torch initializes linear maps.
        let inverse_root = |inputs: usize| (inputs as f64).powf(-0.5);
        if self.mlp {
            for part in ["mlp.0", "mlp.2"] {
                affine(name(part), [d, d], inverse_root(d), Init::Uniform(inverse_root(d)));
            }
        }
        let inputs = d + LAYER_EMBEDDING;
        affine(name("projection"), [h, inputs], inverse_root(inputs), Init::Uniform(inverse_root(inputs)));
        for (part, size, fan_in) in self.generated(d) {
            let bound = GENERATED_GAIN * (3.0 / (h * fan_in) as f64).sqrt();
            affine(name(part), [size, h], bound, Init::Zeros);
        }
        let layers = layout.layers(Stack::Decoder);
        parameters.push(Parameter::new(LAYERS, &[layers, LAYER_EMBEDDING], Init::Normal(1.0)));
        Ok(parameters)
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::NETWORK, self.learning_rate)]
    }

    /// The mean state of each source, `[runs, batch, 1, d_model]`.
    fn read_source(&self, context: &Context, states: &Tensor<4>, mask: &Tensor<3>) -> Option<Tensor<4>> {
        let real = mask.clone().equal_elem(0).float().cast(DType::F32).unsqueeze_dim::<4>(3);
        let sum = (states.clone().cast(DType::F32) * real.clone()).sum_dim(2);
        let mean = (sum / real.sum_dim(2)).cast(states.dtype());
        if !self.mlp {
            return Some(mean);
        }
        let hidden = activation::relu(context.affine(&name("mlp.0"), mean));
        Some(context.affine(&name("mlp.2"), hidden))
    }

    fn beside(
        &self,
        context: &Context,
        branch: &Branch,
        input: &Tensor<4>,
        source: Option<&Tensor<4>>,
    ) -> Option<Tensor<4>> {
        match source {
            None if is_adapted(branch, Stack::Encoder) => {
                let part = |part: &str| format!("{}.adapter.{part}", branch.path);
                let hidden = activation::relu(context.affine(&part("down"), input.clone()));
                Some(context.affine(&part("up"), hidden))
            }
            Some(source) if is_adapted(branch, Stack::Decoder) => {
                Some(self.generated_adapter(context, branch.at.layer, input, source))
            }
            _ => None,
        }
    }

    fn merges(&self) -> Result<(), String> {
        Err("its adapters are not linear, and the decoder's differ from text to text".into())
    }
}

fn is_adapted(branch: &Branch, stack: Stack) -> bool {
    (branch.at.stack, branch.at.kind) == (stack, SublayerKind::FeedForward)
}

impl HyperDecoder {
    /// What is generated of an adapter, its size, and the inputs that a generated number has beside it.
    fn generated(&self, d: usize) -> [(&'static str, usize, usize); 4] {
        let r = self.decoder_bottleneck;
        [
            ("down.weight_generator", d * r, d),
            ("down.bias_generator", r, 1),
            ("up.weight_generator", r * d, r),
            ("up.bias_generator", d, 1),
        ]
    }

    /// What the adapters of a layer, one for each text, make of `[runs, batch, length, d_model]`.
    fn generated_adapter(
        &self,
        context: &Context,
        layer: usize,
        input: &Tensor<4>,
        source: &Tensor<4>,
    ) -> Tensor<4> {
        let ([runs, batch, length, d], r) = (input.dims(), self.decoder_bottleneck);
        let groups = runs * batch;
        let hidden = || {
            let embedding: Tensor<3> = context.parameters.get(LAYERS);
            let embedding = per_sentence(embedding.narrow(1, layer, 1), batch);
            activation::relu(
                context.affine(&name("projection"), Tensor::cat(vec![source.clone(), embedding], 3)),
            )
        };
        // Decoding step by step, all of this is the same at each step.
        let once = |part: &str, new: &dyn Fn() -> Tensor<4>| match context.memory {
            Some(memory) => memory.once(&format!("{part} of layer {layer}"), new),
            None => new(),
        };
        let hidden = once("hidden", &hidden);
        let generated = |part: &str| once(part, &|| context.affine(&name(part), hidden.clone()));
        // Generated in the order of rows, one for each input.
        let weight = |part: &str, [input, out]: [usize; 2]| {
            generated(part).reshape([groups, input, out]).swap_dims(1, 2)
        };
        let bias = |part: &str, out: usize| generated(part).reshape([groups, out]);
        // Where rows differ in their weights, each is a run to the operations.
        let input = input.clone().reshape([groups, 1, length, d]);
        let down = weight("down.weight_generator", [d, r]);
        let hidden = activation::relu(affine_per_run(input, down, bias("down.bias_generator", r)));
        let up = weight("up.weight_generator", [r, d]);
        affine_per_run(hidden, up, bias("up.bias_generator", d)).reshape([runs, batch, length, d])
    }
}

fn name(part: &str) -> String {
    format!("decoder.hyper.{part}")
}

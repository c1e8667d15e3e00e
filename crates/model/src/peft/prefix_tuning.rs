//! Prefix tuning (Li and Liang 2021): every attention looks at trained keys and values before its own,
//! `softmax(q [P_k; K]) [P_v; V]` (section 4.2); as published, a network makes those of all layers from one embedding per
//! position (section 4.3), and there is one network for each of the three kinds of attention.
//!
//! Parameters: for each kind of attention with `n` layers `p d + (d h + h) + (h + 1) 2 n i` with a network of `h` units, `i`
//! being the width of all heads; without it (`hidden = 0`) `2 p i` for each attention.
//!
//! Python's peft hands one prefix over as the cache of T5's decoder, where it has position biases: another model, which
//! `p-tuning-v2` can be.
//!
//! What goes wrong: without the network, training is unstable; a prefix takes a share of every attention from the first
//! update, so it does not start at the backbone.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::{Registered, Validate, learning_rate, positive};
use crate::layout::{Branch, Layout, Stack, Sublayer, SublayerKind};
use crate::ops::{affine_per_run, per_sentence};
use crate::settings::LARGEST;
use crate::{Context, Group, Init, KeysValues, Method, Parameter};

pub(super) const REGISTERED: Registered =
    Registered::new::<PrefixTuning>("prefix-tuning", "Prefix", "Li and Liang 2021");

/// Keys and values of `prefix_length` positions in the encoder, the decoder and the attention between them.
///
/// As published, a network makes those of all layers from one embedding per position (section 4.3); there is one
/// network for each of the three kinds of attention.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PrefixTuning {
    /// Positions before each attention's own.
    pub prefix_length: usize,
    /// Hidden units of the network; 0 trains keys and values themselves.
    pub hidden: usize,
    /// Learning rate of all that trains.
    pub learning_rate: f64,
}

impl Default for PrefixTuning {
    fn default() -> Self {
        Self { prefix_length: 20, hidden: 512, learning_rate: 5e-5 }
    }
}

impl Validate for PrefixTuning {
    fn validate(&self) -> Result<(), String> {
        positive("prefix_length", self.prefix_length)?;
        if self.hidden > LARGEST {
            return Err(format!("`hidden` is {}; it must be at most {LARGEST}", self.hidden));
        }
        learning_rate("learning_rate", self.learning_rate)
    }
}

impl Method for PrefixTuning {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        if self.hidden > 0 {
            let kinds = Kind::ALL.iter().filter(|kind| kind.layers(layout) > 0);
            return Ok(kinds.flat_map(|kind| self.network(*kind, layout)).collect());
        }
        let shape = [self.prefix_length, layout.inner_dim];
        let pair = |branch: &Branch| {
            ["keys", "values"].map(|part| Parameter::new(direct(branch, part), &shape, Init::Normal(1.0)))
        };
        let attentions = layout.branches.iter().filter(|branch| Kind::of(branch.at).is_some());
        Ok(attentions.flat_map(pair).collect())
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::NETWORK, self.learning_rate)]
    }

    fn prompt_length(&self) -> usize {
        self.prefix_length
    }

    fn prompt_setting(&self) -> &'static str {
        "prefix_length"
    }

    fn keys_values(&self, context: &Context, branch: &Branch, own: KeysValues) -> KeysValues {
        let Some(kind) = Kind::of(branch.at) else { return own };
        let [keys, values] = match self.hidden {
            0 => ["keys", "values"].map(|part| context.parameters.get::<3>(&direct(branch, part))),
            _ => made_by_network(context, kind, branch.at.layer),
        };
        let batch = own.keys.dims()[1];
        KeysValues { keys: per_sentence(keys, batch), values: per_sentence(values, batch) }.append(own)
    }

    fn merges(&self) -> Result<(), String> {
        Err("its prefixes are keys and values of no token, which no weight gives".into())
    }
}

impl PrefixTuning {
    fn network(&self, kind: Kind, layout: &Layout) -> Vec<Parameter> {
        let (d, hidden) = (layout.d_model, self.hidden);
        let out = kind.layers(layout) * 2 * layout.inner_dim;
        // As torch initializes embeddings and linear maps.
        let uniform = |inputs: usize| Init::Uniform((inputs as f64).powf(-0.5));
        vec![
            Parameter::new(kind.name("embedding"), &[self.prefix_length, d], Init::Normal(1.0)),
            Parameter::new(kind.name("down.weight"), &[hidden, d], uniform(d)),
            Parameter::new(kind.name("down.bias"), &[hidden], uniform(d)),
            Parameter::new(kind.name("up.weight"), &[out, hidden], uniform(hidden)),
            Parameter::new(kind.name("up.bias"), &[out], uniform(hidden)),
        ]
    }
}

/// Keys and values of a layer, `[runs, prefix_length, inner_dim]` each.
fn made_by_network(context: &Context, kind: Kind, layer: usize) -> [Tensor<3>; 2] {
    let inner = context.layout.inner_dim;
    let embedding: Tensor<3> = context.parameters.get(&kind.name("embedding"));
    let hidden = activation::tanh(affine_per_run(
        embedding.unsqueeze_dim(1),
        context.parameters.get(&kind.name("down.weight")),
        context.parameters.get(&kind.name("down.bias")),
    ));
    // Only this layer's rows: the other layers ask for theirs.
    [0, 1].map(|part| {
        let first = (2 * layer + part) * inner;
        let weight = context.parameters.get::<3>(&kind.name("up.weight")).narrow(1, first, inner);
        let bias = context.parameters.get::<2>(&kind.name("up.bias")).narrow(1, first, inner);
        affine_per_run(hidden.clone(), weight, bias).squeeze_dim(1)
    })
}

/// The three kinds of attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// The encoder's self-attention.
    Encoder,
    /// The decoder's self-attention.
    Decoder,
    /// The decoder's attention to the source.
    Cross,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Encoder, Self::Decoder, Self::Cross];

    pub(super) fn of(at: Sublayer) -> Option<Self> {
        match (at.kind, at.stack) {
            (SublayerKind::SelfAttention, Stack::Encoder) => Some(Self::Encoder),
            (SublayerKind::SelfAttention, Stack::Decoder) => Some(Self::Decoder),
            (SublayerKind::CrossAttention, _) => Some(Self::Cross),
            (SublayerKind::FeedForward, _) => None,
        }
    }

    /// Number of layers that have an attention of this kind; 0 where the backbone has none.
    fn layers(self, layout: &Layout) -> usize {
        layout.branches.iter().filter(|branch| Self::of(branch.at) == Some(self)).count()
    }

    fn name(self, part: &str) -> String {
        let kind = match self {
            Self::Encoder => "encoder",
            Self::Decoder => "decoder",
            Self::Cross => "cross",
        };
        format!("prefix.{kind}.{part}")
    }
}

pub(super) fn direct(branch: &Branch, part: &str) -> String {
    format!("{}.prefix_{part}", branch.path)
}

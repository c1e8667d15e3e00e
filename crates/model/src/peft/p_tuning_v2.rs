//! P-tuning v2 (Liu et al. 2022): trained keys and values at every layer, without a network that makes them.
//!
//! The arithmetic is that of `prefix-tuning` with `hidden = 0`: an attention of `q` over own keys
//! `K` and values `V` becomes `softmax(q [P_k; K]) [P_v; V]` (section 3.2). The paper tunes encoders, which have one
//! self-attention per layer; on T5 each of the three kinds of attention can have prefixes. The paper offers a network
//! too, and finds that it helps or hurts with the task; none is peft's default, and `prefix-tuning` has one.
//!
//! Parameters: `2 p` rows of all heads' width for each attention: `2 p h d_kv (L_e + 2 L_d)` on T5. They start standard
//! normal, as in peft. Lengths from 8 to 100 and learning rates from 5e-3 to 1e-2 are in the authors' scripts.
//!
//! peft's `PrefixTuningConfig` on T5 differs in three ways, since it hands the prefix over as the decoder's cache:
//! - Only the decoder's self-attention has prefixes: `attentions = ["decoder"]`.
//! - They count as positions right before the first token, and so have a position bias: `position_bias = true`.
//! - For an encoder-decoder it counts two submodules and tells the layers' rows apart wrongly: layer `i` takes the prefix
//!   of layer `2 i` modulo the number of layers, so that for an even number every other prefix trains twice and the rest
//!   not at all: `layers = "as-in-peft"`.
//!
//! With the first two settings, adapters travel to peft and back; with `layers = "own"` they are written into a table of
//! twice as many layers, of which peft's layer `i` takes layer `i`'s.
//!
//! What goes wrong: one learning rate serves no two lengths; and values start far larger than those of a pretrained
//! model's own keys and values may be.

use serde::{Deserialize, Serialize};

use super::prefix_tuning::{Kind, PrefixTuning};
use super::{Registered, Validate};
use crate::layout::{Branch, Layout, Stack};
use crate::{Context, Group, KeysValues, Method, Parameter};

pub(super) const REGISTERED: Registered =
    Registered::new::<PTuningV2>("p-tuning-v2", "P-tuning v2", "Liu et al. 2022").as_in_peft::<PTuningV2>();

/// Whose prefix an attention takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Layers {
    /// That of its own layer.
    Own,
    /// That of layer `2 i` modulo the number of layers, for layer `i`.
    AsInPeft,
}

/// Keys and values of `prefix_length` positions in each attention of some kinds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PTuningV2 {
    /// Positions before each attention's own.
    pub prefix_length: usize,
    /// The kinds of attention that have prefixes.
    pub attentions: Vec<Kind>,
    /// Whether prefixes of self-attentions count as positions right before the first token, and have their bias.
    pub position_bias: bool,
    /// Which layer's prefix an attention takes.
    pub layers: Layers,
    /// Learning rate of keys and values.
    pub learning_rate: f64,
}

impl Default for PTuningV2 {
    fn default() -> Self {
        Self {
            prefix_length: 20,
            attentions: Kind::ALL.into(),
            position_bias: false,
            layers: Layers::Own,
            learning_rate: 5e-3,
        }
    }
}

impl Validate for PTuningV2 {
    fn validate(&self) -> Result<(), String> {
        if self.attentions.is_empty() {
            return Err("`attentions` is empty; it must name some of encoder, decoder, cross".into());
        }
        self.prefixes().validate()
    }
}

impl PTuningV2 {
    fn prefixes(&self) -> PrefixTuning {
        PrefixTuning { prefix_length: self.prefix_length, hidden: 0, learning_rate: self.learning_rate }
    }

    fn has_prefix(&self, branch: &Branch) -> bool {
        Kind::of(branch.at).is_some_and(|kind| self.attentions.contains(&kind))
    }

    /// The attention whose prefix this one takes.
    fn source<'a>(&self, layout: &'a Layout, branch: &'a Branch) -> &'a Branch {
        let kind = Kind::of(branch.at);
        let alike: Vec<&Branch> = layout.branches.iter().filter(|other| Kind::of(other.at) == kind).collect();
        match self.layers {
            Layers::Own => branch,
            Layers::AsInPeft => alike[2 * branch.at.layer % alike.len()],
        }
    }
}

impl Method for PTuningV2 {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let mut prefixed = layout.clone();
        prefixed.branches.retain(|branch| self.has_prefix(branch));
        self.prefixes().parameters(&prefixed)
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        self.prefixes().learning_rates()
    }

    fn prompt_length(&self) -> usize {
        self.prefixes().prompt_length()
    }

    fn prompt_setting(&self) -> &'static str {
        "prefix_length"
    }

    fn keys_values(&self, context: &Context, branch: &Branch, own: KeysValues) -> KeysValues {
        match self.has_prefix(branch) {
            true => self.prefixes().keys_values(context, self.source(context.layout, branch), own),
            false => own,
        }
    }

    fn positioned_prefix(&self, stack: Stack) -> usize {
        let kind = match stack {
            Stack::Encoder => Kind::Encoder,
            Stack::Decoder => Kind::Decoder,
        };
        match self.position_bias && self.attentions.contains(&kind) {
            true => self.prefix_length,
            false => 0,
        }
    }

    fn merges(&self) -> Result<(), String> {
        Err("its prefixes are keys and values of no token, which no weight gives".into())
    }
}

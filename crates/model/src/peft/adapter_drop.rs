//! AdapterDrop (Rueckle et al. 2021): adapters as in `adapter`, but none in the first blocks of a stack.
//!
//! Specialized AdapterDrop (section 3): with `n` dropped of `L` blocks, sub-layers of blocks `n..L` have an adapter
//! `h + up(activation(down(h)))`, and those before have none, in training and after it; robust AdapterDrop, which draws
//! `n` anew for each batch, is not offered. The paper drops 5 of 12 blocks of BERT and RoBERTa, which have one stack; here
//! `drop_layers` holds for the encoder and for the decoder alike, and a stack of no more blocks has no adapter.
//!
//! Parameters: `2 d r + d + r` per adapter, which self-attention and feed-forward layers of the remaining blocks have
//! (one per block with the placement of Pfeiffer et al.), and with `train_norms` the scales of all norms, those of the
//! first blocks too: 1,101,984 on T5-base, where tables of other papers say 1.1M.
//!
//! What goes wrong: the speed is won only where no gradient has to pass the first blocks, so with `train_norms = false`.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::adapter::{Adapter, Nonlinearity, Placement};
use super::{Registered, Validate};
use crate::layout::{Branch, Layout, Stack};
use crate::settings::LARGEST;
use crate::{Context, Group, Method, Parameter};

pub(super) const REGISTERED: Registered =
    Registered::new::<AdapterDrop>("adapter-drop", "AdapterDrop", "Rueckle et al. 2021");

/// Adapters in all but the first blocks of each stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdapterDrop {
    /// Blocks of each stack, from the first, without adapters.
    pub drop_layers: usize,
    /// Hidden units of each adapter.
    pub bottleneck: usize,
    /// Which sub-layers of the other blocks have an adapter.
    pub placement: Placement,
    /// The bottleneck's non-linearity.
    pub activation: Nonlinearity,
    /// Whether T5's norm scales train too, in all blocks.
    pub train_norms: bool,
    /// Learning rate of all that trains.
    pub learning_rate: f64,
}

impl Default for AdapterDrop {
    fn default() -> Self {
        let Adapter { bottleneck, placement, activation, train_norms, learning_rate } = Adapter::default();
        Self { drop_layers: 5, bottleneck, placement, activation, train_norms, learning_rate }
    }
}

impl Validate for AdapterDrop {
    fn validate(&self) -> Result<(), String> {
        if self.drop_layers > LARGEST {
            return Err(format!("`drop_layers` is {}; it must be at most {LARGEST}", self.drop_layers));
        }
        self.adapter().validate()
    }
}

impl AdapterDrop {
    fn adapter(&self) -> Adapter {
        Adapter {
            bottleneck: self.bottleneck,
            placement: self.placement,
            activation: self.activation,
            train_norms: self.train_norms,
            learning_rate: self.learning_rate,
        }
    }
}

impl Method for AdapterDrop {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let deepest = layout.layers(Stack::Encoder).max(layout.layers(Stack::Decoder));
        if self.drop_layers >= deepest {
            let dropped = self.drop_layers;
            return Err(format!(
                "`drop_layers` is {dropped}; it must be below {deepest}, the depth of the model"
            ));
        }
        let mut kept = layout.clone();
        kept.branches.retain(|branch| branch.at.layer >= self.drop_layers);
        self.adapter().parameters(&kept)
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        self.adapter().learning_rates()
    }

    fn sublayer(&self, context: &Context, branch: &Branch, output: Tensor<4>) -> Tensor<4> {
        match branch.at.layer < self.drop_layers {
            true => output,
            false => self.adapter().sublayer(context, branch, output),
        }
    }

    fn merges(&self) -> Result<(), String> {
        Err("its bottlenecks are not linear, and the backbone has no weights for them".into())
    }
}

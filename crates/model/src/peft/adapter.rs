//! Bottleneck adapters: `h + up(activation(down(h)))` on sub-layer outputs, before they join the residual stream (Houlsby et
//! al. 2019, section 2.1); after self-attention and the feed-forward layer, or after the latter alone (Pfeiffer et al. 2021).
//!
//! Parameters: `2 d r + d + r` for each adapter, and with `train_norms` the scales of all norms: 1,855,104 on T5-base with
//! r = 24. Norms train in ATTEMPT's code, whose numbers the published tables have; T5's decoder has no adapter after
//! cross-attention there.
//!
//! What goes wrong: weights start so small that the first hundred updates hardly move; a bottleneck of a few units may
//! collapse to one class.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::{Registered, Validate, learning_rate, positive};
use crate::layout::{Branch, Layout, Sublayer, SublayerKind};
use crate::{Context, Group, Init, Method, Parameter};

pub(super) const REGISTERED: Registered =
    Registered::new::<Adapter>("adapter", "Adapter", "Houlsby et al. 2019");

/// `h + up(activation(down(h)))` on sub-layer outputs, before they join the residual stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Adapter {
    /// Hidden units of each adapter.
    pub bottleneck: usize,
    /// Which sub-layers have an adapter.
    pub placement: Placement,
    /// The bottleneck's non-linearity.
    pub activation: Nonlinearity,
    /// Whether T5's norm scales train too, as in ATTEMPT's lineage.
    pub train_norms: bool,
    /// Learning rate of all that trains.
    pub learning_rate: f64,
}

/// Which sub-layers have an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Placement {
    /// After self-attention and after the feed-forward layer (Houlsby et al. 2019).
    Houlsby,
    /// After the feed-forward layer only (Pfeiffer et al. 2021).
    Pfeiffer,
}

/// The bottleneck's non-linearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Nonlinearity {
    /// GELU's tanh approximation.
    GeluNew,
    Relu,
    Silu,
}

impl Default for Adapter {
    fn default() -> Self {
        Self {
            bottleneck: 24,
            placement: Placement::Houlsby,
            activation: Nonlinearity::GeluNew,
            train_norms: true,
            learning_rate: 3e-4,
        }
    }
}

/// Small enough that an adapter starts close to the identity.
const INITIAL_DEVIATION: f64 = 0.01;

impl Validate for Adapter {
    fn validate(&self) -> Result<(), String> {
        positive("bottleneck", self.bottleneck)?;
        learning_rate("learning_rate", self.learning_rate)
    }
}

impl Adapter {
    fn adapts(&self, at: Sublayer) -> bool {
        match at.kind {
            SublayerKind::FeedForward => true,
            SublayerKind::SelfAttention => self.placement == Placement::Houlsby,
            SublayerKind::CrossAttention => false,
        }
    }
}

impl Method for Adapter {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let (d, r) = (layout.d_model, self.bottleneck);
        let mut parameters = Vec::new();
        for branch in layout.branches.iter().filter(|branch| self.adapts(branch.at)) {
            let mut add = |part, shape: &[usize], init| {
                parameters.push(Parameter::new(name(branch, part), shape, init));
            };
            add("down.weight", &[r, d], Init::Normal(INITIAL_DEVIATION));
            add("down.bias", &[r], Init::Zeros);
            add("up.weight", &[d, r], Init::Normal(INITIAL_DEVIATION));
            add("up.bias", &[d], Init::Zeros);
        }
        if self.train_norms {
            parameters.extend(layout.norms.iter().map(|norm| Parameter::backbone(&norm.weight, [1, d])));
        }
        Ok(parameters)
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::NETWORK, self.learning_rate)]
    }

    fn sublayer(&self, context: &Context, branch: &Branch, output: Tensor<4>) -> Tensor<4> {
        if !self.adapts(branch.at) {
            return output;
        }
        let affine = |input, part: &str| context.affine(&name(branch, part), input);
        let hidden = self.activation.apply(affine(output.clone(), "down"));
        output + affine(hidden, "up")
    }

    fn merges(&self) -> Result<(), String> {
        Err("its bottlenecks are not linear, and the backbone has no weights for them".into())
    }
}

impl Nonlinearity {
    pub(super) fn apply(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Nonlinearity::GeluNew => activation::gelu_approximate(x),
            Nonlinearity::Relu => activation::relu(x),
            Nonlinearity::Silu => activation::silu(x),
        }
    }
}

fn name(branch: &Branch, part: &str) -> String {
    format!("{}.adapter.{part}", branch.path)
}

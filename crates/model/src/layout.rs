//! What a backbone consists of, whatever its family: the places at which methods act, and its tensors.

use crate::activation::Activation;

/// Encoder or decoder; a decoder-only model has the latter alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stack {
    /// Reads the source.
    Encoder,
    /// Writes the target.
    Decoder,
}

/// What a sub-layer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SublayerKind {
    /// Attention between the positions of a stack.
    SelfAttention,
    /// The decoder's attention to the encoded source.
    CrossAttention,
    /// The position-wise network.
    FeedForward,
}

/// One residual branch of one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sublayer {
    /// The stack that it is in.
    pub stack: Stack,
    /// Index of its block, from 0.
    pub layer: usize,
    /// What it does.
    pub kind: SublayerKind,
}

/// The part that a linear map plays in its sub-layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Projection {
    /// Queries of an attention.
    Query,
    /// Keys of an attention.
    Key,
    /// Values of an attention.
    Value,
    /// From mixed values back to the residual stream.
    Output,
    /// From the residual stream to the hidden units of a feed-forward layer.
    Up,
    /// The projection whose activation multiplies [`Projection::Up`], where the layer is gated.
    Gate,
    /// From the hidden units back to the residual stream.
    Down,
}

/// A place where a linear map acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Site {
    /// A projection inside a sub-layer.
    Projection(Sublayer, Projection),
    /// The map from decoder states to vocabulary logits.
    Head,
}

/// A place where a norm acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NormSite {
    /// Before a sub-layer.
    Sublayer(Sublayer),
    /// After the last block of a stack.
    Final(Stack),
}

/// A sub-layer of a backbone.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// Which one.
    pub at: Sublayer,
    /// Where the checkpoint keeps it, such as `encoder.block.0.layer.1`.
    pub path: String,
}

/// A linear map of a backbone.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// Where it acts.
    pub site: Site,
    /// Where the checkpoint keeps it, such as `encoder.block.0.layer.0.SelfAttention.q`.
    pub path: String,
    /// Name of its weight; a tied head has the embedding table's.
    pub weight: String,
    /// `[out, in]` sizes of its weight.
    pub shape: [usize; 2],
}

impl Linear {
    /// The last part of its path, by which settings name it: `q`.
    pub fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or(&self.path)
    }
}

/// A norm of a backbone.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// Where it acts.
    pub site: NormSite,
    /// Where the checkpoint keeps it, such as `encoder.final_layer_norm`.
    pub path: String,
    /// Name of its scale, a tensor `[1, d_model]`.
    pub weight: String,
}

/// A tensor of a backbone.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its name in the hub's checkpoints.
    pub name: String,
    /// All are two-dimensional: linear weights `[out, in]`, embedding tables `[rows, d_model]`, norm scales
    /// `[1, d_model]`.
    pub shape: [usize; 2],
    /// What it holds before anything has been trained.
    pub start: Start,
}

/// What a tensor holds before anything has been trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Start {
    /// One value everywhere.
    Constant(f32),
    /// Draws of a normal distribution with mean 0 and this standard deviation.
    Normal(f32),
}

/// Ids with a meaning of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Fills rows up.
    pub pad: u32,
    /// Ends sources and targets.
    pub eos: u32,
    /// Begins the decoder's input.
    pub decoder_start: u32,
}

/// The places and the tensors of a backbone, in the order of computation.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Hidden units of the feed-forward layers.
    pub d_ff: usize,
    /// Heads of each attention.
    pub num_heads: usize,
    /// Width of all heads together.
    pub inner_dim: usize,
    /// Non-linearity of the feed-forward layers.
    pub activation: Activation,
    /// Added to the mean square in the norms.
    pub norm_epsilon: f64,
    /// Ids with a meaning of their own.
    pub tokens: SpecialTokens,
    /// Name of the embedding table.
    pub embedding: String,
    /// Every sub-layer.
    pub branches: Vec<Branch>,
    /// Every linear map, the head last.
    pub linears: Vec<Linear>,
    /// Every norm, the final ones last.
    pub norms: Vec<Norm>,
    /// Every tensor.
    pub tensors: Vec<Stored>,
}

impl Layout {
    /// A sub-layer.
    ///
    /// # Panics
    /// When the backbone has none there.
    pub fn branch(&self, at: Sublayer) -> &Branch {
        let found = self.branches.iter().find(|branch| branch.at == at);
        found.unwrap_or_else(|| panic!("the backbone has no {at:?}"))
    }

    /// A linear map.
    ///
    /// # Panics
    /// When the backbone has none there.
    pub fn linear(&self, site: Site) -> &Linear {
        let found = self.linears.iter().find(|linear| linear.site == site);
        found.unwrap_or_else(|| panic!("the backbone has no linear map at {site:?}"))
    }

    /// A norm.
    ///
    /// # Panics
    /// When the backbone has none there.
    pub fn norm(&self, site: NormSite) -> &Norm {
        let found = self.norms.iter().find(|norm| norm.site == site);
        found.unwrap_or_else(|| panic!("the backbone has no norm at {site:?}"))
    }

    /// Number of blocks of a stack; 0 where the backbone lacks it.
    pub fn layers(&self, stack: Stack) -> usize {
        let layers = self.branches.iter().filter(|branch| branch.at.stack == stack).map(|b| b.at.layer + 1);
        layers.max().unwrap_or(0)
    }

    /// Number of parameters.
    pub fn num_parameters(&self) -> usize {
        self.tensors.iter().map(|Stored { shape: [rows, columns], .. }| rows * columns).sum()
    }
}

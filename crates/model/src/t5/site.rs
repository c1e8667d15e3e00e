use super::T5Config;

/// Encoder or decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stack {
    /// Reads the source.
    Encoder,
    /// Writes the target.
    Decoder,
}

impl Stack {
    /// Both stacks, encoder first.
    pub const ALL: [Stack; 2] = [Stack::Encoder, Stack::Decoder];

    /// Number of blocks.
    pub fn layers(self, config: &T5Config) -> usize {
        match self {
            Stack::Encoder => config.num_layers,
            Stack::Decoder => config.decoder_layers(),
        }
    }

    /// Name of the table that maps relative-position buckets to one bias per head.
    pub fn position_bias(self) -> String {
        format!("{self}.block.0.layer.0.SelfAttention.relative_attention_bias.weight")
    }

    /// Name of the norm after the last block.
    pub fn final_norm(self) -> String {
        format!("{self}.final_layer_norm.weight")
    }

    fn kinds(self) -> &'static [SublayerKind] {
        use SublayerKind::*;
        match self {
            Stack::Encoder => &[SelfAttention, FeedForward],
            Stack::Decoder => &[SelfAttention, CrossAttention, FeedForward],
        }
    }
}

impl std::fmt::Display for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Stack::Encoder => "encoder",
            Stack::Decoder => "decoder",
        })
    }
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

impl Sublayer {
    /// Every sub-layer of the model, in the order of computation.
    pub fn all(config: &T5Config) -> Vec<Sublayer> {
        let mut all = Vec::new();
        for stack in Stack::ALL {
            for layer in 0..stack.layers(config) {
                all.extend(stack.kinds().iter().map(|&kind| Sublayer { stack, layer, kind }));
            }
        }
        all
    }

    /// Where the checkpoint keeps this sub-layer, such as `encoder.block.0.layer.1`.
    pub fn path(&self) -> String {
        let index = match (self.kind, self.stack) {
            (SublayerKind::SelfAttention, _) => 0,
            (SublayerKind::CrossAttention, _) | (SublayerKind::FeedForward, Stack::Encoder) => 1,
            (SublayerKind::FeedForward, Stack::Decoder) => 2,
        };
        format!("{}.block.{}.layer.{index}", self.stack, self.layer)
    }

    /// Name of the norm before this sub-layer.
    pub fn norm(&self) -> String {
        format!("{}.layer_norm.weight", self.path())
    }

    /// The linear projections of this sub-layer.
    pub fn projections(&self, config: &T5Config) -> &'static [Projection] {
        use Projection::*;
        match self.kind {
            SublayerKind::SelfAttention | SublayerKind::CrossAttention => &[Q, K, V, O],
            SublayerKind::FeedForward if config.is_gated() => &[Wi0, Wi1, Wo],
            SublayerKind::FeedForward => &[Wi, Wo],
        }
    }

    /// The site of one projection of this sub-layer.
    pub fn site(self, projection: Projection) -> Site {
        Site::Projection(self, projection)
    }
}

/// A linear projection inside a sub-layer, by its name in the checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Projection {
    /// Queries.
    Q,
    /// Keys.
    K,
    /// Values.
    V,
    /// From mixed values back to the residual stream.
    O,
    /// To the hidden units, where the layer is not gated.
    Wi,
    /// The gated layer's activated input projection.
    Wi0,
    /// The gated layer's linear input projection.
    Wi1,
    /// From the hidden units back to the residual stream.
    Wo,
}

impl Projection {
    /// Short name, as in the checkpoint.
    pub fn name(self) -> &'static str {
        match self {
            Projection::Q => "q",
            Projection::K => "k",
            Projection::V => "v",
            Projection::O => "o",
            Projection::Wi => "wi",
            Projection::Wi0 => "wi_0",
            Projection::Wi1 => "wi_1",
            Projection::Wo => "wo",
        }
    }
}

/// A place where a linear map acts: the points at which LoRA, BitFit and others hook in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Site {
    /// A projection inside a sub-layer.
    Projection(Sublayer, Projection),
    /// The map from decoder states to vocabulary logits.
    Head,
}

impl Site {
    /// Every linear map of the model, the head last.
    pub fn all(config: &T5Config) -> Vec<Site> {
        let mut all: Vec<Site> = Sublayer::all(config)
            .into_iter()
            .flat_map(|s| s.projections(config).iter().map(move |&p| s.site(p)))
            .collect();
        all.push(Site::Head);
        all
    }

    /// Where the checkpoint keeps this map, such as `encoder.block.0.layer.0.SelfAttention.q`.
    pub fn path(&self) -> String {
        match self {
            Site::Head => "lm_head".into(),
            Site::Projection(sublayer, projection) => {
                let module = match sublayer.kind {
                    SublayerKind::SelfAttention => "SelfAttention",
                    SublayerKind::CrossAttention => "EncDecAttention",
                    SublayerKind::FeedForward => "DenseReluDense",
                };
                format!("{}.{module}.{}", sublayer.path(), projection.name())
            }
        }
    }

    /// Name of the weight in the backbone; a tied head shares the embedding table.
    pub fn weight(&self, config: &T5Config) -> String {
        match self {
            Site::Head if config.tie_word_embeddings => "shared.weight".into(),
            _ => format!("{}.weight", self.path()),
        }
    }

    /// `[out, in]` sizes of the weight.
    pub fn shape(&self, config: &T5Config) -> [usize; 2] {
        use Projection::*;
        match self {
            Site::Head => [config.vocab_size, config.d_model],
            Site::Projection(_, Q | K | V) => [config.inner_dim(), config.d_model],
            Site::Projection(_, O) => [config.d_model, config.inner_dim()],
            Site::Projection(_, Wi | Wi0 | Wi1) => [config.d_ff, config.d_model],
            Site::Projection(_, Wo) => [config.d_model, config.d_ff],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mirror_the_checkpoint() {
        let config = T5Config::t5_base();
        let names: Vec<String> = Site::all(&config).iter().map(|s| s.weight(&config)).collect();
        assert_eq!(names.len(), 12 * 6 + 12 * 10 + 1);
        for name in [
            "encoder.block.0.layer.0.SelfAttention.q.weight",
            "encoder.block.11.layer.1.DenseReluDense.wo.weight",
            "decoder.block.3.layer.1.EncDecAttention.o.weight",
            "decoder.block.3.layer.2.DenseReluDense.wi.weight",
            "shared.weight",
        ] {
            assert!(names.iter().any(|n| n == name), "{name}");
        }
    }
}

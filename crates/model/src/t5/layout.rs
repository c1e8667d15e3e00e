//! T5's places and tensors, by the names of the hub's checkpoints.

use super::T5Config;
use crate::layout::{
    Branch, Layout, Linear, Norm, NormSite, Projection, Site, SpecialTokens, Stack, Start, Stored, Sublayer,
    SublayerKind,
};

/// Name of the embedding table, which encoder, decoder and a tied head share.
pub(super) const SHARED: &str = "shared.weight";

/// Name of a head of its own.
pub(super) const HEAD: &str = "lm_head.weight";

/// The layout of a checked configuration.
pub(super) fn layout(config: &T5Config) -> Layout {
    let branches: Vec<Branch> = sublayers(config).map(|at| Branch { at, path: path(at) }).collect();
    let mut linears: Vec<Linear> = branches.iter().flat_map(|branch| linears_of(branch, config)).collect();
    linears.push(head(config));
    let mut norms: Vec<Norm> = branches.iter().map(norm_before).collect();
    norms.extend([Stack::Encoder, Stack::Decoder].map(final_norm));
    Layout {
        vocab_size: config.vocab_size,
        d_model: config.d_model,
        d_ff: config.d_ff,
        num_heads: config.num_heads,
        inner_dim: config.inner_dim(),
        activation: config.feed_forward_proj.activation,
        norm_epsilon: config.layer_norm_epsilon,
        tokens: SpecialTokens {
            pad: config.pad_token_id,
            eos: config.eos_token_id,
            decoder_start: config.decoder_start_token_id,
        },
        embedding: SHARED.into(),
        tensors: tensors(config, &branches),
        branches,
        linears,
        norms,
    }
}

/// Name of the table that maps relative-position buckets to one bias per head.
pub(super) fn position_bias(stack: Stack) -> String {
    format!("{}.block.0.layer.0.SelfAttention.relative_attention_bias.weight", name(stack))
}

/// The norm after the last block.
pub(super) fn final_norm(stack: Stack) -> Norm {
    let path = format!("{}.final_layer_norm", name(stack));
    Norm { site: NormSite::Final(stack), weight: format!("{path}.weight"), path }
}

fn sublayers(config: &T5Config) -> impl Iterator<Item = Sublayer> {
    use SublayerKind::*;
    let stacks = [
        (Stack::Encoder, config.num_layers, &[SelfAttention, FeedForward][..]),
        (Stack::Decoder, config.decoder_layers(), &[SelfAttention, CrossAttention, FeedForward][..]),
    ];
    stacks.into_iter().flat_map(|(stack, layers, kinds)| {
        (0..layers).flat_map(move |layer| kinds.iter().map(move |&kind| Sublayer { stack, layer, kind }))
    })
}

fn name(stack: Stack) -> &'static str {
    match stack {
        Stack::Encoder => "encoder",
        Stack::Decoder => "decoder",
    }
}

fn path(at: Sublayer) -> String {
    let index = match (at.kind, at.stack) {
        (SublayerKind::SelfAttention, _) => 0,
        (SublayerKind::CrossAttention, _) | (SublayerKind::FeedForward, Stack::Encoder) => 1,
        (SublayerKind::FeedForward, Stack::Decoder) => 2,
    };
    format!("{}.block.{}.layer.{index}", name(at.stack), at.layer)
}

fn norm_before(branch: &Branch) -> Norm {
    let path = format!("{}.layer_norm", branch.path);
    Norm { site: NormSite::Sublayer(branch.at), weight: format!("{path}.weight"), path }
}

fn linears_of(branch: &Branch, config: &T5Config) -> Vec<Linear> {
    use Projection::*;
    let (d, inner, hidden) = (config.d_model, config.inner_dim(), config.d_ff);
    let attention = [
        (Query, "q", [inner, d]),
        (Key, "k", [inner, d]),
        (Value, "v", [inner, d]),
        (Output, "o", [d, inner]),
    ];
    let gated = [(Gate, "wi_0", [hidden, d]), (Up, "wi_1", [hidden, d]), (Down, "wo", [d, hidden])];
    let plain = [(Up, "wi", [hidden, d]), (Down, "wo", [d, hidden])];
    let (module, projections) = match branch.at.kind {
        SublayerKind::SelfAttention => ("SelfAttention", &attention[..]),
        SublayerKind::CrossAttention => ("EncDecAttention", &attention[..]),
        SublayerKind::FeedForward if config.feed_forward_proj.gated => ("DenseReluDense", &gated[..]),
        SublayerKind::FeedForward => ("DenseReluDense", &plain[..]),
    };
    let linear = |&(projection, name, shape): &(Projection, &str, [usize; 2])| {
        let path = format!("{}.{module}.{name}", branch.path);
        Linear {
            site: Site::Projection(branch.at, projection),
            weight: format!("{path}.weight"),
            path,
            shape,
        }
    };
    projections.iter().map(linear).collect()
}

fn head(config: &T5Config) -> Linear {
    let weight = if config.tie_word_embeddings { SHARED } else { HEAD };
    let shape = [config.vocab_size, config.d_model];
    Linear { site: Site::Head, path: "lm_head".into(), weight: weight.into(), shape }
}

/// T5's own random initialization (Raffel et al. 2020, in the Mesh TensorFlow code).
fn tensors(config: &T5Config, branches: &[Branch]) -> Vec<Stored> {
    let d = config.d_model as f32;
    let factor = config.initializer_factor as f32;
    let normal = |deviation: f32| Start::Normal(factor * deviation);
    let norm =
        |norm: Norm| Stored { name: norm.weight, shape: [1, config.d_model], start: Start::Constant(factor) };
    let table = [config.vocab_size, config.d_model];
    let mut tensors = vec![Stored { name: SHARED.into(), shape: table, start: normal(1.0) }];
    for stack in [Stack::Encoder, Stack::Decoder] {
        let shape = [config.relative_attention_num_buckets, config.num_heads];
        tensors.push(Stored { name: position_bias(stack), shape, start: normal(d.powf(-0.5)) });
        tensors.push(norm(final_norm(stack)));
    }
    for branch in branches {
        tensors.push(norm(norm_before(branch)));
        for Linear { site, weight, shape, .. } in linears_of(branch, config) {
            let deviation = match site {
                // Queries absorb the 1/sqrt(d_kv) that T5's attention leaves out.
                Site::Projection(_, Projection::Query) => (d * config.d_kv as f32).powf(-0.5),
                _ => (shape[1] as f32).powf(-0.5),
            };
            tensors.push(Stored { name: weight, shape, start: normal(deviation) });
        }
    }
    if !config.tie_word_embeddings {
        tensors.push(Stored { name: HEAD.into(), shape: table, start: normal(1.0) });
    }
    tensors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::t5::FeedForward;

    #[test]
    fn t5_base_has_its_published_size() {
        let layout = layout(&T5Config::t5_base());
        assert_eq!(layout.num_parameters(), 222_903_552);
        assert_eq!(layout.norms.len(), 62);
        assert_eq!((layout.layers(Stack::Encoder), layout.layers(Stack::Decoder)), (12, 12));
    }

    #[test]
    fn names_are_those_of_the_checkpoint() {
        let layout = layout(&T5Config::t5_base());
        assert_eq!(layout.linears.len(), 12 * 6 + 12 * 10 + 1);
        for name in [
            "encoder.block.0.layer.0.SelfAttention.q.weight",
            "encoder.block.11.layer.1.DenseReluDense.wo.weight",
            "decoder.block.3.layer.1.EncDecAttention.o.weight",
            "decoder.block.3.layer.2.DenseReluDense.wi.weight",
            SHARED,
        ] {
            assert!(layout.linears.iter().any(|linear| linear.weight == name), "{name}");
            assert!(layout.tensors.iter().any(|tensor| tensor.name == name), "{name}");
        }
    }

    #[test]
    fn an_untied_head_and_unequal_depths_are_listed() {
        let config = T5Config {
            num_decoder_layers: Some(1),
            tie_word_embeddings: false,
            feed_forward_proj: FeedForward::GATED_GELU,
            ..T5Config::t5_small()
        };
        let names: Vec<String> = layout(&config).tensors.into_iter().map(|tensor| tensor.name).collect();
        assert!(names.contains(&HEAD.into()));
        assert!(names.contains(&"decoder.block.0.layer.2.DenseReluDense.wi_1.weight".into()));
        assert!(!names.iter().any(|name| name.starts_with("decoder.block.1")));
    }
}

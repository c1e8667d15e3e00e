//! Relative position bias (Raffel et al. 2020, section 2.1): one learned scalar per head and bucket.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use super::attention::HIDDEN;
use super::layout::position_bias;
use super::{T5, T5Config};
use crate::context::Weight;
use crate::layout::Stack;
use crate::pass::Pass;

/// The bias that a stack's self-attention adds to its scores: `[1 or runs, heads, queries, keys]`.
///
/// `first_query` is the position of the first query, which is not 0 when a cache holds the keys of
/// earlier positions. The decoder's bias hides the keys after each query.
pub(super) fn self_attention_bias(
    pass: &Pass,
    model: &T5,
    stack: Stack,
    first_query: usize,
    queries: usize,
    keys: usize,
) -> Tensor<4> {
    let config = &model.configuration.config;
    let shape = Shape { stack, first_query, queries, keys };
    let new = || Positions::new(shape, config, pass.weights.device(), pass.weights.dtype());
    let Positions { buckets, causal_mask } = model.positions.get(shape, new);
    let bias: Tensor<3> = match pass.weight(&position_bias(stack)) {
        Weight::Shared(table) => table.select(0, buckets).unsqueeze(),
        Weight::PerRun(tables) => tables.select(1, buckets),
    };
    let runs = bias.dims()[0];
    let bias = bias.swap_dims(1, 2).reshape([runs, config.num_heads, queries, keys]);
    match causal_mask {
        Some(mask) => bias + mask.unsqueeze(),
        None => bias,
    }
}

/// Which positions of a stack look at which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    stack: Stack,
    first_query: usize,
    queries: usize,
    keys: usize,
}

/// What depends on the positions alone.
#[derive(Debug, Clone)]
struct Positions {
    /// The bucket of each pair, query after query: `[queries x keys]`.
    buckets: Tensor<1, Int>,
    /// 0 where a query may look, [`HIDDEN`] where the key comes later: `[queries, keys]`. A single query of the decoder
    /// is the last position and may look everywhere, as the encoder's may.
    causal_mask: Option<Tensor<2>>,
}

impl Positions {
    fn new(shape: Shape, config: &T5Config, device: &Device, dtype: DType) -> Self {
        let Shape { stack, first_query, queries, keys } = shape;
        let (count, distance) =
            (config.relative_attention_num_buckets, config.relative_attention_max_distance);
        let pairs = || (first_query..first_query + queries).flat_map(|q| (0..keys).map(move |k| (q, k)));
        let bucket = |(query, key)| {
            relative_position_bucket(key as i64 - query as i64, stack == Stack::Encoder, count, distance)
        };
        let buckets: Vec<i64> = pairs().map(bucket).collect();
        let mask = || {
            let mask: Vec<f32> = pairs().map(|(query, key)| if key > query { HIDDEN } else { 0.0 }).collect();
            Tensor::<2>::from_data(TensorData::new(mask, [queries, keys]), device).cast(dtype)
        };
        Self {
            buckets: Tensor::from_data(TensorData::new(buckets, [queries * keys]), device),
            causal_mask: (stack == Stack::Decoder && queries > 1).then(mask),
        }
    }
}

/// The positions of the shapes that were asked for last, on the device.
#[derive(Debug, Clone, Default)]
pub(super) struct PositionCache(Arc<Mutex<HashMap<Shape, Positions>>>);

/// Pairs of positions that are kept at most, some 100 MB.
const MOST_PAIRS: usize = 1 << 23;

impl PositionCache {
    fn get(&self, shape: Shape, new: impl FnOnce() -> Positions) -> Positions {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs = |shape: &Shape| shape.queries * shape.keys;
        let all = kept.keys().map(pairs).sum::<usize>() + pairs(&shape);
        if all > MOST_PAIRS && !kept.contains_key(&shape) {
            kept.clear();
        }
        kept.entry(shape).or_insert_with(new).clone()
    }
}

/// The bucket of a relative position (key - query): exact for small distances, logarithmic beyond.
pub fn relative_position_bucket(
    relative: i64,
    bidirectional: bool,
    buckets: usize,
    max_distance: usize,
) -> i64 {
    let (offset, distance, buckets) = if bidirectional {
        let half = buckets as i64 / 2;
        (if relative > 0 { half } else { 0 }, relative.abs(), half)
    } else {
        (0, (-relative).max(0), buckets as i64)
    };
    let exact = buckets / 2;
    if distance < exact {
        return offset + distance;
    }
    // In f32, as the reference computes it: the last bit decides at bucket boundaries.
    let ratio = (distance as f32 / exact as f32).ln() / (max_distance as f64 / exact as f64).ln() as f32;
    let logarithmic = exact + (ratio * (buckets - exact) as f32) as i64;
    offset + logarithmic.min(buckets - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_positions_have_buckets_of_their_own() {
        assert_eq!(relative_position_bucket(0, true, 32, 128), 0);
        assert_eq!(relative_position_bucket(-7, true, 32, 128), 7);
        assert_eq!(relative_position_bucket(7, true, 32, 128), 23);
        assert_eq!(relative_position_bucket(-15, false, 32, 128), 15);
        assert_eq!(relative_position_bucket(3, false, 32, 128), 0);
    }

    #[test]
    fn far_positions_share_the_last_bucket() {
        assert_eq!(relative_position_bucket(-128, true, 32, 128), 15);
        assert_eq!(relative_position_bucket(5000, true, 32, 128), 31);
        assert_eq!(relative_position_bucket(-5000, false, 32, 128), 31);
    }
}

//! Relative position bias (Raffel et al. 2020, section 2.1): one learned scalar per head and bucket.

use burn::tensor::{Int, Tensor, TensorData};

use super::T5Config;
use super::attention::HIDDEN;
use super::layout::position_bias;
use crate::context::Weight;
use crate::layout::Stack;
use crate::pass::Pass;

/// The bias that a stack's self-attention adds to its scores: `[1 or runs, heads, queries, keys]`.
///
/// `first_query` is the position of the first query, which is not 0 when a cache holds the keys of
/// earlier positions. The decoder's bias hides the keys after each query.
pub(super) fn self_attention_bias(
    pass: &Pass,
    config: &T5Config,
    stack: Stack,
    first_query: usize,
    queries: usize,
    keys: usize,
) -> Tensor<4> {
    let bidirectional = stack == Stack::Encoder;
    let mut buckets = Vec::with_capacity(queries * keys);
    for query in first_query..first_query + queries {
        for key in 0..keys {
            buckets.push(relative_position_bucket(
                key as i64 - query as i64,
                bidirectional,
                config.relative_attention_num_buckets,
                config.relative_attention_max_distance,
            ));
        }
    }
    let device = pass.weights.device();
    let buckets = Tensor::<1, Int>::from_data(TensorData::new(buckets, [queries * keys]), device);
    let bias: Tensor<3> = match pass.weight(&position_bias(stack)) {
        Weight::Shared(table) => table.select(0, buckets).unsqueeze(),
        Weight::PerRun(tables) => tables.select(1, buckets),
    };
    let runs = bias.dims()[0];
    let bias = bias.swap_dims(1, 2).reshape([runs, config.num_heads, queries, keys]);
    match stack {
        Stack::Encoder => bias,
        Stack::Decoder if queries == 1 => bias,
        Stack::Decoder => bias + causal_mask(first_query, queries, keys, device).unsqueeze(),
    }
}

/// 0 where a query may look, a large negative number where the key comes later: `[queries, keys]`.
fn causal_mask(first_query: usize, queries: usize, keys: usize, device: &burn::tensor::Device) -> Tensor<2> {
    let mask: Vec<f32> = (first_query..first_query + queries)
        .flat_map(|query| (0..keys).map(move |key| if key > query { HIDDEN } else { 0.0 }))
        .collect();
    Tensor::from_data(TensorData::new(mask, [queries, keys]), device)
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

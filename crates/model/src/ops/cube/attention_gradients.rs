//! An attention's gradients. Weights are computed again from the scores rather than kept; every gradient has its own
//! kernel, whose cubes sum in order over what they alone write.

use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::attention::{Head, Inputs, Plan, Sizes, Terms, dot, load, locate};
use super::launch::{addresses, contiguous, cubes, element, empty, empty_like};
use super::mask::DeviceMask;
use crate::ops::arguments::{AttentionGradients, Maybe};

/// What the softmax of a query says of one key.
#[derive(CubeType, Clone, Copy)]
struct Pair {
    /// The weight, before dropout.
    weight: f32,
    /// The weight's dropout factor.
    factor: f32,
    /// Gradient with respect to the weight, before dropout.
    gradient: f32,
}

/// Tiles of rows in shared memory, and where they begin.
#[derive(CubeType)]
struct Tiles {
    queries: Shared<[f32]>,
    keys: Shared<[f32]>,
    values: Shared<[f32]>,
    gradient: Shared<[f32]>,
}

#[cube]
impl Tiles {
    fn new(#[comptime] plan: Plan) -> Tiles {
        Tiles {
            queries: Shared::<[f32]>::new_slice(comptime!(plan.rows())),
            keys: Shared::<[f32]>::new_slice(comptime!(plan.rows())),
            values: Shared::<[f32]>::new_slice(comptime!(plan.rows())),
            gradient: Shared::<[f32]>::new_slice(comptime!(plan.rows())),
        }
    }

    fn load_queries<F: Float>(
        &mut self,
        queries: &[F],
        gradient: &[F],
        place: &Head,
        sizes: &Sizes,
        first: usize,
        #[comptime] plan: Plan,
    ) {
        load::<F>(&mut self.queries, queries, place, sizes.heads, first, sizes.queries, plan);
        load::<F>(&mut self.gradient, gradient, place, sizes.heads, first, sizes.queries, plan);
    }

    fn load_keys<F: Float>(
        &mut self,
        keys: &[F],
        values: &[F],
        place: &Head,
        sizes: &Sizes,
        first: usize,
        #[comptime] plan: Plan,
    ) {
        load::<F>(&mut self.keys, keys, place, sizes.heads, first, sizes.keys, plan);
        load::<F>(&mut self.values, values, place, sizes.heads, first, sizes.keys, plan);
    }

    /// Of a query and a key whose rows are in the tiles; zeros beyond their number.
    fn pair<F: Float>(
        &self,
        terms: &Terms<F>,
        normalizers: &[f32],
        place: &Head,
        query: usize,
        key: usize,
    ) -> Pair {
        let plan = comptime!(terms.plan);
        let mut weight = 0.0f32;
        let mut factor = 1.0f32;
        let mut gradient = 0.0f32;
        if query < terms.sizes.queries && key < terms.sizes.keys {
            let row = terms.row(place, query);
            let score = terms.score(&self.queries, &self.keys, place, query, key);
            weight = (score - normalizers[row]).exp();
            if comptime!(plan.dropout) {
                factor = terms.dropout.factor(terms.dropout.row_key(row as u32), key as u32);
            }
            let (y, x) = (query % plan.tile, key % plan.tile);
            gradient = factor * dot(&self.gradient, y, &self.values, x, plan);
        }
        Pair { weight, factor, gradient }
    }
}

/// For each query the mean of its weights' gradients, weighted: `[runs, batch, heads, queries]`.
#[cube(launch_unchecked, address_type = "dynamic")]
fn means_kernel<F: Float>(
    gradient: &[F],
    queries: &[F],
    keys: &[F],
    values: &[F],
    bias: &[F],
    mask: &[f32],
    normalizers: &[f32],
    means: &mut [f32],
    dropout: DeviceMask,
    sizes: Sizes,
    cubes: usize,
    #[comptime] plan: Plan,
    #[define(F)] _dtype: ElemType,
) {
    if CUBE_POS >= cubes {
        terminate!();
    }
    let (place, first) = locate(sizes.heads, sizes.queries, plan);
    let terms = Terms::<F>::new(bias, mask, dropout, sizes, plan);
    let (x, y) = (UNIT_POS_X as usize, UNIT_POS_Y as usize);
    let query = first + y;
    let mut tiles = Tiles::new(plan);
    let mut sums = Shared::<[f32]>::new_slice(comptime!(plan.weights()));
    tiles.load_queries::<F>(queries, gradient, &place, &terms.sizes, first, plan);
    let mut sum = 0.0f32;
    for start in range_stepped(0, terms.sizes.keys, plan.tile) {
        tiles.load_keys::<F>(keys, values, &place, &terms.sizes, start, plan);
        sync_cube();
        let pair = tiles.pair::<F>(&terms, normalizers, &place, query, start + x);
        sum += pair.weight * pair.gradient;
        sync_cube();
    }
    let row = y * comptime!(plan.tile + 1);
    sums[row + x] = sum;
    sync_cube();
    if x == 0 && query < terms.sizes.queries {
        let mut total = 0.0f32;
        for i in 0..plan.tile {
            total += sums[row + i];
        }
        means[terms.row(&place, query)] = total;
    }
}

/// Gradient with respect to the queries: one cube per tile of queries.
#[cube(launch_unchecked, address_type = "dynamic")]
fn queries_kernel<F: Float>(
    gradient: &[F],
    queries: &[F],
    keys: &[F],
    values: &[F],
    bias: &[F],
    mask: &[f32],
    normalizers: &[f32],
    means: &[f32],
    output: &mut [F],
    dropout: DeviceMask,
    sizes: Sizes,
    cubes: usize,
    #[comptime] plan: Plan,
    #[define(F)] _dtype: ElemType,
) {
    if CUBE_POS >= cubes {
        terminate!();
    }
    let (place, first) = locate(sizes.heads, sizes.queries, plan);
    let terms = Terms::<F>::new(bias, mask, dropout, sizes, plan);
    let (x, y) = (UNIT_POS_X as usize, UNIT_POS_Y as usize);
    let query = first + y;
    let row = y * comptime!(plan.tile + 1);
    let mut tiles = Tiles::new(plan);
    let mut scores = Shared::<[f32]>::new_slice(comptime!(plan.weights()));
    tiles.load_queries::<F>(queries, gradient, &place, &terms.sizes, first, plan);
    let mut mean = 0.0f32;
    if query < terms.sizes.queries {
        mean = means[terms.row(&place, query)];
    }
    let mut sums = Array::<f32>::new(comptime!(plan.columns()));
    #[unroll]
    for i in 0..plan.columns() {
        sums[i] = 0.0f32;
    }
    for start in range_stepped(0, terms.sizes.keys, plan.tile) {
        tiles.load_keys::<F>(keys, values, &place, &terms.sizes, start, plan);
        sync_cube();
        let pair = tiles.pair::<F>(&terms, normalizers, &place, query, start + x);
        scores[row + x] = pair.weight * (pair.gradient - mean);
        sync_cube();
        #[unroll]
        for i in 0..plan.columns() {
            let column = x + i * plan.tile;
            if column < plan.size {
                let mut sum = sums[i];
                for j in 0..plan.tile {
                    sum += scores[row + j] * tiles.keys[j * comptime!(plan.stride()) + column];
                }
                sums[i] = sum;
            }
        }
        sync_cube();
    }
    if query < terms.sizes.queries {
        store::<F>(output, &sums, &place, &terms.sizes, query, terms.sizes.queries, plan);
    }
}

/// Writes a unit's columns of a row.
#[cube]
fn store<F: Float>(
    output: &mut [F],
    sums: &Array<f32>,
    place: &Head,
    sizes: &Sizes,
    row: usize,
    length: usize,
    #[comptime] plan: Plan,
) {
    let start = ((place.sentence * length + row) * sizes.heads + place.head) * plan.size;
    #[unroll]
    for i in 0..plan.columns() {
        let column = UNIT_POS_X as usize + i * plan.tile;
        if column < plan.size {
            output[start + column] = F::cast_from(sums[i]);
        }
    }
}

/// Gradients with respect to keys and values: one cube per tile of keys.
#[cube(launch_unchecked, address_type = "dynamic")]
fn keys_kernel<F: Float>(
    gradient: &[F],
    queries: &[F],
    keys: &[F],
    values: &[F],
    bias: &[F],
    mask: &[f32],
    normalizers: &[f32],
    means: &[f32],
    keys_output: &mut [F],
    values_output: &mut [F],
    dropout: DeviceMask,
    sizes: Sizes,
    cubes: usize,
    #[comptime] plan: Plan,
    #[define(F)] _dtype: ElemType,
) {
    if CUBE_POS >= cubes {
        terminate!();
    }
    let (place, first) = locate(sizes.heads, sizes.keys, plan);
    let terms = Terms::<F>::new(bias, mask, dropout, sizes, plan);
    let (x, y) = (UNIT_POS_X as usize, UNIT_POS_Y as usize);
    let mut tiles = Tiles::new(plan);
    let mut scores = Shared::<[f32]>::new_slice(comptime!(plan.weights()));
    let mut dropped = Shared::<[f32]>::new_slice(comptime!(plan.weights()));
    tiles.load_keys::<F>(keys, values, &place, &terms.sizes, first, plan);
    let mut key_sums = Array::<f32>::new(comptime!(plan.columns()));
    let mut value_sums = Array::<f32>::new(comptime!(plan.columns()));
    #[unroll]
    for i in 0..plan.columns() {
        key_sums[i] = 0.0f32;
        value_sums[i] = 0.0f32;
    }
    for start in range_stepped(0, terms.sizes.queries, plan.tile) {
        tiles.load_queries::<F>(queries, gradient, &place, &terms.sizes, start, plan);
        sync_cube();
        let query = start + y;
        let pair = tiles.pair::<F>(&terms, normalizers, &place, query, first + x);
        let mut mean = 0.0f32;
        if query < terms.sizes.queries {
            mean = means[terms.row(&place, query)];
        }
        let at = y * comptime!(plan.tile + 1) + x;
        scores[at] = pair.weight * (pair.gradient - mean);
        dropped[at] = pair.weight * pair.factor;
        sync_cube();
        // From here on a unit's row is that of a key.
        #[unroll]
        for i in 0..plan.columns() {
            let column = x + i * plan.tile;
            if column < plan.size {
                let mut key_sum = key_sums[i];
                let mut value_sum = value_sums[i];
                for j in 0..plan.tile {
                    let at = j * comptime!(plan.tile + 1) + y;
                    let from = j * comptime!(plan.stride()) + column;
                    key_sum += scores[at] * tiles.queries[from];
                    value_sum += dropped[at] * tiles.gradient[from];
                }
                key_sums[i] = key_sum;
                value_sums[i] = value_sum;
            }
        }
        sync_cube();
    }
    let key = first + y;
    if key < terms.sizes.keys {
        store::<F>(keys_output, &key_sums, &place, &terms.sizes, key, terms.sizes.keys, plan);
        store::<F>(values_output, &value_sums, &place, &terms.sizes, key, terms.sizes.keys, plan);
    }
}

/// Gradient with respect to the bias: one cube per head and pair of tiles, which sums over sentences.
#[cube(launch_unchecked, address_type = "dynamic")]
fn bias_kernel<F: Float>(
    gradient: &[F],
    queries: &[F],
    keys: &[F],
    values: &[F],
    bias: &[F],
    mask: &[f32],
    normalizers: &[f32],
    means: &[f32],
    output: &mut [F],
    dropout: DeviceMask,
    sizes: Sizes,
    cubes: usize,
    sentences_per_bias: usize,
    #[comptime] plan: Plan,
    #[define(F)] _dtype: ElemType,
) {
    if CUBE_POS >= cubes {
        terminate!();
    }
    let terms = Terms::<F>::new(bias, mask, dropout, sizes, plan);
    let key_tiles = terms.sizes.keys.div_ceil(plan.tile);
    let query_tiles = terms.sizes.queries.div_ceil(plan.tile);
    let first_key = CUBE_POS % key_tiles * plan.tile;
    let rest = CUBE_POS / key_tiles;
    let first_query = rest % query_tiles * plan.tile;
    let head = rest / query_tiles;
    let sentence = head / terms.sizes.heads * sentences_per_bias;
    let (query, key) = (first_query + UNIT_POS_Y as usize, first_key + UNIT_POS_X as usize);
    let mut tiles = Tiles::new(plan);
    let mut sum = 0.0f32;
    for i in 0..sentences_per_bias {
        let place = Head { sentence: sentence + i, head: head % terms.sizes.heads };
        tiles.load_queries::<F>(queries, gradient, &place, &terms.sizes, first_query, plan);
        tiles.load_keys::<F>(keys, values, &place, &terms.sizes, first_key, plan);
        sync_cube();
        let pair = tiles.pair::<F>(&terms, normalizers, &place, query, key);
        if query < terms.sizes.queries {
            sum += pair.weight * (pair.gradient - means[terms.row(&place, query)]);
        }
        sync_cube();
    }
    if query < terms.sizes.queries && key < terms.sizes.keys {
        output[(head * terms.sizes.queries + query) * terms.sizes.keys + key] = F::cast_from(sum);
    }
}

/// Gradients with respect to queries, keys, values and, where it is asked for, the bias.
pub fn gradients(
    gradient: CubeTensor,
    inputs: Inputs,
    normalizers: CubeTensor,
    with_bias: bool,
) -> AttentionGradients<CubeBackend> {
    let saved = Saved { gradient: contiguous(gradient), inputs, normalizers };
    let means = saved.means();
    let queries = saved.queries(&means);
    let (keys, values) = saved.keys(&means);
    let bias = if with_bias { Maybe::Some(saved.bias(&means)) } else { Maybe::None };
    AttentionGradients { queries, keys, values, bias }
}

struct Saved {
    gradient: CubeTensor,
    inputs: Inputs,
    normalizers: CubeTensor,
}

impl Saved {
    /// Width of the addresses that reach every input and every gradient.
    fn addresses(&self) -> AddressType {
        self.inputs.addresses().max(addresses(&[&self.gradient]))
    }

    fn means(&self) -> CubeTensor {
        let ([runs, batch, heads, queries, _], plan) = (self.inputs.shape(), self.inputs.plan());
        let means = empty(&self.gradient, [runs, batch, heads, queries], DType::F32);
        let count = runs * batch * heads * queries.div_ceil(plan.tile);
        let client = means.client.clone();
        // SAFETY: cubes beyond the count return, and units beyond queries and keys read and write nothing.
        unsafe {
            means_kernel::launch_unchecked(
                &client,
                cubes(&client, count),
                plan.cube(),
                self.addresses(),
                self.gradient.clone().into_buffer_arg(),
                self.inputs.queries.clone().into_buffer_arg(),
                self.inputs.keys.clone().into_buffer_arg(),
                self.inputs.values.clone().into_buffer_arg(),
                self.inputs.bias(),
                self.inputs.mask(),
                self.normalizers.clone().into_buffer_arg(),
                means.clone().into_buffer_arg(),
                self.inputs.dropout(),
                self.inputs.sizes(),
                count,
                plan,
                element(&self.gradient),
            );
        }
        means
    }

    fn queries(&self, means: &CubeTensor) -> CubeTensor {
        let ([runs, batch, heads, queries, _], plan) = (self.inputs.shape(), self.inputs.plan());
        let output = empty_like(&self.inputs.queries);
        let count = runs * batch * heads * queries.div_ceil(plan.tile);
        let client = output.client.clone();
        // SAFETY: cubes beyond the count return, and units beyond queries and keys read and write nothing.
        unsafe {
            queries_kernel::launch_unchecked(
                &client,
                cubes(&client, count),
                plan.cube(),
                self.addresses(),
                self.gradient.clone().into_buffer_arg(),
                self.inputs.queries.clone().into_buffer_arg(),
                self.inputs.keys.clone().into_buffer_arg(),
                self.inputs.values.clone().into_buffer_arg(),
                self.inputs.bias(),
                self.inputs.mask(),
                self.normalizers.clone().into_buffer_arg(),
                means.clone().into_buffer_arg(),
                output.clone().into_buffer_arg(),
                self.inputs.dropout(),
                self.inputs.sizes(),
                count,
                plan,
                element(&self.gradient),
            );
        }
        output
    }

    fn keys(&self, means: &CubeTensor) -> (CubeTensor, CubeTensor) {
        let ([runs, batch, heads, _, keys], plan) = (self.inputs.shape(), self.inputs.plan());
        let (dk, dv) = (empty_like(&self.inputs.keys), empty_like(&self.inputs.values));
        let count = runs * batch * heads * keys.div_ceil(plan.tile);
        let client = dk.client.clone();
        // SAFETY: cubes beyond the count return, and units beyond queries and keys read and write nothing.
        unsafe {
            keys_kernel::launch_unchecked(
                &client,
                cubes(&client, count),
                plan.cube(),
                self.addresses(),
                self.gradient.clone().into_buffer_arg(),
                self.inputs.queries.clone().into_buffer_arg(),
                self.inputs.keys.clone().into_buffer_arg(),
                self.inputs.values.clone().into_buffer_arg(),
                self.inputs.bias(),
                self.inputs.mask(),
                self.normalizers.clone().into_buffer_arg(),
                means.clone().into_buffer_arg(),
                dk.clone().into_buffer_arg(),
                dv.clone().into_buffer_arg(),
                self.inputs.dropout(),
                self.inputs.sizes(),
                count,
                plan,
                element(&self.gradient),
            );
        }
        (dk, dv)
    }

    fn bias(&self, means: &CubeTensor) -> CubeTensor {
        let ([runs, batch, heads, queries, keys], plan) = (self.inputs.shape(), self.inputs.plan());
        let biases = self.inputs.bias_runs();
        let output = empty(&self.gradient, [biases, heads, queries, keys], self.gradient.dtype);
        let count = biases * heads * queries.div_ceil(plan.tile) * keys.div_ceil(plan.tile);
        let client = output.client.clone();
        // SAFETY: cubes beyond the count return, and units beyond queries and keys read and write nothing.
        unsafe {
            bias_kernel::launch_unchecked(
                &client,
                cubes(&client, count),
                plan.cube(),
                self.addresses(),
                self.gradient.clone().into_buffer_arg(),
                self.inputs.queries.clone().into_buffer_arg(),
                self.inputs.keys.clone().into_buffer_arg(),
                self.inputs.values.clone().into_buffer_arg(),
                self.inputs.bias(),
                self.inputs.mask(),
                self.normalizers.clone().into_buffer_arg(),
                means.clone().into_buffer_arg(),
                output.clone().into_buffer_arg(),
                self.inputs.dropout(),
                self.inputs.sizes(),
                count,
                runs * batch / biases,
                plan,
                element(&self.gradient),
            );
        }
        output
    }
}

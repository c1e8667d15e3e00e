//! Attention, tile by tile: no table of weights is ever in memory.
//!
//! A cube has one unit for each pair of a tile of queries and a tile of keys. Tiles of rows lie in shared memory, one
//! element apart from each other, so that neighboring units read different banks.

use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::launch::{addresses, contiguous, cubes, dims, element, empty, empty_like};
use super::mask::{DeviceMask, DeviceMaskLaunch, absent, upload};
use super::reduce::LOWEST;
use crate::ops::arguments::{AttentionInputs, AttentionPlan};

/// What a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Size of one head.
    pub size: usize,
    /// Queries, and keys, of a tile.
    pub tile: usize,
    pub bias: bool,
    pub mask: bool,
    pub dropout: bool,
}

impl Plan {
    /// Elements from one row of a tile to the next.
    pub const fn stride(&self) -> usize {
        self.size + 1
    }

    /// Elements of a tile of rows.
    pub const fn rows(&self) -> usize {
        self.tile * self.stride()
    }

    /// Elements of a tile of weights.
    pub const fn weights(&self) -> usize {
        self.tile * (self.tile + 1)
    }

    /// Columns of a row that one unit accumulates.
    pub const fn columns(&self) -> usize {
        self.size.div_ceil(self.tile)
    }

    pub fn cube(&self) -> CubeDim {
        CubeDim::new_2d(self.tile as u32, self.tile as u32)
    }
}

/// Queries are `[runs, batch, queries, heads x size]`, keys and values `[runs, batch, keys, heads x size]`, the bias
/// is `[bias_runs, heads, queries, keys]`.
#[derive(CubeType, CubeLaunch)]
pub struct Sizes {
    pub batch: usize,
    pub heads: usize,
    pub queries: usize,
    pub keys: usize,
    pub bias_runs: usize,
}

/// One head of one sentence, which counts over all runs.
#[derive(CubeType, Clone, Copy)]
pub struct Head {
    pub sentence: usize,
    pub head: usize,
}

/// What is added to scores, and what drops weights.
#[derive(CubeType)]
pub struct Terms<'a, F: Float> {
    pub bias: &'a [F],
    pub mask: &'a [f32],
    pub dropout: DeviceMask,
    pub sizes: Sizes,
    #[cube(comptime)]
    pub plan: Plan,
}

#[cube]
impl<'a, F: Float> Terms<'a, F> {
    pub fn new(
        bias: &'a [F],
        mask: &'a [f32],
        dropout: DeviceMask,
        sizes: Sizes,
        #[comptime] plan: Plan,
    ) -> Terms<'a, F> {
        Terms::<'a, F> { bias, mask, dropout, sizes, plan }
    }

    /// `Q K' + bias + mask` of a query and a key, which are rows of tiles.
    pub fn score(&self, queries: &[f32], keys: &[f32], place: &Head, query: usize, key: usize) -> f32 {
        let s = &self.sizes;
        let row = query % comptime!(self.plan.tile);
        let mut score = dot(queries, row, keys, key % comptime!(self.plan.tile), comptime!(self.plan));
        if comptime!(self.plan.bias) {
            let run = select(s.bias_runs == 1, 0, place.sentence / s.batch);
            let row = (run * s.heads + place.head) * s.queries + query;
            score += f32::cast_from(self.bias[row * s.keys + key]);
        }
        if comptime!(self.plan.mask) {
            score += self.mask[place.sentence * s.keys + key];
        }
        score
    }

    /// Number of a query's row of weights, counted over everything before.
    pub fn row(&self, place: &Head, query: usize) -> usize {
        (place.sentence * self.sizes.heads + place.head) * self.sizes.queries + query
    }
}

/// Product of a row of one tile and a row of another.
#[cube]
pub fn dot(a: &[f32], row_a: usize, b: &[f32], row_b: usize, #[comptime] plan: Plan) -> f32 {
    let stride = comptime!(plan.stride());
    let (a_start, b_start) = (row_a * stride, row_b * stride);
    let mut sum = 0.0f32;
    for column in 0..plan.size {
        sum += a[a_start + column] * b[b_start + column];
    }
    sum
}

/// Copies rows of one head to shared memory, from `first` on; zeros beyond the length.
#[cube]
pub fn load<F: Float>(
    tile: &mut [f32],
    data: &[F],
    place: &Head,
    heads: usize,
    first: usize,
    length: usize,
    #[comptime] plan: Plan,
) {
    let units = comptime!(plan.tile * plan.tile);
    let count = comptime!(plan.tile * plan.size);
    let base = place.sentence * length + first;
    for at in range_stepped(UNIT_POS as usize, count, units) {
        let (row, column) = (at / plan.size, at % plan.size);
        let mut value = 0.0f32;
        if first + row < length {
            value = f32::cast_from(data[((base + row) * heads + place.head) * plan.size + column]);
        }
        tile[row * comptime!(plan.stride()) + column] = value;
    }
}

/// The cube's head, and the first row of its tile.
#[cube]
pub fn locate(heads: usize, length: usize, #[comptime] plan: Plan) -> (Head, usize) {
    let tiles = length.div_ceil(plan.tile);
    let index = CUBE_POS / tiles;
    (Head { sentence: index / heads, head: index % heads }, CUBE_POS % tiles * plan.tile)
}

#[cube(launch_unchecked, address_type = "dynamic")]
fn forward_kernel<F: Float>(
    queries: &[F],
    keys: &[F],
    values: &[F],
    bias: &[F],
    mask: &[f32],
    output: &mut [F],
    normalizers: &mut [f32],
    dropout: DeviceMask,
    sizes: Sizes,
    cubes: usize,
    #[comptime] plan: Plan,
    #[define(F)] _dtype: ElemType,
) {
    if CUBE_POS >= cubes {
        terminate!();
    }
    let (length, width, heads) = (sizes.queries, sizes.keys, sizes.heads);
    let terms = Terms::<F>::new(bias, mask, dropout, sizes, plan);
    let (place, first) = locate(heads, length, plan);
    let (x, y) = (UNIT_POS_X as usize, UNIT_POS_Y as usize);
    let row = y * comptime!(plan.tile + 1);
    let query = first + y;

    let mut query_tile = Shared::<[f32]>::new_slice(comptime!(plan.rows()));
    let mut key_tile = Shared::<[f32]>::new_slice(comptime!(plan.rows()));
    let mut value_tile = Shared::<[f32]>::new_slice(comptime!(plan.rows()));
    let mut scores = Shared::<[f32]>::new_slice(comptime!(plan.weights()));
    let mut weights = Shared::<[f32]>::new_slice(comptime!(plan.weights()));
    let mut dropped = Shared::<[f32]>::new_slice(comptime!(plan.weights()));
    load::<F>(&mut query_tile, queries, &place, heads, first, length, plan);

    let mut row_key = 0u32;
    if comptime!(plan.dropout) {
        row_key = terms.dropout.row_key(terms.row(&place, query) as u32);
    }
    let mut largest = comptime!(LOWEST).runtime();
    let mut total = 0.0f32;
    let mut mixed = Array::<f32>::new(comptime!(plan.columns()));
    #[unroll]
    for i in 0..plan.columns() {
        mixed[i] = 0.0f32;
    }
    for start in range_stepped(0, width, plan.tile) {
        load::<F>(&mut key_tile, keys, &place, heads, start, width, plan);
        load::<F>(&mut value_tile, values, &place, heads, start, width, plan);
        sync_cube();
        let key = start + x;
        let mut score = comptime!(LOWEST).runtime();
        if query < length && key < width {
            score = terms.score(&query_tile, &key_tile, &place, query, key);
        }
        scores[row + x] = score;
        sync_cube();
        let mut highest = largest;
        for i in 0..plan.tile {
            highest = max(highest, scores[row + i]);
        }
        let mut weight = 0.0f32;
        if key < width {
            weight = (score - highest).exp();
        }
        weights[row + x] = weight;
        if comptime!(plan.dropout) {
            dropped[row + x] = weight * terms.dropout.factor(row_key, key as u32);
        }
        sync_cube();
        let kept = (largest - highest).exp();
        largest = highest;
        total *= kept;
        for i in 0..plan.tile {
            total += weights[row + i];
        }
        #[unroll]
        for i in 0..plan.columns() {
            let column = x + i * plan.tile;
            if column < plan.size {
                let mut sum = mixed[i] * kept;
                for j in 0..plan.tile {
                    let weight = if comptime!(plan.dropout) { dropped[row + j] } else { weights[row + j] };
                    sum += weight * value_tile[j * comptime!(plan.stride()) + column];
                }
                mixed[i] = sum;
            }
        }
        sync_cube();
    }
    if query < length {
        let start = ((place.sentence * length + query) * heads + place.head) * plan.size;
        #[unroll]
        for i in 0..plan.columns() {
            let column = x + i * plan.tile;
            if column < plan.size {
                output[start + column] = F::cast_from(mixed[i] / total);
            }
        }
        if x == 0 {
            normalizers[terms.row(&place, query)] = largest + total.ln();
        }
    }
}

/// What an attention reads, contiguous.
pub struct Inputs {
    pub queries: CubeTensor,
    pub keys: CubeTensor,
    pub values: CubeTensor,
    bias: Option<CubeTensor>,
    mask: Option<CubeTensor>,
    plan: AttentionPlan,
}

impl Inputs {
    pub fn new(inputs: AttentionInputs<CubeBackend>, plan: AttentionPlan) -> Self {
        let [queries, keys, values] = [inputs.queries, inputs.keys, inputs.values].map(contiguous);
        let [bias, mask] = [inputs.bias, inputs.mask].map(|tensor| tensor.into_option().map(contiguous));
        Self { queries, keys, values, bias, mask, plan }
    }

    /// `[runs, batch, heads, queries, keys]`.
    pub fn shape(&self) -> [usize; 5] {
        let [runs, batch, queries, _] = dims(&self.queries);
        let [_, _, keys, _] = dims(&self.keys);
        [runs, batch, self.plan.heads, queries, keys]
    }

    pub fn plan(&self) -> Plan {
        let [_, _, _, inner] = dims::<4>(&self.queries);
        let size = inner / self.plan.heads;
        let plan = |tile| Plan {
            size,
            tile,
            bias: self.bias.is_some(),
            mask: self.mask.is_some(),
            dropout: self.plan.dropout.is_some(),
        };
        // The gradients hold four tiles of rows and two of weights.
        let bytes = |plan: &Plan| (4 * plan.rows() + 2 * plan.weights()) * size_of::<f32>();
        let available = self.queries.client.properties().hardware.max_shared_memory_size;
        if bytes(&plan(16)) <= available { plan(16) } else { plan(8) }
    }

    pub fn sizes(&self) -> SizesLaunch {
        let [_, batch, heads, queries, keys] = self.shape();
        SizesLaunch::new(batch, heads, queries, keys, self.bias_runs())
    }

    pub fn bias_runs(&self) -> usize {
        self.bias.as_ref().map_or(1, |bias| dims::<4>(bias)[0])
    }

    /// The bias, or anything in its place, which is not read.
    pub fn bias(&self) -> BufferArg {
        self.bias.as_ref().unwrap_or(&self.queries).clone().into_buffer_arg()
    }

    /// The mask, or anything in its place, which is not read.
    pub fn mask(&self) -> BufferArg {
        self.mask.as_ref().unwrap_or(&self.queries).clone().into_buffer_arg()
    }

    pub fn dropout(&self) -> DeviceMaskLaunch {
        match &self.plan.dropout {
            Some(mask) => upload(mask, &self.queries),
            None => absent(&self.queries),
        }
    }

    /// Width of the addresses that reach every input.
    pub fn addresses(&self) -> AddressType {
        let optional = [&self.bias, &self.mask].into_iter().flatten();
        let all: Vec<_> = [&self.queries, &self.keys, &self.values].into_iter().chain(optional).collect();
        addresses(&all)
    }
}

/// The mixed values `[runs, batch, queries, heads x size]`, and the log of each softmax's normalizer,
/// `[runs, batch, heads, queries]`.
pub fn forward(inputs: Inputs) -> (CubeTensor, CubeTensor) {
    let ([runs, batch, heads, queries, _], plan) = (inputs.shape(), inputs.plan());
    let output = empty_like(&inputs.queries);
    let normalizers = empty(&inputs.queries, [runs, batch, heads, queries], DType::F32);
    let count = runs * batch * heads * queries.div_ceil(plan.tile);
    let client = output.client.clone();
    let (bias, mask, dropout, sizes) = (inputs.bias(), inputs.mask(), inputs.dropout(), inputs.sizes());
    // SAFETY: cubes beyond the count return, and units beyond queries and keys read and write nothing.
    unsafe {
        forward_kernel::launch_unchecked(
            &client,
            cubes(&client, count),
            plan.cube(),
            inputs.addresses(),
            inputs.queries.into_buffer_arg(),
            inputs.keys.into_buffer_arg(),
            inputs.values.into_buffer_arg(),
            bias,
            mask,
            output.clone().into_buffer_arg(),
            normalizers.clone().into_buffer_arg(),
            dropout,
            sizes,
            count,
            plan,
            element(&output),
        );
    }
    (output, normalizers)
}

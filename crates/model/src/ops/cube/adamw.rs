//! One AdamW update in one pass over memory, in place where nobody else holds the tensors.

use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::launch::{UNITS, addresses, contiguous, cubes, dims, element, empty, owned, vector_size};
use super::reduce;
use crate::ops::arguments::{AdamWNumbers, AdamWRuns, AdamWState};

/// Elements that one cube squares and sums.
const BLOCK: usize = 1 << 14;

#[cube(launch_unchecked, address_type = "dynamic")]
fn update_kernel<F: Float, N: Size>(
    values: &mut [Vector<F, N>],
    first: &mut [Vector<F, N>],
    second: &mut [Vector<F, N>],
    gradient: &[Vector<F, N>],
    rates: &[f32],
    clips: &[f32],
    decays: &[f32],
    count: usize,
    vectors_per_run: usize,
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    epsilon: f32,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS >= count {
        terminate!();
    }
    let run = ABSOLUTE_POS / vectors_per_run;
    let g = Vector::<f32, N>::cast_from(gradient[ABSOLUTE_POS]) * Vector::new(clips[run]);
    let m = Vector::<f32, N>::cast_from(first[ABSOLUTE_POS]);
    let v = Vector::<f32, N>::cast_from(second[ABSOLUTE_POS]);
    let m = m * Vector::new(beta1) + g * Vector::new(rest1);
    let v = v * Vector::new(beta2) + g * g * Vector::new(rest2);
    let value = Vector::<f32, N>::cast_from(values[ABSOLUTE_POS]);
    let updated = value - Vector::new(rates[run]) * m / (v.sqrt() + Vector::new(epsilon));
    values[ABSOLUTE_POS] = Vector::cast_from(updated - updated * Vector::new(decays[run]));
    first[ABSOLUTE_POS] = Vector::cast_from(m);
    second[ABSOLUTE_POS] = Vector::cast_from(v);
}

/// Sums one block of a row, of the elements or of their squares: `[rows, columns]` to `[rows, blocks]`.
#[cube(launch_unchecked, address_type = "dynamic")]
fn sum_kernel<F: Float>(
    input: &[F],
    output: &mut [f32],
    count: usize,
    blocks_per_row: usize,
    columns: usize,
    block: usize,
    #[comptime] square: bool,
    #[comptime] units: usize,
    #[define(F)] _dtype: ElemType,
) {
    if CUBE_POS >= count {
        terminate!();
    }
    let row = CUBE_POS / blocks_per_row * columns;
    let first = CUBE_POS % blocks_per_row * block;
    let last = min(first + block, columns);
    let mut total = 0.0f32;
    for column in range_stepped(first + UNIT_POS as usize, last, units) {
        let x = f32::cast_from(input[row + column]);
        total += if comptime!(square) { x * x } else { x };
    }
    let total = reduce::sum(total, units);
    if UNIT_POS == 0 {
        output[CUBE_POS] = total;
    }
}

/// The parameter and its moments after an update.
pub fn update(
    state: AdamWState<CubeBackend>,
    gradient: CubeTensor,
    runs: AdamWRuns<CubeBackend>,
    numbers: AdamWNumbers,
) -> AdamWState<CubeBackend> {
    let [value, first, second] = [state.value, state.first, state.second].map(owned);
    let [gradient, rate, clip, decay] = [gradient, runs.rate, runs.clip, runs.decay].map(contiguous);
    let [runs, elements] = dims(&value);
    // Subtracted in f64: 1 - 0.999 keeps only four digits in f32.
    let [beta1, rest1] = [numbers.beta1, 1.0 - numbers.beta1].map(|b| b as f32);
    let [beta2, rest2] = [numbers.beta2, 1.0 - numbers.beta2].map(|b| b as f32);
    let vector = vector_size(elements);
    let count = runs * elements / vector;
    let client = value.client.clone();
    let cube = CubeDim::new(&client, count);
    // SAFETY: units beyond the count return; all tensors have as many elements, or one per run.
    unsafe {
        update_kernel::launch_unchecked(
            &client,
            calculate_cube_count_elemwise(&client, count, cube),
            cube,
            addresses(&[&value]),
            vector,
            value.clone().into_buffer_arg(),
            first.clone().into_buffer_arg(),
            second.clone().into_buffer_arg(),
            gradient.into_buffer_arg(),
            rate.into_buffer_arg(),
            clip.into_buffer_arg(),
            decay.into_buffer_arg(),
            count,
            elements / vector,
            beta1,
            rest1,
            beta2,
            rest2,
            numbers.epsilon,
            element(&value),
        );
    }
    AdamWState { value, first, second }
}

/// Sum of squares of each run's elements, in blocks of fixed size: `[runs, elements]` to `[runs]`.
pub fn sum_of_squares(gradient: CubeTensor) -> CubeTensor {
    let gradient = contiguous(gradient);
    let [runs, elements] = dims(&gradient);
    let blocks = elements.div_ceil(BLOCK);
    let partial = empty(&gradient, [runs, blocks], DType::F32);
    let sums = empty(&gradient, [runs], DType::F32);
    launch_sum(gradient, &partial, [runs, elements], BLOCK, true);
    launch_sum(partial, &sums, [runs, blocks], blocks.max(1), false);
    sums
}

fn launch_sum(
    input: CubeTensor,
    output: &CubeTensor,
    [rows, columns]: [usize; 2],
    block: usize,
    square: bool,
) {
    let (client, blocks) = (input.client.clone(), columns.div_ceil(block));
    let (addresses, element) = (addresses(&[&input]), element(&input));
    // SAFETY: cubes beyond the blocks return, and blocks end with their row.
    unsafe {
        sum_kernel::launch_unchecked(
            &client,
            cubes(&client, rows * blocks),
            CubeDim::new_1d(UNITS as u32),
            addresses,
            input.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            rows * blocks,
            blocks,
            columns,
            block,
            square,
            UNITS,
            element,
        );
    }
}

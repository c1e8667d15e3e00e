//! Root-mean-square norm and its gradients: one cube per row, and sums over rows in chunks of fixed size.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::launch::{addresses, contiguous, cubes, dims, element, empty, empty_like, units_for};
use super::reduce;

/// Rows that one cube sums for a scale's gradient.
const CHUNK: usize = 32;

/// Columns that one cube sums for a scale's gradient.
const COLUMNS: usize = 64;

#[cube(launch_unchecked, address_type = "dynamic")]
fn forward_kernel<F: Float>(
    input: &[F],
    scales: &[F],
    output: &mut [F],
    reciprocals: &mut [f32],
    rows: usize,
    rows_per_scale: usize,
    width: usize,
    epsilon: f32,
    #[comptime] units: usize,
    #[define(F)] _dtype: ElemType,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let start = row * width;
    let scale = row / rows_per_scale * width;
    let unit = UNIT_POS as usize;
    let mut squares = 0.0f32;
    for column in range_stepped(unit, width, units) {
        let x = f32::cast_from(input[start + column]);
        squares += x * x;
    }
    let mean = reduce::sum(squares, units) / f32::cast_from(width as u32);
    let reciprocal = 1.0f32 / (mean + epsilon).sqrt();
    for column in range_stepped(unit, width, units) {
        let x = f32::cast_from(input[start + column]);
        output[start + column] = F::cast_from(x * reciprocal * f32::cast_from(scales[scale + column]));
    }
    if unit == 0 {
        reciprocals[row] = reciprocal;
    }
}

#[cube(launch_unchecked, address_type = "dynamic")]
fn input_gradient_kernel<F: Float>(
    gradient: &[F],
    input: &[F],
    scales: &[F],
    reciprocals: &[f32],
    output: &mut [F],
    rows: usize,
    rows_per_scale: usize,
    width: usize,
    #[comptime] units: usize,
    #[define(F)] _dtype: ElemType,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let start = row * width;
    let scale = row / rows_per_scale * width;
    let unit = UNIT_POS as usize;
    let mut products = 0.0f32;
    for column in range_stepped(unit, width, units) {
        let g = f32::cast_from(gradient[start + column]) * f32::cast_from(scales[scale + column]);
        products += g * f32::cast_from(input[start + column]);
    }
    let r = reciprocals[row];
    let along = reduce::sum(products, units) * r * r / f32::cast_from(width as u32);
    for column in range_stepped(unit, width, units) {
        let g = f32::cast_from(gradient[start + column]) * f32::cast_from(scales[scale + column]);
        let x = f32::cast_from(input[start + column]);
        output[start + column] = F::cast_from(r * (g - x * along));
    }
}

/// Sums of a chunk of rows: `[scales, chunks, width]`.
#[cube(launch_unchecked, address_type = "dynamic")]
fn scale_gradient_kernel<F: Float>(
    gradient: &[F],
    input: &[F],
    reciprocals: &[f32],
    output: &mut [f32],
    blocks: usize,
    blocks_per_row: usize,
    chunks: usize,
    rows_per_scale: usize,
    width: usize,
    #[comptime] chunk: usize,
    #[define(F)] _dtype: ElemType,
) {
    if CUBE_POS >= blocks {
        terminate!();
    }
    let column = CUBE_POS % blocks_per_row * CUBE_DIM as usize + UNIT_POS as usize;
    if column >= width {
        terminate!();
    }
    let part = CUBE_POS / blocks_per_row;
    let first = part % chunks * chunk;
    let last = min(first + chunk, rows_per_scale);
    let scale = part / chunks * rows_per_scale;
    let mut total = 0.0f32;
    for row in scale + first..scale + last {
        let at = row * width + column;
        total += f32::cast_from(gradient[at]) * f32::cast_from(input[at]) * reciprocals[row];
    }
    output[part * width + column] = total;
}

/// Sums the chunks: `[scales, chunks, width]` to `[scales, width]`.
#[cube(launch_unchecked, address_type = "dynamic")]
fn sum_chunks_kernel<F: Float>(
    partial: &[f32],
    output: &mut [F],
    count: usize,
    chunks: usize,
    width: usize,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS >= count {
        terminate!();
    }
    let first = ABSOLUTE_POS / width * chunks * width + ABSOLUTE_POS % width;
    let mut total = 0.0f32;
    for chunk in 0..chunks {
        total += partial[first + chunk * width];
    }
    output[ABSOLUTE_POS] = F::cast_from(total);
}

/// The normed rows of `[runs, batch, length, width]`, and the reciprocal root mean square of each, `[rows]`.
pub fn forward(input: CubeTensor, scale: CubeTensor, epsilon: f32) -> (CubeTensor, CubeTensor) {
    let (input, scale) = (contiguous(input), contiguous(scale));
    let [runs, batch, length, width] = dims(&input);
    let rows = runs * batch * length;
    let output = empty_like(&input);
    let reciprocals = empty(&input, [rows], DType::F32);
    let (client, units) = (input.client.clone(), units_for(width));
    // SAFETY: cubes beyond the rows return, and no unit leaves its row.
    unsafe {
        forward_kernel::launch_unchecked(
            &client,
            cubes(&client, rows),
            CubeDim::new_1d(units as u32),
            addresses(&[&input]),
            input.into_buffer_arg(),
            scale.clone().into_buffer_arg(),
            output.clone().into_buffer_arg(),
            reciprocals.clone().into_buffer_arg(),
            rows,
            rows / dims::<3>(&scale)[0],
            width,
            epsilon,
            units,
            element(&output),
        );
    }
    (output, reciprocals)
}

/// The gradient with respect to the input.
pub fn input_gradient(
    gradient: CubeTensor,
    input: CubeTensor,
    scale: CubeTensor,
    reciprocals: CubeTensor,
) -> CubeTensor {
    let [gradient, input, scale] = [gradient, input, scale].map(contiguous);
    let [runs, batch, length, width] = dims(&input);
    let rows = runs * batch * length;
    let output = empty_like(&input);
    let (client, units) = (input.client.clone(), units_for(width));
    // SAFETY: cubes beyond the rows return, and no unit leaves its row.
    unsafe {
        input_gradient_kernel::launch_unchecked(
            &client,
            cubes(&client, rows),
            CubeDim::new_1d(units as u32),
            addresses(&[&input]),
            gradient.into_buffer_arg(),
            input.into_buffer_arg(),
            scale.clone().into_buffer_arg(),
            reciprocals.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            rows,
            rows / dims::<3>(&scale)[0],
            width,
            units,
            element(&output),
        );
    }
    output
}

/// The gradient with respect to the scales: `[scales, 1, width]`.
pub fn scale_gradient(
    gradient: CubeTensor,
    input: CubeTensor,
    reciprocals: CubeTensor,
    scales: usize,
) -> CubeTensor {
    let [gradient, input] = [gradient, input].map(contiguous);
    let [runs, batch, length, width] = dims(&input);
    let rows_per_scale = runs * batch * length / scales;
    let chunks = rows_per_scale.div_ceil(CHUNK);
    let partial = empty(&input, [scales, chunks, width], DType::F32);
    let output = empty(&input, [scales, 1, width], input.dtype);
    let client = input.client.clone();
    let blocks_per_row = width.div_ceil(COLUMNS);
    let blocks = scales * chunks * blocks_per_row;
    // SAFETY: cubes beyond the blocks and units beyond the width return; rows end with their scale's.
    unsafe {
        scale_gradient_kernel::launch_unchecked(
            &client,
            cubes(&client, blocks),
            CubeDim::new_1d(COLUMNS as u32),
            addresses(&[&input]),
            gradient.into_buffer_arg(),
            input.into_buffer_arg(),
            reciprocals.into_buffer_arg(),
            partial.clone().into_buffer_arg(),
            blocks,
            blocks_per_row,
            chunks,
            rows_per_scale,
            width,
            CHUNK,
            element(&output),
        );
    }
    let count = scales * width;
    let cube = CubeDim::new(&client, count);
    // SAFETY: units beyond the count return.
    unsafe {
        sum_chunks_kernel::launch_unchecked(
            &client,
            calculate_cube_count_elemwise(&client, count, cube),
            cube,
            addresses(&[&partial]),
            partial.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            count,
            chunks,
            width,
            element(&output),
        );
    }
    output
}

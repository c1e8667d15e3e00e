//! Dropout, fused with what surrounds it in T5. Nothing is stored: a gradient draws the mask again.

use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::launch::{addresses, contiguous, element, empty_like, vector_size};
use super::mask::{DeviceMask, upload};
use crate::dropout::Mask;

/// One unit works on one vector of a row.
pub struct Grid {
    pub vector: usize,
    pub count: usize,
    pub cube: CubeDim,
    pub cubes: CubeCount,
}

impl Grid {
    pub fn new(tensor: &CubeTensor, width: usize) -> Self {
        let vector = vector_size(width);
        let count = tensor.meta.num_elements() / vector;
        let cube = CubeDim::new(&tensor.client, count);
        let cubes = calculate_cube_count_elemwise(&tensor.client, count, cube);
        Self { vector, count, cube, cubes }
    }
}

/// Factors of the vector at a position.
#[cube]
pub fn factors<N: Size>(mask: &DeviceMask, position: usize, vectors_per_row: usize) -> Vector<f32, N> {
    let row = position / vectors_per_row;
    let column = (position % vectors_per_row) * N::value();
    mask.factors::<N>(mask.row_key(row as u32), column as u32)
}

#[cube(launch_unchecked, address_type = "dynamic")]
fn dropout_kernel<F: Float, N: Size>(
    input: &[Vector<F, N>],
    output: &mut [Vector<F, N>],
    mask: DeviceMask,
    count: usize,
    vectors_per_row: usize,
    #[comptime] relu: bool,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS >= count {
        terminate!();
    }
    let mut x = Vector::<f32, N>::cast_from(input[ABSOLUTE_POS]);
    if comptime!(relu) {
        let zero = Vector::<f32, N>::new(0.0f32);
        x = select_many(x.greater_than(&zero), x, zero);
    }
    output[ABSOLUTE_POS] = Vector::cast_from(x * factors::<N>(&mask, ABSOLUTE_POS, vectors_per_row));
}

#[cube(launch_unchecked, address_type = "dynamic")]
fn add_dropout_kernel<F: Float, N: Size>(
    residual: &[Vector<F, N>],
    update: &[Vector<F, N>],
    output: &mut [Vector<F, N>],
    mask: DeviceMask,
    count: usize,
    vectors_per_row: usize,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS >= count {
        terminate!();
    }
    let x = Vector::<f32, N>::cast_from(residual[ABSOLUTE_POS]);
    let update = Vector::<f32, N>::cast_from(update[ABSOLUTE_POS]);
    output[ABSOLUTE_POS] = Vector::cast_from(x + update * factors::<N>(&mask, ABSOLUTE_POS, vectors_per_row));
}

#[cube(launch_unchecked, address_type = "dynamic")]
fn relu_dropout_gradient_kernel<F: Float, N: Size>(
    gradient: &[Vector<F, N>],
    output: &[Vector<F, N>],
    result: &mut [Vector<F, N>],
    scale: f32,
    count: usize,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS >= count {
        terminate!();
    }
    let zero = Vector::<f32, N>::new(0.0f32);
    let kept = Vector::<f32, N>::cast_from(output[ABSOLUTE_POS]).greater_than(&zero);
    let g = Vector::<f32, N>::cast_from(gradient[ABSOLUTE_POS]) * Vector::<f32, N>::new(scale);
    result[ABSOLUTE_POS] = Vector::cast_from(select_many(kept, g, zero));
}

/// `dropout(input)`: its own gradient too.
pub fn dropout(input: CubeTensor, mask: &Mask) -> CubeTensor {
    launch_dropout(input, mask, false)
}

/// `dropout(max(input, 0))`.
pub fn relu_dropout(input: CubeTensor, mask: &Mask) -> CubeTensor {
    launch_dropout(input, mask, true)
}

fn launch_dropout(input: CubeTensor, mask: &Mask, relu: bool) -> CubeTensor {
    let input = contiguous(input);
    let output = empty_like(&input);
    let grid = Grid::new(&input, mask.width());
    let (client, device_mask) = (input.client.clone(), upload(mask, &input));
    // SAFETY: units beyond the count return; input and output have as many elements as the mask.
    unsafe {
        dropout_kernel::launch_unchecked(
            &client,
            grid.cubes,
            grid.cube,
            addresses(&[&input]),
            grid.vector,
            input.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            device_mask,
            grid.count,
            mask.width() / grid.vector,
            relu,
            element(&output),
        );
    }
    output
}

/// `residual + dropout(update)`.
pub fn add_dropout(residual: CubeTensor, update: CubeTensor, mask: &Mask) -> CubeTensor {
    let (residual, update) = (contiguous(residual), contiguous(update));
    let output = empty_like(&residual);
    let grid = Grid::new(&residual, mask.width());
    let (client, device_mask) = (residual.client.clone(), upload(mask, &residual));
    // SAFETY: units beyond the count return; all tensors have as many elements as the mask.
    unsafe {
        add_dropout_kernel::launch_unchecked(
            &client,
            grid.cubes,
            grid.cube,
            addresses(&[&residual]),
            grid.vector,
            residual.into_buffer_arg(),
            update.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            device_mask,
            grid.count,
            mask.width() / grid.vector,
            element(&output),
        );
    }
    output
}

/// The gradient of [`relu_dropout`], from its output.
pub fn relu_dropout_gradient(gradient: CubeTensor, output: CubeTensor, scale: f32) -> CubeTensor {
    let (gradient, output) = (contiguous(gradient), contiguous(output));
    let result = empty_like(&gradient);
    let grid = Grid::new(&gradient, gradient.meta.num_elements());
    let client = gradient.client.clone();
    // SAFETY: units beyond the count return; all tensors have the same shape.
    unsafe {
        relu_dropout_gradient_kernel::launch_unchecked(
            &client,
            grid.cubes,
            grid.cube,
            addresses(&[&gradient]),
            grid.vector,
            gradient.into_buffer_arg(),
            output.into_buffer_arg(),
            result.clone().into_buffer_arg(),
            scale,
            grid.count,
            element(&result),
        );
    }
    result
}

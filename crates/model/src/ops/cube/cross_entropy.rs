//! Log-probabilities of target ids and their gradient, without a full table of log-probabilities.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::launch::{UNITS, addresses, contiguous, cubes, dims, element, empty, empty_like, vector_size};
use super::reduce::{self, LOWEST};

/// One pass over a row: each unit keeps the largest of its logits and the sum of exponentials relative to it.
#[cube(launch_unchecked, address_type = "dynamic")]
fn forward_kernel<F: Float, I: Int>(
    logits: &[F],
    targets: &[I],
    output: &mut [f32],
    normalizers: &mut [f32],
    rows: usize,
    vocabulary: usize,
    #[comptime] units: usize,
    #[define(F, I)] _dtypes: [ElemType; 2],
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let start = row * vocabulary;
    let unit = UNIT_POS as usize;
    let mut largest = comptime!(LOWEST).runtime();
    let mut total = 0.0f32;
    for column in range_stepped(unit, vocabulary, units) {
        let x = f32::cast_from(logits[start + column]);
        if x > largest {
            total = total * (largest - x).exp() + 1.0f32;
            largest = x;
        } else {
            total += (x - largest).exp();
        }
    }
    let highest = reduce::max(largest, units);
    let total = reduce::sum(total * (largest - highest).exp(), units);
    if unit == 0 {
        let normalizer = highest + total.ln();
        let target = usize::cast_from(targets[row]);
        output[row] = f32::cast_from(logits[start + target]) - normalizer;
        normalizers[row] = normalizer;
    }
}

#[cube(launch_unchecked, address_type = "dynamic")]
fn gradient_kernel<F: Float, I: Int, N: Size>(
    gradient: &[f32],
    logits: &[Vector<F, N>],
    targets: &[I],
    normalizers: &[f32],
    output: &mut [Vector<F, N>],
    count: usize,
    vectors_per_row: usize,
    #[define(F, I)] _dtypes: [ElemType; 2],
) {
    if ABSOLUTE_POS >= count {
        terminate!();
    }
    let row = ABSOLUTE_POS / vectors_per_row;
    let g = gradient[row];
    let mut new = Vector::<f32, N>::new(0.0f32);
    // Padding has no gradient.
    if g != 0.0f32 {
        let column = ABSOLUTE_POS % vectors_per_row * N::value();
        let target = usize::cast_from(targets[row]);
        let x = Vector::<f32, N>::cast_from(logits[ABSOLUTE_POS]);
        let weights = (x - Vector::new(normalizers[row])).exp();
        #[unroll]
        for i in 0..N::value() {
            let hit = select(column + i == target, 1.0f32, 0.0f32);
            new.insert(i, g * (hit - weights.extract(i)));
        }
    }
    output[ABSOLUTE_POS] = Vector::cast_from(new);
}

/// Log-probability of each row's target, and the log of each row's normalizer: `[rows]` each.
pub fn forward(logits: CubeTensor, targets: CubeTensor) -> (CubeTensor, CubeTensor) {
    let (logits, targets) = (contiguous(logits), contiguous(targets));
    let [rows, vocabulary] = dims(&logits);
    let output = empty(&logits, [rows], DType::F32);
    let normalizers = empty(&logits, [rows], DType::F32);
    let client = logits.client.clone();
    let types = [element(&logits), element(&targets)];
    // SAFETY: cubes beyond the rows return, no unit leaves its row, and targets are ids of the vocabulary.
    unsafe {
        forward_kernel::launch_unchecked(
            &client,
            cubes(&client, rows),
            CubeDim::new_1d(UNITS as u32),
            addresses(&[&logits]),
            logits.into_buffer_arg(),
            targets.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            normalizers.clone().into_buffer_arg(),
            rows,
            vocabulary,
            UNITS,
            types,
        );
    }
    (output, normalizers)
}

/// The gradient with respect to the logits.
pub fn gradient(
    gradient: CubeTensor,
    logits: CubeTensor,
    targets: CubeTensor,
    normalizers: CubeTensor,
) -> CubeTensor {
    let [gradient, logits, targets] = [gradient, logits, targets].map(contiguous);
    let [rows, vocabulary] = dims(&logits);
    let output = empty_like(&logits);
    let client = logits.client.clone();
    let vector = vector_size(vocabulary);
    let count = rows * vocabulary / vector;
    let cube = CubeDim::new(&client, count);
    let types = [element(&logits), element(&targets)];
    // SAFETY: units beyond the count return.
    unsafe {
        gradient_kernel::launch_unchecked(
            &client,
            calculate_cube_count_elemwise(&client, count, cube),
            cube,
            addresses(&[&logits]),
            vector,
            gradient.into_buffer_arg(),
            logits.into_buffer_arg(),
            targets.into_buffer_arg(),
            normalizers.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            count,
            vocabulary / vector,
            types,
        );
    }
    output
}

//! T5 v1.1's gated hidden layer: GELU by tanh, the gate's product and dropout in one pass over memory.

use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::dropout::{Grid, factors};
use super::launch::{addresses, contiguous, element, empty_like};
use super::mask::{DeviceMask, upload};
use crate::dropout::Mask;
use crate::ops::gate::GateKernels;

/// The square root of 2 / pi.
const ROOT: f32 = 0.797_884_6;

const CUBIC: f32 = 0.044_715;

/// The tanh in the approximation of GELU.
#[cube]
fn tanh_of<N: Size>(x: Vector<f32, N>) -> Vector<f32, N> {
    let inner = x + x * x * x * Vector::new(CUBIC);
    (inner * Vector::new(ROOT)).tanh()
}

#[cube(launch_unchecked, address_type = "dynamic")]
fn forward_kernel<F: Float, N: Size>(
    gate: &[Vector<F, N>],
    up: &[Vector<F, N>],
    output: &mut [Vector<F, N>],
    mask: DeviceMask,
    count: usize,
    vectors_per_row: usize,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS >= count {
        terminate!();
    }
    let x = Vector::<f32, N>::cast_from(gate[ABSOLUTE_POS]);
    let up = Vector::<f32, N>::cast_from(up[ABSOLUTE_POS]);
    let half = Vector::<f32, N>::new(0.5f32);
    let gelu = half * x * (Vector::new(1.0f32) + tanh_of::<N>(x));
    output[ABSOLUTE_POS] = Vector::cast_from(gelu * up * factors::<N>(&mask, ABSOLUTE_POS, vectors_per_row));
}

#[cube(launch_unchecked, address_type = "dynamic")]
fn gradients_kernel<F: Float, N: Size>(
    gradient: &[Vector<F, N>],
    gate: &[Vector<F, N>],
    up: &[Vector<F, N>],
    gate_output: &mut [Vector<F, N>],
    up_output: &mut [Vector<F, N>],
    mask: DeviceMask,
    count: usize,
    vectors_per_row: usize,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS >= count {
        terminate!();
    }
    let g = Vector::<f32, N>::cast_from(gradient[ABSOLUTE_POS]);
    let g = g * factors::<N>(&mask, ABSOLUTE_POS, vectors_per_row);
    let x = Vector::<f32, N>::cast_from(gate[ABSOLUTE_POS]);
    let up = Vector::<f32, N>::cast_from(up[ABSOLUTE_POS]);
    let (half, one) = (Vector::<f32, N>::new(0.5f32), Vector::<f32, N>::new(1.0f32));
    let t = tanh_of::<N>(x);
    let inner = Vector::new(ROOT) * (one + x * x * Vector::new(3.0f32 * CUBIC));
    let slope = half * (one + t) + half * x * (one - t * t) * inner;
    gate_output[ABSOLUTE_POS] = Vector::cast_from(g * up * slope);
    up_output[ABSOLUTE_POS] = Vector::cast_from(g * half * x * (one + t));
}

impl GateKernels for CubeBackend {
    fn gelu_gate_masked(gate: CubeTensor, up: CubeTensor, mask: Mask) -> CubeTensor {
        let (gate, up) = (contiguous(gate), contiguous(up));
        let output = empty_like(&gate);
        let grid = Grid::new(&gate, mask.width());
        let (client, device_mask) = (gate.client.clone(), upload(&mask, &gate));
        // SAFETY: units beyond the count return; all tensors have as many elements as the mask.
        unsafe {
            forward_kernel::launch_unchecked(
                &client,
                grid.cubes,
                grid.cube,
                addresses(&[&gate]),
                grid.vector,
                gate.into_buffer_arg(),
                up.into_buffer_arg(),
                output.clone().into_buffer_arg(),
                device_mask,
                grid.count,
                mask.width() / grid.vector,
                element(&output),
            );
        }
        output
    }

    fn gelu_gate_masked_gradients(
        gradient: CubeTensor,
        gate: CubeTensor,
        up: CubeTensor,
        mask: Mask,
    ) -> (CubeTensor, CubeTensor) {
        let [gradient, gate, up] = [gradient, gate, up].map(contiguous);
        let (of_gate, of_up) = (empty_like(&gate), empty_like(&up));
        let grid = Grid::new(&gate, mask.width());
        let (client, device_mask) = (gate.client.clone(), upload(&mask, &gate));
        // SAFETY: units beyond the count return; all tensors have as many elements as the mask.
        unsafe {
            gradients_kernel::launch_unchecked(
                &client,
                grid.cubes,
                grid.cube,
                addresses(&[&gate]),
                grid.vector,
                gradient.into_buffer_arg(),
                gate.into_buffer_arg(),
                up.into_buffer_arg(),
                of_gate.clone().into_buffer_arg(),
                of_up.clone().into_buffer_arg(),
                device_mask,
                grid.count,
                mask.width() / grid.vector,
                element(&of_gate),
            );
        }
        (of_gate, of_up)
    }
}

//! T5's arithmetic on the CPU: the kernels of the fused operations, and products and sums whose bits do not depend on
//! the runs beside.

mod adamw;
mod attention;
mod cross_entropy;
mod elementwise;
mod gemm;
mod linear;
mod reduce;
mod rms_norm;
mod simd;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use burn::tensor::{DType, Shape, Tensor, TensorData};

use super::arguments::{
    AdamWNumbers, AdamWRuns, AdamWState, AttentionGradients, AttentionInputs, AttentionPlan,
};
use super::fused::Kernels;
use crate::device::is_host;
use crate::dropout::Mask;

/// Whether the kernels here can take a tensor: it is on the CPU, in f32.
pub(super) fn takes<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == DType::F32 && is_host(&tensor.device())
}

/// Operations that only the CPU has; shapes as in [`crate::ops`].
#[backend_extension(Autodiff, Flex)]
pub(super) trait CpuOps: Backend {
    /// `input x weight'`: `[runs, rows, in]` and `[1 or runs, out, in]` to `[runs, rows, out]`.
    fn linear(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;
    /// `[runs, 1, 1 or length, width]` to `[runs, batch, length, width]`.
    fn spread(values: FloatTensor<Self>, batch: usize, length: usize) -> FloatTensor<Self>;
    /// Sum of each row: `[rows, columns]` to `[rows]`.
    fn sum_rows(values: FloatTensor<Self>) -> FloatTensor<Self>;
}

type Floats = FloatTensor<Flex>;
type Ints = IntTensor<Flex>;

fn shape<const D: usize>(tensor: &Floats) -> [usize; D] {
    let dims: Vec<usize> = tensor.layout().shape().iter().copied().collect();
    dims.try_into().expect("the rank that the operation was called with")
}

/// The tensor with its elements in row-major order, the buffer its own where it was.
fn contiguous(tensor: Floats) -> Floats {
    let ordered = tensor.to_contiguous();
    drop(tensor);
    ordered
}

fn slice(tensor: &Floats) -> &[f32] {
    tensor.as_slice().expect("made contiguous before")
}

fn from_vec<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Floats {
    Floats::from_data(TensorData::new(values, shape))
}

/// Applies a change in place where nobody else holds the buffer, on a copy otherwise.
fn change(tensor: Floats, f: impl FnOnce(&mut [f32])) -> Floats {
    let mut tensor = contiguous(tensor);
    f(tensor.storage_mut());
    tensor
}

impl CpuOps for Flex {
    fn linear(input: Floats, weight: Floats) -> Floats {
        linear(&contiguous(input), &contiguous(weight))
    }

    fn spread(values: Floats, batch: usize, length: usize) -> Floats {
        let [runs, _, _, width] = shape(&values);
        Flex::float_expand(values, Shape::from([runs, batch, length, width]))
    }

    fn sum_rows(values: Floats) -> Floats {
        let values = contiguous(values);
        let [rows, columns] = shape(&values);
        from_vec(reduce::sum_rows(slice(&values), rows, columns), [rows])
    }
}

impl Kernels for Flex {
    fn contiguous(tensor: Floats) -> Floats {
        contiguous(tensor)
    }

    fn rms_norm_forward(input: Floats, scale: Floats, epsilon: f64) -> (Floats, Floats) {
        let (input, scale) = (contiguous(input), contiguous(scale));
        let sizes = norm_sizes(&input, &scale);
        let (out, reciprocals) = rms_norm::forward(slice(&input), slice(&scale), sizes, epsilon as f32);
        let rows = reciprocals.len();
        (from_vec(out, shape::<4>(&input)), from_vec(reciprocals, [rows]))
    }

    fn rms_norm_input_gradient(
        gradient: Floats,
        input: Floats,
        scale: Floats,
        reciprocals: Floats,
    ) -> Floats {
        let [gradient, input, scale] = [gradient, input, scale].map(contiguous);
        let (g, x, sizes) = (slice(&gradient), slice(&input), norm_sizes(&input, &scale));
        let new = rms_norm::backward_input(g, x, slice(&scale), slice(&reciprocals), sizes);
        from_vec(new, shape::<4>(&input))
    }

    fn rms_norm_scale_gradient(
        gradient: Floats,
        input: Floats,
        reciprocals: Floats,
        scales: usize,
    ) -> Floats {
        let [gradient, input] = [gradient, input].map(contiguous);
        let [runs, batch, length, width] = shape(&input);
        let sizes = rms_norm::Sizes { runs, rows: batch * length, width, scales };
        let new = rms_norm::backward_scale(slice(&gradient), slice(&input), slice(&reciprocals), sizes);
        from_vec(new, [scales, 1, width])
    }

    fn attention_forward(inputs: AttentionInputs<Flex>, plan: AttentionPlan) -> (Floats, Floats) {
        let ordered = Ordered::new(inputs);
        let sizes = ordered.sizes(plan.heads);
        let (out, normalizers) = attention::forward(ordered.inputs(&plan), sizes);
        let rows = [sizes.runs, sizes.batch, sizes.heads, sizes.queries];
        (from_vec(out, shape::<4>(&ordered.queries)), from_vec(normalizers, rows))
    }

    fn attention_gradients(
        gradient: Floats,
        inputs: AttentionInputs<Flex>,
        normalizers: Floats,
        plan: AttentionPlan,
        with_bias: bool,
    ) -> AttentionGradients<Flex> {
        let (gradient, ordered) = (contiguous(gradient), Ordered::new(inputs));
        let (inputs, sizes) = (ordered.inputs(&plan), ordered.sizes(plan.heads));
        let new = attention::backward(slice(&gradient), inputs, slice(&normalizers), sizes, with_bias);
        let bias = ordered.bias.as_ref().filter(|_| with_bias);
        AttentionGradients {
            queries: from_vec(new.queries, shape::<4>(&ordered.queries)),
            keys: from_vec(new.keys, shape::<4>(&ordered.keys)),
            values: from_vec(new.values, shape::<4>(&ordered.values)),
            bias: bias.map(|bias| from_vec(new.bias, shape::<4>(bias))).into(),
        }
    }

    fn apply_mask(input: Floats, mask: Mask) -> Floats {
        change(input, |x| elementwise::dropout(x, &mask))
    }

    fn add_masked(residual: Floats, update: Floats, mask: Mask) -> Floats {
        let update = contiguous(update);
        change(residual, |x| elementwise::add_dropout(x, slice(&update), &mask))
    }

    fn relu_masked(input: Floats, mask: Mask) -> Floats {
        change(input, |x| elementwise::relu_dropout(x, &mask))
    }

    fn relu_masked_gradient(gradient: Floats, output: Floats, scale: f32) -> Floats {
        change(gradient, |g| elementwise::relu_dropout_backward(g, slice(&output), scale))
    }

    fn log_probabilities_forward(logits: Floats, targets: Ints) -> (Floats, Floats) {
        let (logits, targets) = (contiguous(logits), ids(targets));
        let [rows, vocabulary] = shape(&logits);
        let (out, normalizers) = cross_entropy::forward(slice(&logits), &targets, vocabulary);
        (from_vec(out, [rows]), from_vec(normalizers, [rows]))
    }

    fn log_probabilities_gradient(
        gradient: Floats,
        logits: Floats,
        targets: Ints,
        normalizers: Floats,
    ) -> Floats {
        let ([gradient, logits], targets) = ([gradient, logits].map(contiguous), ids(targets));
        let [rows, vocabulary] = shape(&logits);
        let (g, x) = (slice(&gradient), slice(&logits));
        let new = cross_entropy::backward(g, x, &targets, slice(&normalizers), vocabulary);
        from_vec(new, [rows, vocabulary])
    }

    fn adamw(
        state: AdamWState<Flex>,
        gradient: Floats,
        runs: AdamWRuns<Flex>,
        numbers: AdamWNumbers,
    ) -> AdamWState<Flex> {
        let [mut value, mut first, mut second] = [state.value, state.first, state.second].map(contiguous);
        let [gradient, rate, clip, decay] = [gradient, runs.rate, runs.clip, runs.decay].map(contiguous);
        let runs = adamw::Runs { rate: slice(&rate), clip: slice(&clip), decay: slice(&decay) };
        let (v, m, s) = (value.storage_mut(), first.storage_mut(), second.storage_mut());
        adamw::update(v, m, s, slice(&gradient), runs, numbers);
        AdamWState { value, first, second }
    }

    fn sum_of_squares(gradient: Floats) -> Floats {
        let gradient = contiguous(gradient);
        let [runs, _] = shape(&gradient);
        from_vec(adamw::sum_of_squares(slice(&gradient), runs), [runs])
    }
}

fn linear(input: &Floats, weight: &Floats) -> Floats {
    let ([runs, rows, width], [weights, out, _]) = (shape(input), shape(weight));
    let sizes = linear::Sizes { runs, rows, width, out, weights };
    from_vec(linear::forward(slice(input), slice(weight), sizes), [runs, rows, out])
}

fn norm_sizes(input: &Floats, scale: &Floats) -> rms_norm::Sizes {
    let [runs, batch, length, width] = shape(input);
    let [scales, _, _] = shape(scale);
    rms_norm::Sizes { runs, rows: batch * length, width, scales }
}

fn ids(tensor: Ints) -> Vec<i64> {
    tensor.into_data().convert::<i64>().try_into_vec().expect("converted to i64")
}

/// What an attention reads, in row-major order.
struct Ordered {
    queries: Floats,
    keys: Floats,
    values: Floats,
    bias: Option<Floats>,
    mask: Option<Floats>,
}

impl Ordered {
    fn new(inputs: AttentionInputs<Flex>) -> Self {
        let [queries, keys, values] = [inputs.queries, inputs.keys, inputs.values].map(contiguous);
        let [bias, mask] = [inputs.bias, inputs.mask].map(|tensor| tensor.into_option().map(contiguous));
        Self { queries, keys, values, bias, mask }
    }

    fn sizes(&self, heads: usize) -> attention::Sizes {
        let [runs, batch, queries, inner] = shape(&self.queries);
        let [_, _, keys, _] = shape(&self.keys);
        attention::Sizes { runs, batch, heads, queries, keys, size: inner / heads }
    }

    fn inputs<'a>(&'a self, plan: &'a AttentionPlan) -> attention::Inputs<'a> {
        attention::Inputs {
            queries: slice(&self.queries),
            keys: slice(&self.keys),
            values: slice(&self.values),
            bias: self.bias.as_ref().map(slice),
            mask: self.mask.as_ref().map(slice),
            dropout: plan.dropout.as_ref(),
        }
    }
}

impl<C: CheckpointStrategy> CpuOps for Autodiff<Flex, C> {
    fn linear(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Linear;

        impl Backward<Flex, 2> for Linear {
            /// Each factor is kept only where the other has a gradient; and the number of weights.
            type State = (Option<Floats>, Option<Floats>, usize);

            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let gradient = contiguous(grads.consume::<Flex>(&ops.node));
                let [runs, rows, out] = shape(&gradient);
                let [input_node, weight_node] = ops.parents;
                let (input, weight, weights) = ops.state;
                let sizes = |width| linear::Sizes { runs, rows, width, out, weights };
                if let (Some(node), Some(weight)) = (input_node, weight) {
                    let [_, _, width] = shape(&weight);
                    let new = linear::backward_input(slice(&gradient), slice(&weight), sizes(width));
                    grads.register::<Flex>(node.id, from_vec(new, [runs, rows, width]));
                }
                if let (Some(node), Some(input)) = (weight_node, input) {
                    let [_, _, width] = shape(&input);
                    let new = linear::backward_weight(slice(&gradient), slice(&input), sizes(width));
                    grads.register::<Flex>(node.id, from_vec(new, [weights, out, width]));
                }
            }
        }

        let (input_tracked, weight_tracked) = (input.is_tracked(), weight.is_tracked());
        let ((input, a), (weight, b)) = (input.into_parts(), weight.into_parts());
        let (input, weight) = (contiguous(input), contiguous(weight));
        let out = linear(&input, &weight);
        let [weights, _, _] = shape(&weight);
        let kept = (weight_tracked.then_some(input), input_tracked.then_some(weight), weights);
        match Linear.prepare::<C>([a, b]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(kept, out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn spread(values: FloatTensor<Self>, batch: usize, length: usize) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Spread;

        impl Backward<Flex, 1> for Spread {
            type State = [usize; 4];

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let gradient = contiguous(grads.consume::<Flex>(&ops.node));
                let shape @ [runs, _, length, width] = ops.state;
                if let [Some(node)] = ops.parents {
                    let new = reduce::sum_blocks(slice(&gradient), runs, length * width);
                    grads.register::<Flex>(node.id, from_vec(new, shape));
                }
            }
        }

        let (values, node) = values.into_parts();
        let from = shape::<4>(&values);
        let out = Flex::spread(values, batch, length);
        match Spread.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(from, out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn sum_rows(values: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct SumRows;

        impl Backward<Flex, 1> for SumRows {
            type State = [usize; 2];

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let gradient = contiguous(grads.consume::<Flex>(&ops.node));
                let [rows, columns] = ops.state;
                if let [Some(node)] = ops.parents {
                    let new =
                        slice(&gradient).iter().flat_map(|&g| std::iter::repeat_n(g, columns)).collect();
                    grads.register::<Flex>(node.id, from_vec(new, [rows, columns]));
                }
            }
        }

        let (values, node) = values.into_parts();
        let from = shape::<2>(&values);
        let out = Flex::sum_rows(values);
        match SumRows.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(from, out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }
}

//! T5's arithmetic on the CPU: fused kernels with their own gradients, entered into Burn's dispatch.
//!
//! Under automatic differentiation Burn takes attention, norms and losses apart and keeps every
//! intermediate; these keep what a gradient needs and compute the rest again.

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
use burn::tensor::{DType, Device, Shape, Tensor, TensorData};

use super::AdamWStep;
use crate::dropout::Mask;

/// Whether the kernels here can take a tensor: it is on the CPU, in f32.
pub(super) fn takes<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == DType::F32 && tensor.device().inner() == Device::flex()
}

/// How an attention is to be computed.
#[derive(Debug, Clone)]
pub(super) struct AttentionPlan {
    pub heads: usize,
    /// `[runs, batch, keys]`, row after row.
    pub mask: Option<Vec<f32>>,
    pub dropout: Option<Mask>,
}

/// The fused operations; shapes as in [`crate::ops`].
#[backend_extension(Autodiff, Flex)]
pub(super) trait CpuOps: Backend {
    /// `input x weight'`: `[runs, rows, in]` and `[1 or runs, out, in]` to `[runs, rows, out]`.
    fn linear(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;
    /// `[runs, 1, 1 or length, width]` to `[runs, batch, length, width]`.
    fn spread(values: FloatTensor<Self>, batch: usize, length: usize) -> FloatTensor<Self>;
    /// Sum of each row: `[rows, columns]` to `[rows]`.
    fn sum_rows(values: FloatTensor<Self>) -> FloatTensor<Self>;
    fn rms_norm(input: FloatTensor<Self>, scale: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self>;
    fn attention(
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        plan: AttentionPlan,
    ) -> FloatTensor<Self>;
    fn dropout(input: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self>;
    fn add_dropout(residual: FloatTensor<Self>, update: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self>;
    fn relu_dropout(input: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self>;
    fn log_probabilities(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self>;
}

/// The optimizer's pass over memory; it needs no gradients.
#[backend_extension(Flex)]
pub(super) trait CpuOptimizer: Backend {
    fn adamw(
        value: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    fn sum_of_squares(gradient: FloatTensor<Self>) -> FloatTensor<Self>;
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

    fn rms_norm(input: Floats, scale: Floats, epsilon: f64) -> Floats {
        let (input, scale) = (contiguous(input), contiguous(scale));
        let (out, _) =
            rms_norm::forward(slice(&input), slice(&scale), norm_sizes(&input, &scale), epsilon as f32);
        from_vec(out, shape::<4>(&input))
    }

    fn attention(queries: Floats, keys: Floats, values: Floats, bias: Floats, plan: AttentionPlan) -> Floats {
        let saved = AttentionState::new(queries, keys, values, bias, plan);
        let (out, _) = attention::forward(saved.inputs(), saved.sizes());
        from_vec(out, shape::<4>(&saved.queries))
    }

    fn dropout(input: Floats, mask: Mask) -> Floats {
        change(input, |x| elementwise::dropout(x, &mask))
    }

    fn add_dropout(residual: Floats, update: Floats, mask: Mask) -> Floats {
        let update = contiguous(update);
        change(residual, |x| elementwise::add_dropout(x, slice(&update), &mask))
    }

    fn relu_dropout(input: Floats, mask: Mask) -> Floats {
        change(input, |x| elementwise::relu_dropout(x, &mask))
    }

    fn log_probabilities(logits: Floats, targets: Ints) -> Floats {
        let (logits, targets) = (contiguous(logits), ids(targets));
        let [rows, vocabulary] = shape(&logits);
        let (out, _) = cross_entropy::forward(slice(&logits), &targets, vocabulary);
        from_vec(out, [rows])
    }
}

impl CpuOptimizer for Flex {
    fn adamw(
        value: Floats,
        first: Floats,
        second: Floats,
        gradient: Floats,
        step: AdamWStep,
    ) -> (Floats, Floats, Floats) {
        let [mut value, mut first, mut second, gradient] = [value, first, second, gradient].map(contiguous);
        let (v, m, s) = (value.storage_mut(), first.storage_mut(), second.storage_mut());
        adamw::update(v, m, s, slice(&gradient), &step);
        (value, first, second)
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

/// What an attention's gradient needs.
#[derive(Debug, Clone)]
struct AttentionState {
    queries: Floats,
    keys: Floats,
    values: Floats,
    bias: Floats,
    plan: AttentionPlan,
}

impl AttentionState {
    fn new(queries: Floats, keys: Floats, values: Floats, bias: Floats, plan: AttentionPlan) -> Self {
        Self {
            queries: contiguous(queries),
            keys: contiguous(keys),
            values: contiguous(values),
            bias: contiguous(bias),
            plan,
        }
    }

    fn sizes(&self) -> attention::Sizes {
        let [runs, batch, queries, inner] = shape(&self.queries);
        let [_, _, keys, _] = shape(&self.keys);
        let heads = self.plan.heads;
        attention::Sizes { runs, batch, heads, queries, keys, size: inner / heads }
    }

    fn inputs(&self) -> attention::Inputs<'_> {
        attention::Inputs {
            queries: slice(&self.queries),
            keys: slice(&self.keys),
            values: slice(&self.values),
            bias: Some(slice(&self.bias)),
            mask: self.plan.mask.as_deref(),
            dropout: self.plan.dropout.as_ref(),
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

    fn rms_norm(input: FloatTensor<Self>, scale: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct RmsNorm;

        impl Backward<Flex, 2> for RmsNorm {
            type State = (Floats, Floats, Vec<f32>);

            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let gradient = contiguous(grads.consume::<Flex>(&ops.node));
                let (input, scale, reciprocals) = ops.state;
                let sizes = norm_sizes(&input, &scale);
                let [input_node, scale_node] = ops.parents;
                let (g, x) = (slice(&gradient), slice(&input));
                if let Some(node) = input_node {
                    let dx = rms_norm::backward_input(g, x, slice(&scale), &reciprocals, sizes);
                    grads.register::<Flex>(node.id, from_vec(dx, shape::<4>(&input)));
                }
                if let Some(node) = scale_node {
                    let dscale = rms_norm::backward_scale(g, x, &reciprocals, sizes);
                    grads.register::<Flex>(node.id, from_vec(dscale, shape::<3>(&scale)));
                }
            }
        }

        let ((input, a), (scale, b)) = (input.into_parts(), scale.into_parts());
        let (input, scale) = (contiguous(input), contiguous(scale));
        let sizes = norm_sizes(&input, &scale);
        let (out, reciprocals) = rms_norm::forward(slice(&input), slice(&scale), sizes, epsilon as f32);
        let out = from_vec(out, shape::<4>(&input));
        match RmsNorm.prepare::<C>([a, b]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((input, scale, reciprocals), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn attention(
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        plan: AttentionPlan,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Attention;

        impl Backward<Flex, 4> for Attention {
            type State = (AttentionState, Vec<f32>);

            fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
                let gradient = contiguous(grads.consume::<Flex>(&ops.node));
                let (saved, normalizers) = ops.state;
                let with_bias = ops.parents[3].is_some();
                let new = attention::backward(
                    slice(&gradient),
                    saved.inputs(),
                    &normalizers,
                    saved.sizes(),
                    with_bias,
                );
                let parts = [
                    (new.queries, shape::<4>(&saved.queries)),
                    (new.keys, shape(&saved.keys)),
                    (new.values, shape(&saved.values)),
                    (new.bias, shape(&saved.bias)),
                ];
                for (node, (values, shape)) in ops.parents.into_iter().zip(parts) {
                    if let Some(node) = node {
                        grads.register::<Flex>(node.id, from_vec(values, shape));
                    }
                }
            }
        }

        let ((queries, a), (keys, b)) = (queries.into_parts(), keys.into_parts());
        let ((values, c), (bias, d)) = (values.into_parts(), bias.into_parts());
        let saved = AttentionState::new(queries, keys, values, bias, plan);
        let (out, normalizers) = attention::forward(saved.inputs(), saved.sizes());
        let out = from_vec(out, shape::<4>(&saved.queries));
        match Attention.prepare::<C>([a, b, c, d]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((saved, normalizers), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn dropout(input: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Dropout;

        impl Backward<Flex, 1> for Dropout {
            type State = Mask;

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let gradient = grads.consume::<Flex>(&ops.node);
                if let [Some(node)] = ops.parents {
                    grads.register::<Flex>(node.id, Flex::dropout(gradient, ops.state));
                }
            }
        }

        let (input, node) = input.into_parts();
        let out = Flex::dropout(input, mask.clone());
        match Dropout.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(mask, out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn add_dropout(residual: FloatTensor<Self>, update: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct AddDropout;

        impl Backward<Flex, 2> for AddDropout {
            type State = Mask;

            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let gradient = grads.consume::<Flex>(&ops.node);
                let [residual, update] = ops.parents;
                if let Some(node) = residual {
                    grads.register::<Flex>(node.id, gradient.clone());
                }
                if let Some(node) = update {
                    grads.register::<Flex>(node.id, Flex::dropout(gradient, ops.state));
                }
            }
        }

        let ((residual, a), (update, b)) = (residual.into_parts(), update.into_parts());
        let out = Flex::add_dropout(residual, update, mask.clone());
        match AddDropout.prepare::<C>([a, b]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(mask, out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn relu_dropout(input: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct ReluDropout;

        impl Backward<Flex, 1> for ReluDropout {
            type State = (Floats, f32);

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let gradient = grads.consume::<Flex>(&ops.node);
                let (out, scale) = ops.state;
                if let [Some(node)] = ops.parents {
                    let gradient =
                        change(gradient, |g| elementwise::relu_dropout_backward(g, slice(&out), scale));
                    grads.register::<Flex>(node.id, gradient);
                }
            }
        }

        let (input, node) = input.into_parts();
        let scale = mask.scale();
        let out = Flex::relu_dropout(input, mask);
        match ReluDropout.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((out.clone(), scale), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn log_probabilities(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct LogProbabilities;

        impl Backward<Flex, 1> for LogProbabilities {
            type State = (Floats, Vec<i64>, Vec<f32>);

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let gradient = contiguous(grads.consume::<Flex>(&ops.node));
                let (logits, targets, normalizers) = ops.state;
                let [rows, vocabulary] = shape(&logits);
                if let [Some(node)] = ops.parents {
                    let new = cross_entropy::backward(
                        slice(&gradient),
                        slice(&logits),
                        &targets,
                        &normalizers,
                        vocabulary,
                    );
                    grads.register::<Flex>(node.id, from_vec(new, [rows, vocabulary]));
                }
            }
        }

        let (logits, node) = logits.into_parts();
        let (logits, targets) = (contiguous(logits), ids(targets));
        let [rows, vocabulary] = shape(&logits);
        let (out, normalizers) = cross_entropy::forward(slice(&logits), &targets, vocabulary);
        let out = from_vec(out, [rows]);
        match LogProbabilities.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((logits, targets, normalizers), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }
}

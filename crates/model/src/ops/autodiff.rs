//! The fused operations under automatic differentiation, for every device that has the kernels.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, AutodiffBackend, TensorMetadata};

use super::arguments::{AttentionInputs, AttentionPlan, Maybe};
use super::fused::{FusedOps, Kernels};
use crate::dropout::Mask;

impl<B: Kernels, C: CheckpointStrategy> FusedOps for Autodiff<B, C> {
    fn rms_norm(input: FloatTensor<Self>, scale: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        let ((input, a), (scale, b)) = (input.into_parts(), scale.into_parts());
        let (input, scale) = (B::contiguous(input), B::contiguous(scale));
        let (out, reciprocals) = B::rms_norm_forward(input.clone(), scale.clone(), epsilon);
        match RmsNorm.prepare::<C>([a, b]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((input, scale, reciprocals), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn attention(inputs: AttentionInputs<Self>, plan: AttentionPlan) -> FloatTensor<Self> {
        let ((queries, a), (keys, b), (values, c)) =
            (inputs.queries.into_parts(), inputs.keys.into_parts(), inputs.values.into_parts());
        let (bias, d) = match inputs.bias {
            Maybe::Some(bias) => {
                let (bias, node) = bias.into_parts();
                (Maybe::Some(B::contiguous(bias)), node)
            }
            // A node that nothing tracks.
            Maybe::None => (Maybe::None, Self::from_inner(queries.clone()).into_parts().1),
        };
        let mask = Maybe::from(inputs.mask.into_option().map(|mask| B::contiguous(mask.into_primitive())));
        let [queries, keys, values] = [queries, keys, values].map(B::contiguous);
        let inputs = AttentionInputs { queries, keys, values, bias, mask };
        let (out, normalizers) = B::attention_forward(inputs.clone(), plan.clone());
        match Attention.prepare::<C>([a, b, c, d]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((inputs, normalizers, plan), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn dropout(input: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self> {
        let (input, node) = input.into_parts();
        let out = B::apply_mask(input, mask.clone());
        match Dropout.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(mask, out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn add_dropout(residual: FloatTensor<Self>, update: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self> {
        let ((residual, a), (update, b)) = (residual.into_parts(), update.into_parts());
        let out = B::add_masked(residual, update, mask.clone());
        match AddDropout.prepare::<C>([a, b]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(mask, out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn relu_dropout(input: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self> {
        let (input, node) = input.into_parts();
        let scale = mask.scale();
        let out = B::relu_masked(input, mask);
        match ReluDropout.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((out.clone(), scale), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn log_probabilities(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self> {
        let (logits, node) = logits.into_parts();
        let logits = B::contiguous(logits);
        let (out, normalizers) = B::log_probabilities_forward(logits.clone(), targets.clone());
        match LogProbabilities.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((logits, targets, normalizers), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }
}

#[derive(Debug)]
struct RmsNorm;

impl<B: Kernels> Backward<B, 2> for RmsNorm {
    /// Input, scale and reciprocals.
    type State = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (input, scale, reciprocals) = ops.state;
        let [input_node, scale_node] = ops.parents;
        if let Some(node) = scale_node {
            let scales = scale.shape()[0];
            let new =
                B::rms_norm_scale_gradient(gradient.clone(), input.clone(), reciprocals.clone(), scales);
            grads.register::<B>(node.id, new);
        }
        if let Some(node) = input_node {
            grads.register::<B>(node.id, B::rms_norm_input_gradient(gradient, input, scale, reciprocals));
        }
    }
}

#[derive(Debug)]
struct Attention;

impl<B: Kernels> Backward<B, 4> for Attention {
    /// Inputs, normalizers and plan.
    type State = (AttentionInputs<B>, FloatTensor<B>, AttentionPlan);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (inputs, normalizers, plan) = ops.state;
        let with_bias = ops.parents[3].is_some();
        let new = B::attention_gradients(gradient, inputs, normalizers, plan, with_bias);
        let new = [Some(new.queries), Some(new.keys), Some(new.values), new.bias.into_option()];
        for (node, new) in ops.parents.into_iter().zip(new) {
            if let (Some(node), Some(new)) = (node, new) {
                grads.register::<B>(node.id, new);
            }
        }
    }
}

#[derive(Debug)]
struct Dropout;

impl<B: Kernels> Backward<B, 1> for Dropout {
    type State = Mask;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::apply_mask(gradient, ops.state));
        }
    }
}

#[derive(Debug)]
struct AddDropout;

impl<B: Kernels> Backward<B, 2> for AddDropout {
    type State = Mask;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let [residual, update] = ops.parents;
        if let Some(node) = residual {
            grads.register::<B>(node.id, gradient.clone());
        }
        if let Some(node) = update {
            grads.register::<B>(node.id, B::apply_mask(gradient, ops.state));
        }
    }
}

#[derive(Debug)]
struct ReluDropout;

impl<B: Kernels> Backward<B, 1> for ReluDropout {
    /// The output, and the scale of what is kept.
    type State = (FloatTensor<B>, f32);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (out, scale) = ops.state;
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::relu_masked_gradient(gradient, out, scale));
        }
    }
}

#[derive(Debug)]
struct LogProbabilities;

impl<B: Kernels> Backward<B, 1> for LogProbabilities {
    /// Logits, targets and normalizers.
    type State = (FloatTensor<B>, IntTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (logits, targets, normalizers) = ops.state;
        if let [Some(node)] = ops.parents {
            let new = B::log_probabilities_gradient(gradient, logits, targets, normalizers);
            grads.register::<B>(node.id, new);
        }
    }
}

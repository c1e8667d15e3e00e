//! The gated hidden layer of T5 v1.1 with its dropout: fused on GPUs, where its parts would all be kept for gradients.

use burn::tensor::{Tensor, activation};

use crate::dropout::Mask;

/// `dropout(gelu(gate) * up)`, with the approximation of GELU by tanh (Hendrycks and Gimpel 2016).
pub fn gelu_gate_dropout(gate: Tensor<4>, up: Tensor<4>, mask: Mask) -> Tensor<4> {
    #[cfg(feature = "cube")]
    if super::fused::is_on_gpu(&gate) {
        return fused::gelu_gate_dropout(gate, up, mask);
    }
    super::dropout(activation::gelu_approximate(gate) * up, mask)
}

#[cfg(feature = "cube")]
pub(super) use fused::GateKernels;

#[cfg(feature = "cube")]
mod fused {
    use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Autodiff, Backend, Cube, Dispatch, backend_extension};
    use burn::tensor::Tensor;

    use crate::dropout::Mask;

    pub(super) fn gelu_gate_dropout(gate: Tensor<4>, up: Tensor<4>, mask: Mask) -> Tensor<4> {
        Tensor::from_dispatch(Dispatch::gelu_gate_dropout(gate.into_dispatch(), up.into_dispatch(), mask))
    }

    #[backend_extension(Autodiff, Cube)]
    pub(in crate::ops) trait GateOps: Backend {
        fn gelu_gate_dropout(gate: FloatTensor<Self>, up: FloatTensor<Self>, mask: Mask)
        -> FloatTensor<Self>;
    }

    /// What a GPU computes for it.
    #[backend_extension(Cube, Fusion)]
    pub(in crate::ops) trait GateKernels: Backend {
        #[fusion(dtype = gate, shape = gate)]
        fn gelu_gate_masked(gate: FloatTensor<Self>, up: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self>;
        /// Gradients with respect to the gate and to what it gates.
        #[fusion(meta = |_, gate, up, _| (gate.clone(), up.clone()))]
        fn gelu_gate_masked_gradients(
            gradient: FloatTensor<Self>,
            gate: FloatTensor<Self>,
            up: FloatTensor<Self>,
            mask: Mask,
        ) -> (FloatTensor<Self>, FloatTensor<Self>);
    }

    impl GateOps for Cube {
        fn gelu_gate_dropout(
            gate: FloatTensor<Self>,
            up: FloatTensor<Self>,
            mask: Mask,
        ) -> FloatTensor<Self> {
            Self::gelu_gate_masked(gate, up, mask)
        }
    }

    impl<B: GateKernels, C: CheckpointStrategy> GateOps for Autodiff<B, C> {
        fn gelu_gate_dropout(
            gate: FloatTensor<Self>,
            up: FloatTensor<Self>,
            mask: Mask,
        ) -> FloatTensor<Self> {
            let ((gate, a), (up, b)) = (gate.into_parts(), up.into_parts());
            let out = B::gelu_gate_masked(gate.clone(), up.clone(), mask.clone());
            match Gate.prepare::<C>([a, b]).compute_bound().stateful() {
                OpsKind::Tracked(prep) => prep.finish((gate, up, mask), out),
                OpsKind::UnTracked(prep) => prep.finish(out),
            }
        }
    }

    #[derive(Debug)]
    struct Gate;

    impl<B: GateKernels> Backward<B, 2> for Gate {
        type State = (FloatTensor<B>, FloatTensor<B>, Mask);

        fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
            let gradient = grads.consume::<B>(&ops.node);
            let (gate, up, mask) = ops.state;
            let (of_gate, of_up) = B::gelu_gate_masked_gradients(gradient, gate, up, mask);
            for (node, new) in ops.parents.into_iter().zip([of_gate, of_up]) {
                if let Some(node) = node {
                    grads.register::<B>(node.id, new);
                }
            }
        }
    }
}

use burn::tensor::{Tensor, activation};

/// The feed-forward non-linearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// Exact GELU.
    Gelu,
    /// GELU's tanh approximation, `gelu_new` in transformers.
    GeluNew,
    /// `x sigmoid(x)`, also called swish.
    Silu,
}

impl Activation {
    /// Its name in transformers.
    pub fn name(self) -> &'static str {
        match self {
            Activation::Relu => "relu",
            Activation::Gelu => "gelu",
            Activation::GeluNew => "gelu_new",
            Activation::Silu => "silu",
        }
    }

    /// Applies it to each element.
    pub fn apply(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Activation::Relu => activation::relu(x),
            Activation::Gelu => activation::gelu(x),
            Activation::GeluNew => activation::gelu_approximate(x),
            Activation::Silu => activation::silu(x),
        }
    }
}

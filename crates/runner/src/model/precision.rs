use burn::tensor::DType;

/// Precision of weights and arithmetic.
pub(super) const PRECISION: DType = DType::F32;

/// The name that it has in results.
pub const PRECISION_NAME: &str = "f32";

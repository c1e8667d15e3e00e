use std::fmt;
use std::str::FromStr;

use burn::tensor::{DType, Device};
use peft_model::device::is_host;
use serde::{Deserialize, Serialize};

/// Type of a backbone's weights and activations. The statistics of norms, softmax, the loss, and what trains with its
/// gradients and moments are in f32 whatever it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits with the range of f32, on GPUs that compute in them.
    Bf16,
}

/// A precision that a device does not compute in.
#[derive(Debug, thiserror::Error)]
#[error("precision {precision}: {device} computes in f32 only")]
pub struct PrecisionError {
    precision: Precision,
    device: String,
}

impl PrecisionError {
    /// What to do about it.
    pub const HINT: &str = "`peft-bench devices` lists the precisions of each device";
}

impl Precision {
    /// The type of its tensors.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
        }
    }

    /// Bytes of a number.
    pub fn bytes(self) -> u64 {
        self.dtype().size() as u64
    }

    /// Refuses a device that does not compute in it; `name` is the device's in the message.
    ///
    /// # Errors
    /// Emulating it would be slower than f32, and no smaller.
    pub fn ensure(self, device: &Device, name: impl ToString) -> Result<(), PrecisionError> {
        match self.is_supported(device) {
            true => Ok(()),
            false => Err(PrecisionError { precision: self, device: name.to_string() }),
        }
    }

    fn is_supported(self, device: &Device) -> bool {
        match self {
            Self::F32 => true,
            Self::Bf16 => !is_host(device) && device.supports_dtype(DType::BF16),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::F32, Self::Bf16].into_iter().find(|known| known.to_string() == text);
        known.ok_or_else(|| format!("unknown precision `{text}`; known are f32 and bf16"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_computes_in_f32() {
        let cpu = Device::flex();
        assert!(Precision::F32.ensure(&cpu, "cpu").is_ok());
        let error = Precision::Bf16.ensure(&cpu, "cpu").unwrap_err().to_string();
        assert!(error.starts_with("precision bf16: cpu computes in f32 only"), "{error}");
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for precision in [Precision::F32, Precision::Bf16] {
            assert_eq!(precision.to_string().parse(), Ok(precision));
            assert_eq!(serde_json::to_value(precision).unwrap(), precision.to_string());
        }
        assert!("f16".parse::<Precision>().unwrap_err().contains("f32 and bf16"));
    }
}

//! What kind of device computes.

use burn::tensor::Device;

/// Whether a device computes in the memory that the program itself has.
pub fn is_host(device: &Device) -> bool {
    device.clone().inner() == Device::flex()
}

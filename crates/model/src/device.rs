//! What kind of device computes.

use burn::tensor::Device;

/// Whether a device computes in the memory that the program itself has.
pub fn is_host(device: &Device) -> bool {
    device.clone().inner() == Device::flex()
}

/// Bytes of memory that a GPU has in all; `None` for the host, and where the driver does not say.
pub fn total_memory(device: &Device) -> Option<u64> {
    match device.clone().inner().as_dispatch() {
        #[cfg(feature = "cube")]
        burn::backend::DispatchDevice::Cube(device) => device.client().properties().memory.max_memory(),
        _ => None,
    }
}

/// Bytes that this program has reserved on a GPU; `None` for the host.
pub fn reserved_memory(device: &Device) -> Option<u64> {
    device.clone().inner().memory_pool_usage().map(|usage| usage.bytes_reserved)
}

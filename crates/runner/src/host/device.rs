//! The devices that a run can ask for.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;

/// A device by the name it has on the command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceName {
    #[default]
    Cpu,
    Cuda,
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        })
    }
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "cpu" => Ok(Self::Cpu),
            "cuda" if cfg!(feature = "cuda") => Ok(Self::Cuda),
            "cuda" => Err("this program was built without CUDA; build it with `--features cuda`".into()),
            other => Err(format!("unknown device `{other}`; known are cpu and cuda")),
        }
    }
}

/// A device that does not work on this machine.
#[derive(Debug, thiserror::Error)]
#[error("--device {name}: the device cannot be used ({problem})")]
pub struct DeviceError {
    name: DeviceName,
    problem: String,
}

/// Whether a device computes in the memory that the program itself has.
pub fn is_host(device: &Device) -> bool {
    device.clone().inner() == Device::flex()
}

impl DeviceName {
    /// The device itself.
    ///
    /// # Errors
    /// When the machine lacks it, or its driver.
    pub fn open(self) -> Result<Device, DeviceError> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            #[cfg(feature = "cuda")]
            Self::Cuda => tried(|| Device::cuda(0)).map_err(|problem| DeviceError { name: self, problem }),
            #[cfg(not(feature = "cuda"))]
            Self::Cuda => unreachable!("refused when the name was parsed"),
        }
    }
}

/// Opens a device and computes something on it; a driver that is missing panics only then.
#[cfg(any(feature = "cuda", test))]
fn tried(open: impl FnOnce() -> Device) -> Result<Device, String> {
    use burn::tensor::Tensor;
    use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

    let hook = take_hook();
    // The panic becomes an error, and would be told twice.
    set_hook(Box::new(|_| {}));
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let device = open();
        let sum: f32 = Tensor::<1>::ones([2], &device).sum().into_scalar();
        (device, sum)
    }));
    set_hook(hook);
    match opened {
        Ok((device, 2.0)) => Ok(device),
        Ok((_, sum)) => Err(format!("it adds 1 and 1 to {sum}")),
        Err(panic) => Err(first_line(panic.as_ref())),
    }
}

/// The first line of what a panic says.
#[cfg(any(feature = "cuda", test))]
fn first_line(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.and_then(|text| text.lines().next()).unwrap_or("its driver failed").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_that_panics_is_an_error_in_one_line() {
        let problem = tried(|| panic!("no {}\nbacktrace", "libcuda.so")).unwrap_err();
        assert_eq!(problem, "no libcuda.so");
        let error = DeviceError { name: DeviceName::Cuda, problem }.to_string();
        assert_eq!(error, "--device cuda: the device cannot be used (no libcuda.so)");
        assert!(tried(Device::flex).is_ok());
    }
}

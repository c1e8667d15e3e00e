//! The devices that a run can ask for.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::str::FromStr;

#[cfg(any(feature = "cuda", feature = "vulkan", feature = "metal", feature = "wgpu"))]
use burn::tensor::DeviceType;
use burn::tensor::{DType, Device, Tensor};
use peft_model::device::{is_host, total_memory};

/// What a device is programmed through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Backend {
    /// Our own kernels on the processor.
    #[default]
    Cpu,
    /// NVIDIA GPUs.
    Cuda,
    /// GPUs of every maker, on Linux and Windows.
    Vulkan,
    /// Apple's GPUs.
    Metal,
    /// Whichever graphics interface the system has.
    Wgpu,
}

impl Backend {
    /// All of them, whether this program was built with them or not.
    pub const ALL: [Self; 5] = [Self::Cpu, Self::Cuda, Self::Vulkan, Self::Metal, Self::Wgpu];

    /// Its name on the command line, which is also the feature that it is built with.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Vulkan => "vulkan",
            Self::Metal => "metal",
            Self::Wgpu => "wgpu",
        }
    }

    /// Whether this program was built with it.
    pub fn is_built(self) -> bool {
        match self {
            Self::Cpu => true,
            Self::Cuda => cfg!(feature = "cuda"),
            Self::Vulkan => cfg!(feature = "vulkan"),
            Self::Metal => cfg!(feature = "metal"),
            Self::Wgpu => cfg!(feature = "wgpu"),
        }
    }

    /// The devices of this machine; none where the driver is missing.
    fn devices(self) -> Vec<Device> {
        match self {
            Self::Cpu => vec![Device::flex()],
            #[cfg(feature = "cuda")]
            Self::Cuda => listed(DeviceType::Cuda),
            #[cfg(feature = "vulkan")]
            Self::Vulkan => listed(DeviceType::Vulkan),
            #[cfg(feature = "metal")]
            Self::Metal => listed(DeviceType::Metal),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => listed(DeviceType::Wgpu),
            #[allow(unreachable_patterns, reason = "a program may be built with all of them")]
            _ => Vec::new(),
        }
    }
}

/// The devices of a kind; none where the driver is missing.
#[cfg(any(feature = "cuda", feature = "vulkan", feature = "metal", feature = "wgpu"))]
fn listed(kind: DeviceType) -> Vec<Device> {
    quietly(|| Device::enumerate(kind).to_vec()).unwrap_or_default()
}

/// A device by the name that it has on the command line: `cpu`, `cuda`, `cuda:1`, `vulkan`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeviceName {
    backend: Backend,
    index: usize,
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.index {
            0 => f.write_str(self.backend.name()),
            index => write!(f, "{}:{index}", self.backend.name()),
        }
    }
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, index) = text.split_once(':').unwrap_or((text, "0"));
        let Some(backend) = Backend::ALL.into_iter().find(|backend| backend.name() == name) else {
            let known = Backend::ALL.map(Backend::name).join(", ");
            return Err(format!("unknown device `{text}`; known are {known}, with `:1` for a second one"));
        };
        if !backend.is_built() {
            return Err(format!("this program was built without {name}; build it with `--features {name}`"));
        }
        match index.parse() {
            Ok(index) if backend != Backend::Cpu || index == 0 => Ok(Self { backend, index }),
            _ => Err(format!("`{text}` has no device number behind the colon; the first one is `{name}:0`")),
        }
    }
}

/// A device that does not work on this machine.
#[derive(Debug, thiserror::Error)]
#[error("--device {name}: {problem}")]
pub struct DeviceError {
    name: DeviceName,
    problem: String,
}

impl DeviceError {
    /// What to do about it.
    pub const HINT: &str = "`peft-bench devices` lists the devices of this machine";
}

/// A device that this program can use on this machine.
#[derive(Debug)]
pub struct Found {
    /// Its name on the command line.
    pub name: DeviceName,
    /// As the maker calls it.
    pub title: String,
    /// Precisions in which it can compute.
    pub precisions: Vec<&'static str>,
    /// Bytes of memory that a GPU has in all, where its driver says.
    pub memory: Option<u64>,
}

impl DeviceName {
    /// The processor.
    pub const CPU: Self = Self { backend: Backend::Cpu, index: 0 };

    /// The device itself.
    ///
    /// # Errors
    /// When the machine lacks it, or its driver.
    pub fn open(self) -> Result<Device, DeviceError> {
        let devices = self.backend.devices();
        let device = devices.get(self.index).cloned().ok_or_else(|| self.missing(devices.len()))?;
        let problem = |problem| DeviceError { name: self, problem: format!("it cannot be used ({problem})") };
        works(&device).map(|()| device).map_err(problem)
    }

    fn missing(self, found: usize) -> DeviceError {
        let name = self.backend.name();
        let problem = match found {
            0 => format!("no {name} device is on this machine, or its driver is missing"),
            1 => format!("this machine has only `{name}:0`"),
            more => format!("this machine has `{name}:0` to `{name}:{}`", more - 1),
        };
        DeviceError { name: self, problem }
    }
}

/// Every device of every backend that this program was built with.
pub fn found() -> Vec<Found> {
    let named = |backend: Backend| {
        let devices = backend.devices().into_iter().enumerate();
        devices.map(move |(index, device)| (DeviceName { backend, index }, device))
    };
    let described = |(name, device): (DeviceName, Device)| Found {
        name,
        title: title(name, &device),
        precisions: precisions(&device),
        memory: quietly(|| total_memory(&device)).ok().flatten(),
    };
    Backend::ALL.into_iter().flat_map(named).map(described).collect()
}

fn title(name: DeviceName, device: &Device) -> String {
    if name == DeviceName::CPU {
        return super::cpu();
    }
    #[cfg(any(feature = "cuda", feature = "vulkan", feature = "metal", feature = "wgpu"))]
    if let Ok(Some(identity)) = quietly(|| device.identity()) {
        return identity.name;
    }
    format!("{device:?}")
}

/// The CPU's kernels are f32 alone.
fn precisions(device: &Device) -> Vec<&'static str> {
    let bf16 = !is_host(device) && quietly(|| device.supports_dtype(DType::BF16)).unwrap_or(false);
    [Some("f32"), bf16.then_some("bf16")].into_iter().flatten().collect()
}

/// Computes something on a device; a driver that does not work panics only then.
fn works(device: &Device) -> Result<(), String> {
    match quietly(|| Tensor::<1>::ones([2], device).sum().into_scalar::<f32>())? {
        2.0 => Ok(()),
        sum => Err(format!("it adds 1 and 1 to {sum}")),
    }
}

/// Turns a panic, which would be told on its own, into an error.
fn quietly<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(f));
    set_hook(hook);
    result.map_err(|panic| first_line(panic.as_ref()))
}

/// The first line of what a panic says.
fn first_line(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.and_then(|text| text.lines().next()).unwrap_or("its driver failed").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        assert_eq!("cpu".parse(), Ok(DeviceName::CPU));
        for backend in Backend::ALL.into_iter().skip(1) {
            for (index, name) in [(0, backend.name().to_string()), (3, format!("{}:3", backend.name()))] {
                let parsed: Result<DeviceName, String> = name.parse();
                match backend.is_built() {
                    true => {
                        assert_eq!(parsed, Ok(DeviceName { backend, index }));
                        assert_eq!(parsed.unwrap().to_string(), name);
                    }
                    false => assert!(parsed.unwrap_err().contains("--features")),
                }
            }
        }
        for bad in ["tpu", "cpu:1", "cpu:x", "cpu:", "", ":", "cpu:-1"] {
            let error = bad.parse::<DeviceName>().unwrap_err();
            assert!(error.contains(bad), "{error}");
        }
    }

    #[test]
    fn a_driver_that_panics_is_an_error_in_one_line() {
        let problem = quietly(|| panic!("no {}\nbacktrace", "libcuda.so")).unwrap_err();
        assert_eq!(problem, "no libcuda.so");
        assert!(works(&Device::flex()).is_ok());
    }

    #[test]
    fn a_device_that_is_not_there_is_told_beside_those_that_are() {
        let name = DeviceName { backend: Backend::Cuda, index: 2 };
        for (found, part) in [(0, "driver"), (1, "only `cuda:0`"), (2, "`cuda:0` to `cuda:1`")] {
            let error = name.missing(found).to_string();
            assert!(error.starts_with("--device cuda:2: ") && error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_processor_is_always_found() {
        let cpu = &found()[0];
        assert_eq!((cpu.name, &cpu.precisions[..]), (DeviceName::CPU, &["f32"][..]));
        assert!(!cpu.title.is_empty());
    }
}

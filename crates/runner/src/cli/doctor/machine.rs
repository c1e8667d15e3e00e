//! The program, and the machine that it runs on.

use super::Doctor;
use super::check::Check;
use crate::host::device::{self, Backend, DeviceName};
use crate::host::{self, memory};

pub(super) fn checks(_: &Doctor) -> Vec<Check> {
    let features: Vec<&str> =
        Backend::ALL.into_iter().filter(|backend| backend.is_built()).map(Backend::name).collect();
    let program = format!(
        "peft-bench {}, commit {}, built for {}",
        env!("CARGO_PKG_VERSION"),
        host::COMMIT,
        features.join(", ")
    );
    let system = format!(
        "{} {}, {} threads, {} available",
        std::env::consts::OS,
        std::env::consts::ARCH,
        host::threads(),
        memory::gibibytes(memory::available_bytes())
    );
    let devices = device::found().into_iter().map(|found| device(&found));
    [Check::ok("program", program), Check::ok("machine", system)].into_iter().chain(devices).collect()
}

/// A device that is listed must compute.
fn device(found: &device::Found) -> Check {
    let name = format!("device {}", found.name);
    let memory = found.memory.filter(|_| found.name != DeviceName::CPU).map(memory::gibibytes);
    let memory = memory.map(|memory| format!(", {memory}")).unwrap_or_default();
    match found.name.open() {
        Ok(_) => Check::ok(name, format!("{}: {}{memory}", found.title, found.precisions.join(", "))),
        Err(problem) => Check::failed(name, format!("{}: {problem}", found.title)),
    }
}

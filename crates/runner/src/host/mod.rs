//! The program and the machine that a result comes from.

pub mod device;
pub mod interrupt;
pub mod memory;
pub mod panics;
pub mod threads;

use std::fs;

use chrono::{SecondsFormat, Utc};

/// The commit that the program was built from, with `-dirty` behind it where files had changed; its version, where
/// that is not known.
pub const COMMIT: &str = env!("PEFT_BENCH_COMMIT");

/// The time, in UTC, as RFC 3339 writes it.
pub fn timestamp() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The processor's model, or its architecture where the system does not tell.
pub fn cpu() -> String {
    let described = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        described.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == "model name");
    model.map_or(std::env::consts::ARCH, |(_, model)| model.trim()).to_string()
}

/// This process, for somebody who waits for it.
pub fn process() -> String {
    let process = format!("process {}", std::process::id());
    match fs::read_to_string("/proc/sys/kernel/hostname") {
        Ok(host) => format!("{process} on {}", host.trim()),
        Err(_) => process,
    }
}

/// Threads that share the work.
pub fn threads() -> usize {
    rayon::current_num_threads()
}

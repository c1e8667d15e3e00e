//! Peak memory of this process, where the system tells (Linux).

use std::fs;

/// Starts a new peak from what is in use now.
pub fn reset_peak() {
    // Refused in some containers; the peak is then that of the whole process.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Largest resident memory since the last reset, in bytes; `None` where the system does not tell.
pub fn peak_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes * 1024)
}

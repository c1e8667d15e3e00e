//! What the machine has room for, so that a size is refused in words instead of by the system's killer.

use std::fs;
use std::path::{Path, PathBuf};

/// Something that does not fit into memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} would need {} of memory, but {} is available", gibibytes(*needed), gibibytes(*available))]
pub struct TooLarge {
    what: String,
    needed: u64,
    available: u64,
}

/// What a system that does not say is taken to have: enough for anything that is meant.
const UNKNOWN: u64 = 1 << 40;

/// Bytes that are there whatever the system says: not worth the time to ask it.
const SMALL: u64 = 1 << 20;

/// Refuses what needs more bytes than there are; `what` names it, and the keys that decide its size.
///
/// # Errors
/// When it does not fit.
pub fn ensure(what: impl FnOnce() -> String, needed: u64) -> Result<(), TooLarge> {
    if needed <= SMALL { Ok(()) } else { ensure_within(available_bytes(), what, needed) }
}

fn ensure_within(available: u64, what: impl FnOnce() -> String, needed: u64) -> Result<(), TooLarge> {
    match needed <= available {
        true => Ok(()),
        false => Err(TooLarge { what: what(), needed, available }),
    }
}

/// Bytes of a tensor of f32 with this shape; as many as can be counted where there are more.
pub fn floats(shape: &[usize]) -> u64 {
    shape.iter().fold(4, |bytes: u64, &size| bytes.saturating_mul(size as u64))
}

/// Bytes that the program can still ask for: the least of what the system has left, what its control
/// groups allow, and what its address space may grow by.
pub fn available_bytes() -> u64 {
    [system(), control_group(), address_space()].into_iter().flatten().min().unwrap_or(UNKNOWN)
}

/// A size as text, `1.5 GiB`.
pub fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn system() -> Option<u64> {
    parse_meminfo(&read("/proc/meminfo")?)
}

/// What is free or can be freed, in memory and in swap space.
fn parse_meminfo(text: &str) -> Option<u64> {
    Some(field(text, "MemAvailable")?.saturating_add(field(text, "SwapFree").unwrap_or(0)))
}

/// Bytes of a line such as `MemFree:  12 kB`.
fn field(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes.saturating_mul(1024))
}

/// The least room in the control groups that the program is in.
fn control_group() -> Option<u64> {
    let text = read("/proc/self/cgroup")?;
    group_folders(&text, Path::new("/sys/fs/cgroup")).into_iter().filter_map(|group| group.room()).min()
}

/// A memory control group and the names that its version has for files.
#[derive(Debug, PartialEq, Eq)]
struct ControlGroup {
    folder: PathBuf,
    limit: &'static str,
    usage: &'static str,
    /// Line of `memory.stat` with the file pages, which are given up when memory runs short.
    pages: &'static str,
}

impl ControlGroup {
    fn room(&self) -> Option<u64> {
        let number = |name: &str| read(self.folder.join(name))?.trim().parse::<u64>().ok();
        // Version 2 says "max" where there is no limit.
        let (limit, usage) = (number(self.limit)?, number(self.usage)?);
        let stat = read(self.folder.join("memory.stat")).unwrap_or_default();
        let pages = stat.lines().find_map(|line| line.strip_prefix(self.pages)?.trim().parse().ok());
        Some(limit.saturating_sub(usage.saturating_sub(pages.unwrap_or(0))))
    }
}

/// The groups of `/proc/self/cgroup`, each with those above it, in both versions of control groups.
fn group_folders(text: &str, root: &Path) -> Vec<ControlGroup> {
    let mut groups = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':');
        let (_, Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let (mount, limit, usage, pages) = match controllers {
            "" => (root.to_path_buf(), "memory.max", "memory.current", "file "),
            "memory" => {
                let names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache ");
                (root.join("memory"), names.0, names.1, names.2)
            }
            _ => continue,
        };
        for path in Path::new(path.trim_start_matches('/')).ancestors() {
            groups.push(ControlGroup { folder: mount.join(path), limit, usage, pages });
        }
    }
    groups
}

fn address_space() -> Option<u64> {
    parse_address_space(&read("/proc/self/limits")?, &read("/proc/self/status")?)
}

/// The soft limit of the address space less what is mapped; `None` where it has none.
fn parse_address_space(limits: &str, status: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let limit: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(limit.saturating_sub(field(status, "VmSize")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_not_refused_and_what_does_not_is_told_in_one_line() {
        let gibibyte = 1 << 30;
        let what = || "method `lora` (`rank` 99)".to_string();
        assert_eq!(ensure_within(2 * gibibyte, what, 2 * gibibyte), Ok(()));
        let error = ensure_within(2 * gibibyte, what, 3 * gibibyte).unwrap_err().to_string();
        assert_eq!(error, "method `lora` (`rank` 99) would need 3.0 GiB of memory, but 2.0 GiB is available");
    }

    #[test]
    fn sizes_beyond_counting_do_not_wrap() {
        assert_eq!(floats(&[2, 3]), 24);
        assert_eq!(floats(&[usize::MAX, usize::MAX]), u64::MAX);
        assert!(ensure_within(u64::MAX - 1, String::new, floats(&[usize::MAX; 5])).is_err());
    }

    #[test]
    fn the_system_s_own_files_are_understood() {
        let meminfo = "MemTotal:  24000000 kB\nMemAvailable:   2048 kB\nSwapFree:  1024 kB\n";
        assert_eq!(parse_meminfo(meminfo), Some(3 * 1024 * 1024));
        assert_eq!(parse_meminfo("MemTotal: 3 kB\n"), None);
        let limits =
            "Max locked memory 8 8 bytes\nMax address space         8589934592    unlimited  bytes\n";
        assert_eq!(parse_address_space(limits, "VmSize:\t  3 kB\n"), Some(8_589_934_592 - 3 * 1024));
        let unlimited = "Max address space         unlimited            unlimited            bytes";
        assert_eq!(parse_address_space(unlimited, "VmSize:\t  3 kB\n"), None);
        assert!(available_bytes() > 1 << 20, "this test runs");
    }

    #[test]
    fn a_control_group_counts_all_but_pages_of_files() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b");
        fs::create_dir_all(&folder).unwrap();
        let write = |path: &str, text: &str| fs::write(root.path().join(path), text).unwrap();
        write("a/b/memory.max", "max\n");
        write("a/b/memory.current", "700\n");
        write("a/memory.max", "1000\n");
        write("a/memory.current", "900\n");
        write("a/memory.stat", "anon 400\nfile 500\nfile_mapped 1\n");
        let groups = group_folders("9:name=systemd:/\n0::/a/b\n", root.path());
        let room: Vec<Option<u64>> = groups.iter().map(ControlGroup::room).collect();
        assert_eq!(room, [None, Some(600), None]);
    }
}

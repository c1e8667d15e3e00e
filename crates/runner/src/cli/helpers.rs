//! Processes that share the trainings of a run: a small model leaves cores idle when one training has them all.

use std::io;
use std::process::{Child, Command, Stdio};
use std::thread;

use signal_hook::consts::SIGTERM;
use signal_hook::low_level::raise;

use crate::host;
use crate::terminal::progress::say;

/// Set for a process that helps another one.
const HELPS: &str = "PEFT_BENCH_HELPS";

/// A backbone with fewer parameters than this trains faster on one core for each training.
const SMALL: usize = 16 << 20;

/// Each process has weights, rows and threads of its own.
const MOST: usize = 8;

/// How many processes train so many parts of a run, on the processor, unless the user says.
pub(super) fn processes(parameters: usize, parts: usize) -> usize {
    let fitting = if parameters < SMALL { host::threads().min(MOST) } else { 1 };
    fitting.min(parts).max(1)
}

/// Whether this process helps another one.
pub(super) fn is_one() -> bool {
    std::env::var_os(HELPS).is_some()
}

/// Ends this process as a signal would when the one that it helps is gone: then its standard input is closed.
pub(super) fn end_with_parent() {
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = raise(SIGTERM);
    });
}

/// Processes that run the same command on the same results folder.
#[derive(Debug)]
pub(super) struct Helpers(Vec<Child>);

impl Helpers {
    /// Starts so many, each of which has so many threads.
    ///
    /// # Errors
    /// When a process cannot be started.
    pub(super) fn start(number: usize, threads: usize) -> io::Result<Self> {
        let mut helpers = Self(Vec::new());
        for _ in 0..number {
            helpers.0.push(helper(threads)?);
        }
        Ok(helpers)
    }

    /// Processes that train, this one included.
    pub(super) fn processes(&self) -> usize {
        1 + self.0.len()
    }

    /// Waits until all have ended by themselves, and says which ones failed.
    ///
    /// # Errors
    /// When the system does not tell of one.
    pub(super) fn join(mut self) -> io::Result<()> {
        for mut helper in self.0.drain(..) {
            // Its standard input, whose end would end it, stays open until then.
            let input = helper.stdin.take();
            let status = helper.wait()?;
            drop(input);
            // 1: some trainings diverged, as this process tells itself.
            if !matches!(status.code(), Some(0 | 1)) {
                say!("note: a process that helped this one ended early ({status}); its work was done here");
            }
        }
        Ok(())
    }
}

impl Drop for Helpers {
    /// Ends all that still work; what they have begun can be resumed.
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|helper| drop(helper.stdin.take()));
        for helper in &mut self.0 {
            let _ = helper.wait();
        }
    }
}

fn helper(threads: usize) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).env(HELPS, "1");
    command.env("RAYON_NUM_THREADS", threads.to_string()).env("POLARS_MAX_THREADS", threads.to_string());
    // A signal from the terminal reaches only the first process, which ends the others.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trainings_of_small_models_share_the_cores() {
        assert_eq!(processes(SMALL, 100), 1);
        assert_eq!(processes(1000, 0), 1);
        assert_eq!(processes(1000, 1), 1);
        assert_eq!(processes(1000, 100), host::threads().min(MOST));
    }
}

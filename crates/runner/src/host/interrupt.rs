//! Termination signals: SIGINT, SIGTERM, SIGHUP.
//!
//! They terminate the program immediately, with the conventional exit code, unless a [`Deferred`] is alive: then the work
//! calls [`check`] regularly, saves its state, and returns. A second signal terminates immediately.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

const SIGNALS: [(i32, &str); 3] = [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM"), (SIGHUP, "SIGHUP")];

/// Whether a signal terminates the program immediately.
static IMMEDIATE: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(true)));

/// The received signal; 0 for none.
static RECEIVED: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// The work stopped early because of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted by {}", self.name())]
pub struct Interrupted {
    signal: i32,
}

impl Interrupted {
    /// The exit code of a program that a signal terminated: 130, 143 or 129.
    pub fn exit_code(self) -> u8 {
        exit_code(self.signal) as u8
    }

    fn name(self) -> &'static str {
        SIGNALS.iter().find(|(signal, _)| *signal == self.signal).map_or("a signal", |(_, name)| name)
    }
}

/// Installs the signal handlers. Signals that the program was started to ignore, as by `nohup`, stay ignored.
///
/// # Errors
/// When a handler cannot be installed.
pub(crate) fn listen() -> io::Result<()> {
    for (signal, _) in SIGNALS {
        if is_ignored(signal) {
            continue;
        }
        // In this order, the first deferred signal makes the next one terminate the program.
        flag::register_conditional_shutdown(signal, exit_code(signal), Arc::clone(&IMMEDIATE))?;
        flag::register(signal, Arc::clone(&IMMEDIATE))?;
        flag::register_usize(signal, Arc::clone(&RECEIVED), signal as usize)?;
    }
    Ok(())
}

/// While it is alive, a signal is only recorded.
#[derive(Debug)]
pub(crate) struct Deferred(());

/// Defers signals until the guard is dropped.
pub(crate) fn defer() -> Deferred {
    IMMEDIATE.store(false, SeqCst);
    Deferred(())
}

impl Drop for Deferred {
    fn drop(&mut self) {
        IMMEDIATE.store(true, SeqCst);
    }
}

/// Whether work may continue.
///
/// # Errors
/// When a signal was received.
pub(crate) fn check() -> Result<(), Interrupted> {
    match RECEIVED.load(SeqCst) {
        0 => Ok(()),
        signal => Err(Interrupted { signal: signal as i32 }),
    }
}

fn exit_code(signal: i32) -> i32 {
    128 + signal
}

#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    // SAFETY: a null pointer requests the current action, which is written to a value of its own type.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(not(unix))]
fn is_ignored(_: i32) -> bool {
    false
}

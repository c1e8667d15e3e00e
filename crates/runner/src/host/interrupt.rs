//! Signals that ask the program to end: SIGINT, SIGTERM, SIGHUP.
//!
//! They end it at once, with the exit code that shells give such an end, but while a [`Deferred`] lives: then the work
//! looks at [`check`] from time to time, keeps what it has, and returns. A second signal does not wait for that.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

const SIGNALS: [(i32, &str); 3] = [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM"), (SIGHUP, "SIGHUP")];

/// Whether a signal ends the program at once.
static AT_ONCE: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(true)));

/// The signal that came; 0 for none.
static RECEIVED: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// The work ended early because a signal asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted by {}", self.name())]
pub struct Interrupted {
    signal: i32,
}

impl Interrupted {
    /// The exit code of a program that a signal ended: 130, 143 or 129.
    pub fn exit_code(self) -> u8 {
        exit_code(self.signal) as u8
    }

    fn name(self) -> &'static str {
        SIGNALS.iter().find(|(signal, _)| *signal == self.signal).map_or("a signal", |(_, name)| name)
    }
}

/// Listens to the signals from now on. Those that the program was told to ignore, as by `nohup`, stay ignored.
///
/// # Errors
/// When the system refuses a handler.
pub fn listen() -> io::Result<()> {
    for (signal, _) in SIGNALS {
        if is_ignored(signal) {
            continue;
        }
        // In this order: the first signal that is deferred makes the next one end the program.
        flag::register_conditional_shutdown(signal, exit_code(signal), Arc::clone(&AT_ONCE))?;
        flag::register(signal, Arc::clone(&AT_ONCE))?;
        flag::register_usize(signal, Arc::clone(&RECEIVED), signal as usize)?;
    }
    Ok(())
}

/// While it lives, a signal is only noted.
#[derive(Debug)]
pub struct Deferred(());

/// Defers signals.
pub fn defer() -> Deferred {
    AT_ONCE.store(false, SeqCst);
    Deferred(())
}

impl Drop for Deferred {
    fn drop(&mut self) {
        AT_ONCE.store(true, SeqCst);
    }
}

/// Whether work may go on.
///
/// # Errors
/// When a signal has come.
pub fn check() -> Result<(), Interrupted> {
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
    // SAFETY: a null pointer asks for the present action, which is written to a value of its own type.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(not(unix))]
fn is_ignored(_: i32) -> bool {
    false
}

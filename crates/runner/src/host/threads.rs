//! The threads that the work is shared among.

use std::sync::Mutex;
use std::thread;

/// Threads that others need beside the two pools: those of downloads and of progress bars.
const SPARE: usize = 4;

/// The system gives the program no threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the system lets this program start only {possible} threads, and it needs {}; raise the limit (`ulimit -u`)",
    2 + SPARE
)]
pub struct TooFew {
    possible: usize,
}

/// Starts the pool of threads, with as many as there are processors, or as the system allows.
///
/// # Errors
/// When it allows too few.
pub fn start() -> Result<(), TooFew> {
    let wanted = wanted();
    // Polars has a pool of its own of the same size. Both would end the program if a thread could not be made.
    let possible = possible(2 * wanted + SPARE);
    let threads = wanted.min(possible.saturating_sub(SPARE) / 2);
    if threads == 0 {
        return Err(TooFew { possible });
    }
    if threads < wanted {
        crate::terminal::progress::say!(
            "note: the system allows few threads; {threads} work instead of {wanted}"
        );
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var("POLARS_MAX_THREADS", threads.to_string()) };
    }
    // A pool that exists already, in a program that uses this as a library, stays.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    Ok(())
}

/// Does something with so many threads at most.
///
/// # Errors
/// When they cannot be started.
pub fn with<T: Send>(
    threads: usize,
    run: impl FnOnce() -> T + Send,
) -> Result<T, rayon::ThreadPoolBuildError> {
    if threads >= rayon::current_num_threads() {
        return Ok(run());
    }
    // As much as the system gives a program's first thread.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).stack_size(8 << 20).build()?;
    Ok(pool.install(run))
}

fn wanted() -> usize {
    let set = std::env::var("RAYON_NUM_THREADS").ok().and_then(|number| number.parse().ok());
    set.filter(|&number| number > 0).unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
}

/// How many of so many threads can live at once.
fn possible(wanted: usize) -> usize {
    let gate = Mutex::new(());
    thread::scope(|scope| {
        let _closed = gate.lock();
        let wait = || drop(gate.lock());
        (0..wanted).take_while(|_| thread::Builder::new().spawn_scoped(scope, wait).is_ok()).count()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_threads_are_always_possible() {
        assert_eq!(possible(3), 3);
    }

    #[test]
    fn work_has_as_many_threads_as_it_is_given() {
        let all = rayon::current_num_threads();
        assert_eq!(with(1, rayon::current_num_threads).unwrap(), 1);
        assert_eq!(with(all, rayon::current_num_threads).unwrap(), all);
    }
}

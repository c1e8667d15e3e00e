//! Catches panics of libraries on malformed input.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether this thread's panics are reported by their catcher.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Runs code that may panic on malformed input, without a message on standard error. Values that it was modifying may be
/// inconsistent after a panic and must be dropped.
///
/// # Errors
/// The panic's message, on one line; of a long one, its beginning and its end.
pub(crate) fn catch<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_whole(run).map_err(|message| shortened(&message))
}

/// As [`catch`].
///
/// # Errors
/// The panic's whole message, on one line.
pub(crate) fn catch_whole<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !CAUGHT.get() {
                report(info);
            }
        }));
    });
    let outer = CAUGHT.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(run));
    CAUGHT.set(outer);
    outcome.map_err(|payload| message(&*payload))
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("unknown");
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}

/// Characters of a long message's beginning and of its end that are told. Those of devices may have whole kernels in
/// them, and say last what went wrong first.
const TOLD: usize = 300;

/// Longest message that is told whole.
const MOST: usize = 2 * TOLD;

/// The beginning and the end of a long message.
pub(crate) fn shortened(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    match characters.len() {
        0..=MOST => text.into(),
        length => {
            let (first, last) = (&characters[..TOLD], &characters[length - TOLD..]);
            first.iter().chain(&[' ', '…', ' ']).chain(last).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message() {
        assert_eq!(catch(|| 7), Ok(7));
        assert_eq!(catch(|| panic!("bad {}\nmore", 1)), Err::<(), _>("bad 1 more".into()));
        assert_eq!(catch(|| catch(|| panic!("inner"))), Ok(Err::<(), _>("inner".into())));
    }

    #[test]
    fn a_long_message_keeps_its_beginning_and_its_end() {
        let told = catch::<()>(|| panic!("first {}last", "x\n".repeat(1000))).unwrap_err();
        assert!(told.starts_with("first x x") && told.ends_with("x x last"), "{told}");
        assert_eq!(told.chars().count(), 2 * TOLD + 3);
        assert_eq!(shortened(&"x".repeat(MOST)), "x".repeat(MOST));
    }
}

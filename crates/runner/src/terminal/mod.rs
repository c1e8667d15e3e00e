//! What a terminal is told: text that cannot command it, and how far long work has come.

mod message;
mod printable;
pub mod progress;

pub(crate) use message::{Level, draws_bars, is_quiet, say_text, with_hint};
pub use message::{LogFormat, configure};
pub use printable::printable;

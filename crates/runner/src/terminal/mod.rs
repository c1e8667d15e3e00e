//! What a terminal is told: text that cannot command it, and how far long work has come.

mod printable;
pub mod progress;

pub use printable::printable;

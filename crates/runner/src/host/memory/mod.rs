//! Memory: what the program has in use, and what there is for more.

mod available;
mod in_use;

pub use available::{TooLarge, available_bytes, ensure, floats, gibibytes};
pub use in_use::{Counting, peak_bytes, reset_peak};

//! Training parameters: the optimizer, the learning-rate schedule, and one update of several runs side by side.

mod adamw;
mod gradients;
mod schedule;
mod update;

pub use adamw::{AdamW, AdamWSettings, Rates};
pub use schedule::linear;
pub use update::{Part, Update};

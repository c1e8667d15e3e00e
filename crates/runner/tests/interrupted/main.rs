//! What is left when a run ends early, and what becomes of it: nothing is lost, nothing damaged is trusted, and the
//! results are those of a run that nobody disturbed.
#![cfg(unix)]

#[path = "../common/mod.rs"]
mod common;

mod damaged;
mod folders;
mod kills;
mod results;
mod running;
mod sharing;
mod signals;
mod small;
mod state;

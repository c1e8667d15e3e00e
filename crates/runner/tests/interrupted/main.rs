//! Interrupted runs: no result is lost, no damaged file is trusted, and the results equal those of an uninterrupted run.
#![cfg(unix)]

#[path = "../common/mod.rs"]
mod common;

mod damaged;
mod folders;
mod helpers;
mod kills;
mod results;
mod running;
mod sharing;
mod signals;
mod small;
mod state;
mod status;

//! What a user can get wrong, kind by kind: every row is one mistake and what the program must say about it.
//!
//! Each runs in a process of its own with a bound on its time and its address space, so that hangs and absurd
//! allocations are failures, too.
#![cfg(unix)]

#[path = "../common/mod.rs"]
mod common;

mod adapters;
mod command_line;
mod configs;
mod damage;
mod files;
mod harness;
mod recipes;
mod rows;
mod suites;
mod tasks;
mod tokenizers;
mod weights;

//! User errors of every kind: every row is one mistake and the parts of its error message.
//!
//! Each runs in its own process with limited time and address space, so that hangs and huge allocations fail too.
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

//! The benchmark harness: tasks, training, evaluation, grids of cells, result tables.
//!
//! Data flows one way: suite, cells, rows, text pairs, token batches, training, record, table.

pub mod atomic;
pub mod batches;
pub mod checksum;
pub mod cli;
pub mod data;
pub mod device;
mod embedded;
pub mod files;
mod footprint;
pub mod grid;
mod host;
pub mod hub;
mod interrupt;
mod lock;
pub mod memory;
pub mod metric;
pub mod model;
mod panics;
pub mod pretrain;
pub mod progress;
pub mod results;
pub mod task;
mod tensor_file;
pub mod terminal;
mod threads;
pub mod token_cache;
pub mod tokenizer;
pub mod train;

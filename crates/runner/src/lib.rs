//! The benchmark harness: tasks, training, evaluation, grids of cells, result tables.
//!
//! Data flows one way: suite, cells, rows, text pairs, token batches, training, record, table.

pub mod cli;
pub mod data;
pub mod files;
pub mod grid;
pub mod host;
pub mod hub;
pub mod metric;
pub mod model;
pub mod pretrain;
pub mod report;
pub mod results;
pub mod statistics;
pub mod task;
pub mod terminal;
pub mod tokenizer;
pub mod train;

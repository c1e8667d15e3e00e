//! Suites: which methods train on which tasks with which seeds, and what is already done.

mod cell;
mod execute;
mod memory_plan;
mod suite;

pub use cell::{Cell, Instance};
pub use execute::{Plan, Setting, check_rows, default_output, execute, plan};
pub use memory_plan::Demand;
pub use suite::{Overrides, ReportedSplit, Suite, SuiteError, find, names};

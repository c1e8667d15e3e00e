//! Suites: which methods train on which tasks with which seeds, and what is already done.

mod ceiling;
mod cell;
mod check;
mod execute;
mod suite;
mod written;

pub use cell::{Cell, Instance};
pub use execute::{Plan, Setting, check_rows, default_output, execute, plan};
pub use suite::{Overrides, ReportedSplit, Suite, SuiteError, find, names};

//! Suites: which methods train on which tasks with which seeds, and what is already done.

mod ceiling;
mod cell;
mod check;
mod execute;
mod memory_plan;
mod overrides;
mod suite;
mod written;

pub use cell::{Cell, Instance};
pub use execute::{Plan, PlannedCell, Setting, Watcher, check_rows, default_output, execute, plan};
pub use memory_plan::Demand;
pub use overrides::Overrides;
pub use suite::{Order, ReportedSplit, Suite, SuiteError, find, names};

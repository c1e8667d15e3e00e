//! Suites: which methods train on which tasks with which seeds, and what is already done.

mod ceiling;
mod check;
mod execute;
mod execution;
mod group;
mod group_run;
mod instance;
mod memory_plan;
mod overrides;
mod plan;
mod record;
mod resolve;
mod roster;
mod rows;
mod slices;
mod suite;
mod sweep;
mod written;

pub use execute::{Executed, execute};
pub use execution::{Execution, Hardware, Watcher};
pub use group::PlannedCell;
pub use instance::Instance;
pub use memory_plan::Demand;
pub use overrides::Overrides;
pub use plan::{Plan, default_output, plan};
pub use resolve::{Resolved, resolve};
pub use roster::roster;
pub use rows::Library;
pub use suite::{Suite, SuiteError, find, names};
pub use sweep::Trials;

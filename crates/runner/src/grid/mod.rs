//! Suites: which methods train on which tasks with which seeds, and what is already done.

mod ceiling;
mod check;
mod estimate;
mod execute;
mod execution;
mod flops;
mod group;
mod group_run;
mod instance;
mod measure;
mod memory_plan;
mod overrides;
mod plan;
mod record;
mod reported;
mod resolve;
mod roster;
mod rows;
mod shard;
mod slices;
mod suite;
mod written;

pub use estimate::{Estimated, estimates};
pub use execute::{Executed, execute};
pub use execution::{Execution, Hardware, Watcher};
pub use flops::Flops;
pub use group::PlannedCell;
pub use instance::Instance;
pub use memory_plan::Demand;
pub use overrides::Overrides;
pub use plan::{Plan, default_output, plan};
pub use resolve::{Depth, Resolved, resolve, resolve_to};
pub use roster::roster;
pub use rows::Library;
pub use shard::Shard;
pub use suite::{Suite, SuiteError, find, names};

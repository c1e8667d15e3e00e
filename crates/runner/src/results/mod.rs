//! Results: one Parquet file per cell, tables as queries over them, trained adapters beside them.

mod adapter;
mod parquet;
mod picture;
mod record;
mod report;
mod roster;
mod store;
mod table;

pub use adapter::{Adapter, AdapterConfig, AdapterError};
pub use picture::to_svg;
pub use record::{Curve, Record, Status};
pub use report::Report;
pub use roster::{Entry, Roster};
pub use store::{Store, StoreError};
pub use table::{Comparison, comparison, seeds_text, thousands, to_frame, to_text};

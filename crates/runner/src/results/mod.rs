//! Results: one Parquet file per cell, tables as queries over them, trained adapters beside them.

mod adapter;
mod parquet;
mod picture;
mod record;
mod store;
mod table;

pub use adapter::{Adapter, AdapterConfig, AdapterError};
pub use picture::to_svg;
pub use record::{Curve, Record, Status};
pub use store::{Store, StoreError};
pub use table::{Comparison, comparison, thousands, to_frame, to_text};

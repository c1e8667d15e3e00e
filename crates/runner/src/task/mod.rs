//! Tasks as data: a TOML says where the rows are, how they become text, and how they are scored.

mod catalog;
mod content;
mod delimited;
mod error;
mod example;
mod few_shot;
mod files;
mod generated;
mod json;
mod mixture;
mod numpy;
mod parquet;
mod quotes;
mod records;
mod rows;
mod spec;
mod split;
mod table;
mod template;
mod text_functions;
mod value;

pub use catalog::{RowSource, Task, find, names};
pub use content::Content;
pub use delimited::Quote;
pub use error::TaskError;
pub use example::Example;
pub use few_shot::ShotsRule;
pub use files::Dialect;
pub(crate) use records::{Records, Style};
pub use rows::Rows;
pub use spec::{Labels, Limits, Metrics, Reference, TaskSpec, Variants, Words};
pub use split::{Role, SplitRule, permutation};
pub use template::Template;
pub use value::Value;

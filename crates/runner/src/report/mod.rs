//! Reports over a results folder: statistics, diagnoses, items, and the page that shows them.

mod across;
mod answers;
mod budget;
mod curves;
mod data;
mod diagnoses;
mod formats;
mod items;
mod ledger;
mod offsets;
mod page;
mod pairwise;
mod published;
mod score_intervals;
mod sheet;
mod summary;
mod sweeps;

pub use across::{Across, MethodLetters};
pub use answers::{CellAnswers, Distribution};
pub use curves::curves_to_csv;
pub use data::ReportData;
pub use diagnoses::Diagnosis;
pub use formats::Format;
pub use page::{index, page};
pub use pairwise::{LEVEL, Pair, to_frame};
pub use summary::{against_published, summary};

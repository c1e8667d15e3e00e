//! Results: one Parquet file per cell, tables as queries over them, trained adapters beside them.

mod adapter;
mod cell;
mod label;
mod member;
mod merge;
mod notes;
mod origin;
mod parquet;
mod picture;
mod portable;
mod predictions;
mod published;
mod record;
mod report;
mod rescore;
mod roster;
mod running;
mod score_text;
mod shown;
mod store;
mod sweep;
mod table;
mod token_offsets;
mod trained;

pub use adapter::{Adapter, AdapterConfig, AdapterError};
pub use cell::{Cell, FORMAT};
pub use merge::{Conflict, MergeError, Merged, merge};
pub use notes::outdated;
pub use origin::{Origin, Role};
pub use picture::to_svg;
pub use portable::portable;
pub use predictions::{
    Answered, Item, LOG_PROBABILITY, PredictionsError, SCORE, SPLITS, SplitPredictions, items_file, of_split,
    predictions_file,
};
pub use published::{Published, PublishedError, PublishedScore, Regime};
pub use record::{CellStatus, Curve, Record, RecordError, RecordedEvidence};
pub use report::Report;
pub use rescore::{RescoreError, Rescored, rescore};
pub use roster::{Entry, Roster};
pub use running::{Running, ScoredRows};
pub use score_text::score_text;
pub use shown::{Order, ReportedSplit};
pub use store::{Claim, Claimed, Store, StoreError};
pub use sweep::{Choice, Problem, Sweep, Trial};
pub use table::{Block, Comparison, blocks, comparison, seeds_text, thousands, to_frame, to_text};
pub use token_offsets::{TokenOffset, offsets_file, read_offsets, token_offsets, write_offsets};
pub use trained::Trained;

use std::time::Duration;

use anyhow::Result;

use super::group::PlannedCell;
use super::rows::Library;
use crate::host::device::DeviceName;
use crate::model::{LoadedOnce, ModelFiles};
use crate::results::{Record, Store};
use crate::terminal::progress::Progress;

/// Listens to the cells of a suite.
pub trait Watcher {
    /// Runs of one method on one task are about to train, side by side.
    fn training(&mut self, cells: &[PlannedCell]) -> Box<dyn Progress>;

    /// Cells have their results, whether they have just been trained or were there before.
    ///
    /// # Errors
    /// When what is made of the results cannot be written.
    fn finished(&mut self, records: &[Record]) -> Result<()>;
}

/// Where cells are executed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hardware {
    pub device: DeviceName,
    /// Bytes that a training may take there; `None` where nothing is known.
    pub memory_limit: Option<u64>,
}

/// By what and where cells are executed: no part of what a cell is.
#[derive(Clone, Copy)]
pub struct Execution<'a> {
    pub model: &'a ModelFiles,
    pub backbone: &'a LoadedOnce<'a>,
    pub library: Library<'a>,
    pub store: &'a Store,
    pub hardware: Hardware,
    /// Time between checkpoints from which an interrupted run goes on.
    pub checkpoint_interval: Duration,
}

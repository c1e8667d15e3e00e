//! What a training that runs tells other processes of itself.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files::{self, atomic};

/// Seeds of a method on a task that train side by side in some process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// Ids of its cells; at least one.
    pub cells: Vec<String>,
    pub method: String,
    pub task_title: String,
    pub seeds: Vec<u64>,
    /// Which process it is.
    pub process: String,
    pub step: u64,
    pub steps: u64,
    /// The latest mean loss, where there is one that is a number.
    pub loss: Option<f64>,
    /// What it answers at the moment.
    pub scoring: Option<ScoredRows>,
    /// Updates per second since the process began with it, and the time that the rest will take at that rate.
    pub steps_per_second: Option<f64>,
    pub seconds_left: Option<f64>,
    /// When it told this.
    pub timestamp: String,
}

/// How many rows of a split have answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoredRows {
    pub split: String,
    pub done: usize,
    pub rows: usize,
}

impl Running {
    /// Writes it for whoever looks now; nobody needs it after a crash.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        atomic::write_for_now(path, &serde_json::to_vec(self)?)
    }

    /// Reads what a training has told; `None` where there is nothing to read, or nothing that a training tells.
    pub fn read(path: &Path) -> Option<Self> {
        let running: Self = files::parse_json(&files::bytes(path).ok()?).ok()?;
        (!running.cells.is_empty()).then_some(running)
    }
}

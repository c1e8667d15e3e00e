use std::cell::OnceCell;

use anyhow::{Result, bail};

use crate::data::{Source, TaskData, TokenCache};
use crate::host::memory;
use crate::hub::Hub;
use crate::task::Task;
use crate::tokenizer::Tokenizer;

/// The rows of a task in one of the texts that methods read: as they are, or behind the task's name.
///
/// They are read when cells are resolved and looked at again when those train. In between, most are on disk, in the
/// cache of tokens: all tasks of a suite would take gigabytes.
#[derive(Debug)]
pub struct TaskRows {
    pub task: Task,
    pub source: Source,
    data: OnceCell<TaskData>,
    /// Whether they stay in memory, because the cache does not have them.
    stay: bool,
}

/// Where it lets rows stay in memory, a task takes at most this part of what is left.
const PART_OF_MEMORY: u64 = 4;

/// Where rows come from.
#[derive(Clone, Copy)]
pub struct Library<'a> {
    pub hub: &'a Hub,
    pub tokenizer: &'a Tokenizer,
    pub tokens: &'a TokenCache,
}

impl TaskRows {
    /// The rows of a task at this source.
    pub fn new(task: Task, source: Source) -> Self {
        Self { task, source, data: OnceCell::new(), stay: false }
    }

    /// Reads the rows for the first time.
    ///
    /// # Errors
    /// When they cannot be read or do not fit the task's specification.
    pub fn read(&mut self, library: Library) -> Result<&TaskData> {
        let data = self.load(library)?;
        let cached = TaskData::is_cached(&self.task, &self.source, library.tokenizer, library.tokens);
        self.stay = !cached && data.bytes() <= memory::available_bytes() / PART_OF_MEMORY;
        Ok(self.data.get_or_init(|| data))
    }

    /// The rows that [`TaskRows::read`] has read.
    ///
    /// # Errors
    /// When they are neither in memory nor in the cache, and where they came from has changed.
    pub fn data(&self, library: Library) -> Result<&TaskData> {
        if let Some(data) = self.data.get() {
            return Ok(data);
        }
        if !TaskData::is_cached(&self.task, &self.source, library.tokenizer, library.tokens)
            && Source::find(&self.task, library.hub)?.revisions() != self.source.revisions()
        {
            bail!("the rows of task `{}` have changed since the program began; run it again", self.task.name);
        }
        let data = self.load(library)?;
        Ok(self.data.get_or_init(|| data))
    }

    /// Lets go of what the cache has.
    pub fn release(&mut self) {
        if !self.stay {
            self.data.take();
        }
    }

    fn load(&self, library: Library) -> Result<TaskData> {
        Ok(TaskData::load(&self.task, &self.source, library.tokenizer, library.tokens)?)
    }
}

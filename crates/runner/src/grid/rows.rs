use std::sync::OnceLock;

use anyhow::{Result, bail};

use crate::data::{Source, TaskData, TaskLengths, TokenCache};
use crate::host::memory;
use crate::hub::Hub;
use crate::task::Task;
use crate::tokenizer::Tokenizer;

/// The rows of a task in one of the texts that methods read: as they are, or behind the task's name.
///
/// They are read when cells are resolved and looked at again when those train. In between, most are on disk, in the
/// cache of tokens: all tasks of a suite would take gigabytes.
#[derive(Debug)]
pub(super) struct TaskRows {
    pub task: Task,
    pub source: Source,
    data: OnceLock<TaskData>,
    lengths: OnceLock<TaskLengths>,
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
    pub(super) fn new(task: Task, source: Source) -> Self {
        Self { task, source, data: OnceLock::new(), lengths: OnceLock::new(), stay: false }
    }

    /// Reads the rows for the first time.
    ///
    /// # Errors
    /// When they cannot be read or do not fit the task's specification.
    pub(super) fn read(&mut self, library: Library) -> Result<&TaskData> {
        let data = self.load(library)?;
        let cached = TaskData::is_cached(&self.task, &self.source, library.tokenizer, library.tokens);
        self.stay = !cached && data.bytes() <= memory::available_bytes() / PART_OF_MEMORY;
        Ok(self.data.get_or_init(|| data))
    }

    /// The rows that [`TaskRows::read`] has read.
    ///
    /// # Errors
    /// When they are neither in memory nor in the cache, and where they came from has changed.
    pub(super) fn data(&self, library: Library) -> Result<&TaskData> {
        if let Some(data) = self.data.get() {
            return Ok(data);
        }
        if !TaskData::is_cached(&self.task, &self.source, library.tokenizer, library.tokens)
            && Source::find(&self.task, library.hub, self.source.limit())?.revisions()
                != self.source.revisions()
        {
            bail!("the rows of task `{}` have changed since the program began; run it again", self.task.name);
        }
        let data = self.load(library)?;
        Ok(self.data.get_or_init(|| data))
    }

    /// Number of training rows.
    ///
    /// # Errors
    /// When the rows cannot be read or do not fit the task's specification.
    pub(super) fn training_rows(&self) -> Result<usize> {
        match self.data.get() {
            Some(data) => Ok(data.train.len()),
            None => Ok(self.source.training_rows(&self.task)?),
        }
    }

    /// How long their texts are, for which the rows themselves need not be read.
    ///
    /// # Errors
    /// When the cache does not know, and the rows cannot be read or do not fit the task's specification.
    pub(super) fn lengths(&self, library: Library) -> Result<&TaskLengths> {
        if let Some(lengths) = self.lengths.get() {
            return Ok(lengths);
        }
        let lengths = match self.data.get() {
            Some(data) => data.into(),
            None => TaskLengths::load(&self.task, &self.source, library.tokenizer, library.tokens)?,
        };
        Ok(self.lengths.get_or_init(|| lengths))
    }

    /// Lets go of what the cache has.
    pub(super) fn release(&mut self) {
        if !self.stay {
            self.data.take();
        }
    }

    fn load(&self, library: Library) -> Result<TaskData> {
        Ok(TaskData::load(&self.task, &self.source, library.tokenizer, library.tokens)?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::hub::{HubSettings, Progress};
    use crate::task;

    /// A folder with a task of local files.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let text = "title = \"T\"\ngroup = \"G\"\ntext.source = \"{a}\"\nlabels.words = [\"0\", \"1\"]\n\
                    data.files = { train = \"rows.csv\", validation = \"rows.csv\", test = \"rows.csv\" }\n\
                    split.rule = \"official\"\nmetrics.select = \"accuracy\"\n";
        fs::write(folder.path().join("task.toml"), text).unwrap();
        fs::write(folder.path().join("rows.csv"), "a,label\nthe dog,0\nthe cat,1\n").unwrap();
        folder
    }

    /// Reads the task's rows, does something to the folder, and asks for them again; gives whether they stayed in
    /// memory, and what came of it.
    fn asked_again(tokens: &TokenCache, folder: &Path, meanwhile: impl FnOnce()) -> (bool, Result<usize>) {
        let tokenizer = Tokenizer::pocket();
        let hub = Hub::new(HubSettings::new("http://127.0.0.1:1", folder, Progress::Silent));
        let task = task::find(folder.join("task.toml").to_str().unwrap()).unwrap();
        let source = Source::find(&task, &hub, None).unwrap();
        let library = Library { hub: &hub, tokenizer: &tokenizer, tokens };
        let mut rows = TaskRows::new(task, source);
        assert_eq!(rows.read(library).unwrap().train.len(), 2);
        rows.release();
        meanwhile();
        let stayed = rows.data.get().is_some();
        let found = rows.data(library).map(|data| data.train.len());
        (stayed, found)
    }

    #[test]
    fn rows_are_read_once_and_come_from_the_cache_or_from_memory_after_that() {
        let folder = folder();
        let remove = || fs::remove_file(folder.path().join("rows.csv")).unwrap();
        let cache = TokenCache::at(folder.path().join("tokens"));
        let (stayed, found) = asked_again(&cache, folder.path(), remove);
        assert_eq!((stayed, found.unwrap()), (false, 2), "on disk");

        fs::write(folder.path().join("rows.csv"), "a,label\nthe dog,0\nthe cat,1\n").unwrap();
        let (stayed, found) = asked_again(&TokenCache::none(), folder.path(), remove);
        assert_eq!((stayed, found.unwrap()), (true, 2), "in memory");
    }

    #[test]
    fn rows_that_changed_while_the_cache_lost_theirs_are_refused() {
        let folder = folder();
        let tokens = folder.path().join("tokens");
        let (cache, rows) = (TokenCache::at(&tokens), folder.path().join("rows.csv"));
        let lose = || fs::remove_dir_all(&tokens).unwrap();
        let (_, found) = asked_again(&cache, folder.path(), lose);
        assert_eq!(found.unwrap(), 2, "they are as they were");
        let (_, found) = asked_again(&cache, folder.path(), || {
            lose();
            fs::write(&rows, "a,label\nthe dog,0\n").unwrap();
        });
        let problem = found.unwrap_err().to_string();
        assert!(problem.contains("have changed") && problem.contains("`task`"), "{problem}");
    }
}

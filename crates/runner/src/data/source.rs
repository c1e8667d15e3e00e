use std::convert::Infallible;

use super::cache::{Key, TokenCache};
use super::lengths::SplitLengths;
use super::split::Split;
use crate::hub::Hub;
use crate::task::{Role, RowSource, Task, TaskError};
use crate::tokenizer::Tokenizer;

/// Where the rows of a task's roles are, and what they are.
#[derive(Debug, Clone)]
pub struct Source {
    roles: Vec<(RowSource, String)>,
    /// Most rows of each role; `None` for all.
    limit: Option<usize>,
}

impl Source {
    /// Finds the rows of a task, the first ones of each role where there is a limit; those on the hub are fetched if the
    /// cache lacks them.
    ///
    /// # Errors
    /// When there are none, or they cannot be had.
    pub fn find(task: &Task, hub: &Hub, limit: Option<usize>) -> Result<Self, TaskError> {
        let find = |role: &Role| {
            let rows = task.source(*role, hub)?;
            let revision = rows.revision()?;
            Ok((rows, revision))
        };
        Ok(Self { roles: Role::ALL.iter().map(find).collect::<Result<_, TaskError>>()?, limit })
    }

    /// Most rows of each role; `None` for all.
    pub fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// What the rows of each role are: the dataset's commit, the generator's version, or a digest of a local file.
    pub fn revisions(&self) -> [String; Role::ALL.len()] {
        Role::ALL.map(|role| self.of(role).1.clone())
    }

    /// Whether the tokens of every role, and those of the probes, are in the cache.
    pub(super) fn is_cached(
        &self,
        task: &Task,
        tokenizer: &Tokenizer,
        target_limit: usize,
        cache: &TokenCache,
    ) -> bool {
        let probes = task.probes().into_iter().map(|(_, probe)| (probe, Role::Test));
        Role::ALL.map(|role| (task.clone(), role)).into_iter().chain(probes).all(|(task, role)| {
            let (rows, revision) = self.of(role);
            !is_generated(rows) && cache.has(&self.key(&task, role, revision, tokenizer, target_limit))
        })
    }

    /// The tokens of a role, from the cache where it has them.
    pub(super) fn split(
        &self,
        task: &Task,
        role: Role,
        tokenizer: &Tokenizer,
        target_limit: usize,
        cache: &TokenCache,
    ) -> Result<Split, TaskError> {
        let (rows, revision) = self.of(role);
        let key = self.key(task, role, revision, tokenizer, target_limit);
        let make = || {
            let loaded = task.read(role, rows)?;
            // A row can become several examples, or none.
            let read = self.limit.filter(|_| !task.spec.text.expand).unwrap_or(usize::MAX);
            let indices = &loaded.indices[..loaded.indices.len().min(read)];
            let mut examples = task.examples(&loaded.rows, indices)?;
            examples.truncate(self.limit.unwrap_or(usize::MAX));
            let mut split = Split::new(examples, tokenizer, task.spec.limits.source_tokens, target_limit);
            if task.spec.labels.is_none() {
                split.decode_answers(tokenizer, target_limit);
            }
            Ok(split)
        };
        // Generated as fast as read.
        if is_generated(rows) {
            return make();
        }
        cache.get_or_make(&key, || {
            let split = make()?;
            // Plans read no more than these.
            let Ok(_) = cache.get_or_make(&key, || Ok::<_, Infallible>(SplitLengths::from(&split)));
            Ok(split)
        })
    }

    /// Number of training rows, for which less is read than to train on them.
    ///
    /// # Errors
    /// When rows cannot be read or do not fit the task's specification.
    pub fn training_rows(&self, task: &Task) -> Result<usize, TaskError> {
        Ok(task.count(Role::Train, &self.of(Role::Train).0)?.min(self.limit.unwrap_or(usize::MAX)))
    }

    /// The lengths of a role's texts, from the cache where it has them.
    pub(super) fn lengths(
        &self,
        task: &Task,
        role: Role,
        tokenizer: &Tokenizer,
        target_limit: usize,
        cache: &TokenCache,
    ) -> Result<SplitLengths, TaskError> {
        let (rows, revision) = self.of(role);
        let make = || self.split(task, role, tokenizer, target_limit, cache).map(|split| (&split).into());
        match is_generated(rows) {
            true => make(),
            false => cache.get_or_make(&self.key(task, role, revision, tokenizer, target_limit), make),
        }
    }

    fn of(&self, role: Role) -> &(RowSource, String) {
        &self.roles[role as usize]
    }

    fn key<'a>(
        &self,
        task: &'a Task,
        role: Role,
        rows: &'a str,
        tokenizer: &'a Tokenizer,
        target_limit: usize,
    ) -> Key<'a> {
        Key {
            task: &task.spec,
            role: role.name(),
            rows,
            limit: self.limit,
            tokenizer: tokenizer.digest(),
            source_limit: task.spec.limits.source_tokens,
            target_limit,
        }
    }
}

fn is_generated(rows: &RowSource) -> bool {
    matches!(rows, RowSource::Generated { .. })
}

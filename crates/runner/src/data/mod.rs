//! A task's rows as token ids, ready to train on and to score.

mod answer_limits;
mod batches;
mod cache;
mod lengths;
mod source;
mod split;

pub use batches::{Batches, Batching, EpochCache};
pub use cache::{Kept, Key, TokenCache};
pub use lengths::{Lengths, SplitLengths, TaskLengths};
pub use source::Source;
pub use split::{Pair, Split};

use std::collections::HashSet;
use std::sync::Arc;

use answer_limits::AnswerLimits;

use crate::task::{Role, ShotsRule, Task, TaskError};
use crate::tokenizer::Tokenizer;

/// Everything that training and scoring a task needs.
#[derive(Debug, Clone)]
pub struct TaskData {
    pub train: Arc<Split>,
    pub validation: Arc<Split>,
    pub test: Arc<Split>,
    /// The test split with other templates of the source.
    pub probes: Vec<(String, Arc<Split>)>,
    /// The distinct labels: those that the task declares, else the distinct answers of its splits.
    pub classes: Vec<String>,
    /// Of a mixture, the distinct answers to the rows of each of its tasks; none of another task.
    pub classes_of_tasks: Vec<Vec<String>>,
    /// Ids of the labels that the task declares, EOS token included, in the order of `classes`.
    pub labels: Vec<Vec<u32>>,
    /// Most tokens that an answer may have.
    pub max_new_tokens: usize,
}

impl TaskData {
    /// Loads and tokenizes the three roles of a task, or takes them from the cache.
    ///
    /// # Errors
    /// When rows cannot be read or do not fit the task's specification.
    pub fn load(
        task: &Task,
        source: &Source,
        tokenizer: &Tokenizer,
        cache: &TokenCache,
    ) -> Result<Self, TaskError> {
        let limits = AnswerLimits::of(task, tokenizer)?;
        let split = |task: &Task, role| source.split(task, role, tokenizer, limits.target, cache);
        let (train, validation) = (split(task, Role::Train)?, split(task, Role::Validation)?);
        let test = split(task, Role::Test)?;
        let probes = task.probes().into_iter();
        let probes = probes.map(|(name, probe)| Ok((name, Arc::new(split(&probe, Role::Test)?))));
        let probes = probes.collect::<Result<_, TaskError>>()?;
        let splits = [&train, &validation, &test];
        let classes = match &task.spec.labels {
            Some(labels) => distinct(labels.words()),
            None => answers(splits, None),
        };
        let of_task = |part| answers(splits, Some(part));
        let classes_of_tasks = (0..task.parts().len() as u32).map(of_task).collect();
        let labels = match &task.spec.labels {
            Some(_) => classes.iter().map(|word| tokenizer.encode(word, usize::MAX).ids).collect(),
            None => Vec::new(),
        };
        let [train, validation, test] = [train, validation, test].map(Arc::new);
        let max_new_tokens = limits.generated;
        Ok(Self { train, validation, test, probes, classes, classes_of_tasks, labels, max_new_tokens })
    }

    /// Whether [`TaskData::load`] would find all of a task's tokens in the cache.
    pub fn is_cached(task: &Task, source: &Source, tokenizer: &Tokenizer, cache: &TokenCache) -> bool {
        let limits = AnswerLimits::of(task, tokenizer);
        limits.is_ok_and(|limits| source.is_cached(task, tokenizer, limits.target, cache))
    }

    /// Bytes that the rows take in memory, about.
    pub fn bytes(&self) -> u64 {
        let probes = self.probes.iter().map(|(_, split)| split);
        [&self.train, &self.validation, &self.test].into_iter().chain(probes).map(|split| split.bytes()).sum()
    }

    /// Training rows for few-shot training with a seed.
    pub fn shots(&self, shots: usize, rule: ShotsRule, seed: u64) -> Vec<u32> {
        let classes: Vec<Option<&str>> = self.train.examples.iter().map(|e| e.class.as_deref()).collect();
        rule.choose(&classes, shots, seed)
    }

    /// The same task with some of its training rows.
    pub fn with_rows(&self, rows: &[u32]) -> Self {
        Self { train: Arc::new(self.train.select(rows)), ..self.clone() }
    }

    /// The same task, of which the rows that are scored say their task's place in a mixture.
    pub fn at_place(&self, part: u32) -> Self {
        let at_place = |split: &Arc<Split>| Arc::new(split.at_place(part));
        let [validation, test] = [&self.validation, &self.test].map(at_place);
        let probes = self.probes.iter().map(|(name, split)| (name.clone(), at_place(split))).collect();
        Self { validation, test, probes, ..self.clone() }
    }
}

/// The distinct answers to the rows of some splits, or to those of one task of a mixture, in alphabetical order.
fn answers(splits: [&Split; 3], part: Option<u32>) -> Vec<String> {
    let examples = splits.into_iter().flat_map(|split| &split.examples);
    let own = examples.filter(|example| part.is_none() || example.part == part);
    let mut answers: Vec<&str> = own.map(|example| &*example.answers[0]).collect();
    answers.sort_unstable();
    distinct(answers)
}

/// Each word once, in order.
fn distinct(words: Vec<&str>) -> Vec<String> {
    let mut seen = HashSet::new();
    words.into_iter().filter(|word| seen.insert(*word)).map(String::from).collect()
}

//! A task's rows as token ids, ready to train on and to score.

mod batches;
mod cache;
mod split;

pub use batches::{Batches, Batching, EpochCache};
pub use cache::{Key, TokenCache};
pub use split::{Pair, Split};

use std::collections::HashSet;
use std::sync::Arc;

use crate::hub::Hub;
use crate::task::{Role, RowSource, ShotsRule, Task, TaskError};
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
    /// What the rows are: the dataset's commit, the generator's version, or digests of the local files.
    pub revision: String,
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
        hub: &Hub,
        tokenizer: &Tokenizer,
        cache: &TokenCache,
    ) -> Result<Self, TaskError> {
        let (target_limit, max_new_tokens) = answer_limits(task, tokenizer)?;
        let mut revisions: Vec<String> = Vec::new();
        let mut split = |task: &Task, role| {
            let source = task.source(role, hub)?;
            let revision = source.revision()?;
            let split = tokenize(task, role, &source, &revision, tokenizer, target_limit, cache);
            if !revisions.contains(&revision) {
                revisions.push(revision);
            }
            split
        };
        let (train, validation) = (split(task, Role::Train)?, split(task, Role::Validation)?);
        let test = split(task, Role::Test)?;
        let probes = task.probes().into_iter();
        let probes = probes.map(|(name, probe)| Ok((name, Arc::new(split(&probe, Role::Test)?))));
        let probes = probes.collect::<Result<_, TaskError>>()?;
        let classes = classes(task, [&train, &validation, &test]);
        let [train, validation, test] = [train, validation, test].map(Arc::new);
        Ok(Self { train, validation, test, probes, classes, revision: revisions.join(" "), max_new_tokens })
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
}

/// The distinct labels of a task, in order.
fn classes(task: &Task, splits: [&Split; 3]) -> Vec<String> {
    let mut seen = HashSet::new();
    let words = match &task.spec.labels {
        Some(labels) => labels.words(),
        None => {
            let answers = splits.into_iter().flat_map(|split| &split.examples);
            let mut answers: Vec<&str> = answers.map(|example| &*example.answers[0]).collect();
            answers.sort_unstable();
            answers
        }
    };
    words.into_iter().filter(|word| seen.insert(*word)).map(String::from).collect()
}

fn tokenize(
    task: &Task,
    role: Role,
    source: &RowSource,
    revision: &str,
    tokenizer: &Tokenizer,
    target_limit: usize,
    cache: &TokenCache,
) -> Result<Split, TaskError> {
    let source_limit = task.spec.limits.source_tokens;
    let make = || {
        let loaded = task.read(role, source)?;
        let examples = task.examples(&loaded.rows, &loaded.indices)?;
        let mut split = Split::new(examples, tokenizer, source_limit, target_limit);
        if task.spec.labels.is_none() {
            split.decode_answers(tokenizer, target_limit);
        }
        Ok(split)
    };
    // Generated as fast as read.
    if matches!(source, RowSource::Generated { .. }) {
        return make();
    }
    let key = Key {
        task: &task.spec,
        role: role.name(),
        rows: revision,
        tokenizer: tokenizer.digest(),
        source_limit,
        target_limit,
    };
    cache.get_or_make(&key, make)
}

/// Longest target, and most tokens to generate.
///
/// No answer longer than every label can be right, so generation stops one token after the longest. Free
/// text may have one token less than a target: the reference's limit counts the decoder's start token too.
///
/// # Errors
/// When the model cannot write the word of a class.
fn answer_limits(task: &Task, tokenizer: &Tokenizer) -> Result<(usize, usize), TaskError> {
    let Some(labels) = &task.spec.labels else {
        let limit = task.spec.limits.target_tokens;
        return Ok((limit, limit - 1));
    };
    let mut longest = 1;
    for word in labels.words() {
        let ids = tokenizer.encode(word, usize::MAX).ids;
        let written = tokenizer.decode_cleaned(&ids);
        if written != word {
            return Err(task.wrong(format!(
                "`labels.words`: the model's tokenizer turns `{word}` into `{written}`, which would never be \
                 right; take a word that it can write"
            )));
        }
        longest = longest.max(ids.len());
    }
    Ok((longest, longest + 1))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::files::embedded;
    use crate::task;

    fn tokenizer() -> Tokenizer {
        let bytes = embedded::bytes("models/pocket/tokenizer.json").unwrap();
        Tokenizer::from_bytes(bytes, Path::new("pocket"), 1, usize::MAX).unwrap()
    }

    #[test]
    fn free_text_is_generated_up_to_the_references_limit_with_its_start_token() {
        let limits = |task| answer_limits(&task::find(task).unwrap(), &tokenizer()).unwrap();
        assert_eq!(limits("pocket-answer"), (20, 19));
        // A class's word, here of two tokens, and the end token; and one more.
        assert_eq!(limits("pocket-entailment"), (3, 4));
    }
}

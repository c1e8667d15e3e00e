//! How long the texts of a task are: all that plans and estimates need to know of its rows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cache::TokenCache;
use super::source::Source;
use super::split::Split;
use super::{AnswerLimits, TaskData};
use crate::task::{Role, Task, TaskError};
use crate::tokenizer::Tokenizer;

/// How many texts have how many tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lengths(BTreeMap<u32, u32>);

/// The lengths of a split's texts, one source and one target for each row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitLengths {
    pub sources: Lengths,
    pub targets: Lengths,
}

/// The lengths of a task's texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskLengths {
    pub train: SplitLengths,
    pub validation: SplitLengths,
    pub test: SplitLengths,
    /// Of the test split under each probe.
    pub probes: Vec<SplitLengths>,
    /// Most tokens that an answer may have.
    pub max_new_tokens: usize,
}

impl Lengths {
    /// Number of texts.
    pub fn count(&self) -> usize {
        self.0.values().map(|&count| count as usize).sum()
    }

    /// Tokens of the longest text; 0 where there is none.
    pub fn longest(&self) -> usize {
        self.0.last_key_value().map_or(0, |(&length, _)| length as usize)
    }

    /// Mean number of tokens; 0 where there is no text.
    pub fn mean(&self) -> f64 {
        self.widest(1)
    }

    /// Expected tokens of the longest of so many texts drawn at random, to which the others are padded.
    pub fn widest(&self, texts: usize) -> f64 {
        let all = self.count() as f64;
        let (mut shorter, mut expected) = (0.0, 0.0);
        for (&length, &count) in &self.0 {
            let up_to = shorter + f64::from(count) / all;
            expected += f64::from(length) * (power(up_to, texts) - power(shorter, texts));
            shorter = up_to;
        }
        expected
    }
}

/// The probability that so many draws all fall into a share of the texts.
fn power(share: f64, draws: usize) -> f64 {
    share.powi(i32::try_from(draws).unwrap_or(i32::MAX))
}

impl FromIterator<usize> for Lengths {
    fn from_iter<I: IntoIterator<Item = usize>>(lengths: I) -> Self {
        let mut counts = BTreeMap::new();
        for length in lengths {
            *counts.entry(u32::try_from(length).unwrap_or(u32::MAX)).or_default() += 1;
        }
        Self(counts)
    }
}

impl SplitLengths {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.sources.count()
    }
}

impl From<&Split> for SplitLengths {
    fn from(split: &Split) -> Self {
        let pairs = &split.pairs;
        Self {
            sources: pairs.iter().map(|pair| pair.source.len()).collect(),
            targets: pairs.iter().map(|pair| pair.target.len()).collect(),
        }
    }
}

impl From<&TaskData> for TaskLengths {
    fn from(data: &TaskData) -> Self {
        Self {
            train: data.train.as_ref().into(),
            validation: data.validation.as_ref().into(),
            test: data.test.as_ref().into(),
            probes: data.probes.iter().map(|(_, split)| split.as_ref().into()).collect(),
            max_new_tokens: data.max_new_tokens,
        }
    }
}

impl TaskLengths {
    /// The lengths of a task's texts, from the cache or from its rows.
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
        let of = |task: &Task, role| source.lengths(task, role, tokenizer, limits.target, cache);
        let probes = task.probes().into_iter().map(|(_, probe)| of(&probe, Role::Test));
        Ok(Self {
            train: of(task, Role::Train)?,
            validation: of(task, Role::Validation)?,
            test: of(task, Role::Test)?,
            probes: probes.collect::<Result<_, TaskError>>()?,
            max_new_tokens: limits.generated,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_of_some_texts_lies_between_the_mean_and_the_longest() {
        let lengths: Lengths = [1, 1, 1, 9].into_iter().collect();
        assert_eq!((lengths.count(), lengths.longest(), lengths.mean()), (4, 9, 3.0));
        // All of two draws are short with a probability of 9/16.
        assert_eq!(lengths.widest(2), 9.0 / 16.0 + 9.0 * 7.0 / 16.0);
        assert!((lengths.widest(1000) - 9.0).abs() < 1e-9);
        assert_eq!((Lengths::default().mean(), Lengths::default().widest(3)), (0.0, 0.0));
    }
}

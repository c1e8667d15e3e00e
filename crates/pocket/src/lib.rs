#![doc = include_str!("../README.md")]

mod acceptability;
mod answer;
mod boolean;
mod corpus;
mod entailment;
pub mod grammar;
mod jargon;
pub mod lexicon;
mod meaning;
mod paraphrase;
mod pronoun;
mod sense;
mod sentiment;
mod similarity;
mod story;
mod verbalizer;

use std::collections::HashSet;

use peft_random::{keyed_rng, mix};

pub use corpus::{Corpus, Mixture};
use verbalizer::{DIGITS, LETTERS};

/// The random generator for all text.
pub type Rng = rand_chacha::ChaCha8Rng;

/// Version of the tasks' rows, which results record.
pub const VERSION: &str = "1";

/// Seed of the tasks' rows.
const SEED: u64 = 2025;

/// One row of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Text of each of the task's columns.
    pub texts: Vec<String>,
    pub label: Label,
    /// The reason for the label, in words: a stronger pretraining signal than the label alone.
    pub reason: String,
}

/// The correct answer for a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Label {
    Class(usize),
    /// From 0 to 5 in steps of 0.5.
    Score(f64),
    /// Words from the text.
    Answer(String),
}

/// A task of the pocket world.
#[derive(Debug)]
pub struct PocketTask {
    pub name: &'static str,
    /// Text columns, in the order of the task's template.
    pub columns: &'static [&'static str],
    /// Class names in pretraining; empty for tasks without classes.
    pub classes: &'static [&'static str],
    /// Class names in the task's own rows; held out from its pretraining.
    pub targets: &'static [&'static str],
    /// Draws a row.
    pub draw: fn(&mut Rng) -> Row,
}

/// The tasks that pretraining includes too, with other rows and other class names.
pub static TASKS: [PocketTask; 10] = [
    acceptability::TASK,
    sentiment::TASK,
    paraphrase::TASK,
    similarity::TASK,
    entailment::TWO_WAY,
    entailment::THREE_WAY,
    boolean::TASK,
    sense::TASK,
    pronoun::TASK,
    answer::TASK,
];

/// A task that pretraining never includes.
pub static NOVEL: PocketTask = jargon::TASK;

/// Every task.
pub fn all() -> impl Iterator<Item = &'static PocketTask> {
    TASKS.iter().chain([&NOVEL])
}

/// The task with this name.
pub fn find(name: &str) -> Option<&'static PocketTask> {
    all().find(|task| task.name == name)
}

/// The split that a text belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    Train,
    Validation,
    Test,
    Pretraining,
}

impl Part {
    /// The split of a text, by its hash.
    pub fn of(texts: &[String]) -> Self {
        let hash = texts.iter().flat_map(|t| t.bytes()).fold(SEED, |h, byte| mix(h ^ u64::from(byte)));
        match hash % 10 {
            0 => Self::Test,
            1 => Self::Validation,
            2..=4 => Self::Train,
            _ => Self::Pretraining,
        }
    }

    /// The split with this name.
    pub fn named(split: &str) -> Option<Self> {
        match split {
            "train" => Some(Self::Train),
            "validation" => Some(Self::Validation),
            "test" => Some(Self::Test),
            _ => None,
        }
    }

    /// Number of rows per task; infinite for pretraining.
    pub fn size(self) -> usize {
        match self {
            Self::Train => 3000,
            Self::Validation | Self::Test => 400,
            Self::Pretraining => usize::MAX,
        }
    }
}

impl PocketTask {
    /// The distinct rows of a split, the same on every machine.
    pub fn rows(&self, part: Part) -> Vec<Row> {
        let mut rng = keyed_rng(SEED, &format!("{} {part:?}", self.name));
        let mut seen = HashSet::new();
        let mut rows = Vec::new();
        while rows.len() < part.size() {
            let row = self.draw_from(part, &mut rng);
            if seen.insert(row.texts.clone()) {
                rows.push(row);
            }
        }
        rows
    }

    /// A row of a split.
    pub(crate) fn draw_from(&self, part: Part, rng: &mut Rng) -> Row {
        loop {
            let row = (self.draw)(rng);
            if Part::of(&row.texts) == part {
                return row;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_reproducible() {
        for task in all() {
            assert_eq!(task.rows(Part::Validation), task.rows(Part::Validation), "{}", task.name);
        }
    }

    #[test]
    fn no_text_is_in_two_splits() {
        for task in all() {
            let parts = [Part::Train, Part::Validation, Part::Test];
            let texts: Vec<Vec<String>> =
                parts.iter().flat_map(|&part| task.rows(part)).map(|row| row.texts).collect();
            assert_eq!(texts.iter().collect::<HashSet<_>>().len(), 3800, "{}", task.name);
        }
    }
}

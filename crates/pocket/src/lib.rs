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

/// The generator behind all text.
pub type Rng = rand_chacha::ChaCha8Rng;

/// Changes when the rows of any task do; results say which they were made with.
pub const VERSION: &str = "1";

/// Decides which rows the tasks have.
const SEED: u64 = 2025;

/// One row of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Text of each of the task's columns.
    pub texts: Vec<String>,
    pub label: Label,
    /// What decides the label, in words: more to learn from in pretraining than the label alone.
    pub reason: String,
}

/// What is right for a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Label {
    Class(usize),
    /// From 0 to 5 in steps of a half.
    Score(f64),
    /// Words of the text.
    Answer(String),
}

/// A task of the pocket world.
#[derive(Debug)]
pub struct PocketTask {
    pub name: &'static str,
    /// Columns of text, in the order in which the task's template has them.
    pub columns: &'static [&'static str],
    /// What the classes are called in pretraining; empty for tasks without classes.
    pub classes: &'static [&'static str],
    /// What the classes are called in the task's own rows; held out from its pretraining.
    pub targets: &'static [&'static str],
    /// Draws a row.
    pub draw: fn(&mut Rng) -> Row,
}

/// The tasks that pretraining asks too, in other rows and by other names of their classes.
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

/// A task that pretraining never asks.
pub static NOVEL: PocketTask = jargon::TASK;

/// Every task.
pub fn all() -> impl Iterator<Item = &'static PocketTask> {
    TASKS.iter().chain([&NOVEL])
}

/// The task of that name.
pub fn find(name: &str) -> Option<&'static PocketTask> {
    all().find(|task| task.name == name)
}

/// Who may see a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    Train,
    Validation,
    Test,
    Pretraining,
}

impl Part {
    /// The part of a text, by its hash.
    pub fn of(texts: &[String]) -> Self {
        let hash = texts.iter().flat_map(|t| t.bytes()).fold(SEED, |h, byte| mix(h ^ u64::from(byte)));
        match hash % 10 {
            0 => Self::Test,
            1 => Self::Validation,
            2..=4 => Self::Train,
            _ => Self::Pretraining,
        }
    }

    /// The part behind a split's name.
    pub fn named(split: &str) -> Option<Self> {
        match split {
            "train" => Some(Self::Train),
            "validation" => Some(Self::Validation),
            "test" => Some(Self::Test),
            _ => None,
        }
    }

    /// Number of rows that a task has of it; pretraining has no end.
    pub fn size(self) -> usize {
        match self {
            Self::Train => 3000,
            Self::Validation | Self::Test => 400,
            Self::Pretraining => usize::MAX,
        }
    }
}

impl PocketTask {
    /// The rows of a part, no text twice. The same on every machine.
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

    /// A row of a part.
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
    fn rows_are_the_same_every_time() {
        for task in all() {
            assert_eq!(task.rows(Part::Validation), task.rows(Part::Validation), "{}", task.name);
        }
    }

    #[test]
    fn no_text_is_in_two_parts() {
        for task in all() {
            let parts = [Part::Train, Part::Validation, Part::Test];
            let texts: Vec<Vec<String>> =
                parts.iter().flat_map(|&part| task.rows(part)).map(|row| row.texts).collect();
            assert_eq!(texts.iter().collect::<HashSet<_>>().len(), 3800, "{}", task.name);
        }
    }
}

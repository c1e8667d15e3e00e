//! Pretraining text: passages for span corruption, and tasks with instructions.

use peft_random::keyed_rng;
use rand::Rng as _;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::grammar::{Clause, Form};
use crate::lexicon::*;
use crate::meaning::{reworded, weakened};
use crate::story::Story;
use crate::verbalizer::verbalizers;
use crate::{Label, Part, PocketTask, Rng, TASKS};

/// Composition of the supervised examples, as fractions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mixture {
    /// Fraction that asks for the reason rather than for the label.
    pub reasons: f64,
    /// Fraction of labels, in tasks with classes, that use other words than the class names.
    pub verbalized: f64,
}

/// An infinite stream of text, none of which is in a task's train, validation or test split.
pub struct Corpus {
    rng: Rng,
}

impl Corpus {
    /// The stream for a seed.
    pub fn new(seed: u64) -> Self {
        Self { rng: keyed_rng(seed, "corpus") }
    }

    /// A passage of a few sentences.
    pub fn plain(&mut self) -> String {
        let mut sentences = Vec::new();
        for _ in 0..self.rng.random_range(1..=3) {
            sentences.push(self.sentences());
        }
        sentences.join(" ")
    }

    /// A task with its instruction, and the answer.
    pub fn supervised(&mut self, mixture: &Mixture) -> (String, String) {
        let task = choose(&mut self.rng, &TASKS);
        let row = task.draw_from(Part::Pretraining, &mut self.rng);
        let fields = task.columns.iter().zip(&row.texts).map(|(column, text)| format!("{column}: {text}"));
        let text = fields.collect::<Vec<_>>().join(" ");
        let (instruction, answer) = match chance(&mut self.rng, mixture.reasons) {
            true => (format!("why {}.", task.name), row.reason),
            false => self.instruction(task, &row.label, mixture.verbalized),
        };
        (format!("{instruction} {text}"), answer)
    }

    fn instruction(&mut self, task: &PocketTask, label: &Label, verbalized: f64) -> (String, String) {
        let rng = &mut self.rng;
        match label {
            Label::Class(class) => {
                let words = match chance(rng, verbalized) {
                    true => verbalizers(task, rng),
                    false => task.classes,
                };
                let mut options = words.to_vec();
                options.shuffle(rng);
                let options = options.join(" or ");
                // The fields identify most tasks without their names.
                let name = if chance(rng, 0.5) { format!("{}: ", task.name) } else { String::new() };
                (format!("{name}{options}."), words[*class].into())
            }
            Label::Score(score) => (format!("{}.", task.name), in_words(*score)),
            Label::Answer(answer) => (format!("{}.", task.name), answer.clone()),
        }
    }

    fn sentences(&mut self) -> String {
        let rng = &mut self.rng;
        match rng.random_range(0..6) {
            0 => Story::random(rng).text(rng),
            1 => consequence(rng),
            2 => numbers(rng),
            3 => words(rng),
            _ => {
                let task = choose(rng, &TASKS);
                // Ungrammatical sentences are not suitable for learning English.
                let row = loop {
                    let row = task.draw_from(Part::Pretraining, rng);
                    if task.name != "acceptability" || row.label == Label::Class(1) {
                        break row;
                    }
                };
                row.texts.join(" ")
            }
        }
    }
}

/// A clause and what follows from it.
fn consequence(rng: &mut Rng) -> String {
    let clause = Clause::random(rng);
    let again = weakened(&clause, &reworded(&clause, rng), !clause.negated, rng);
    format!("{} so {}.", clause.text(Form::random(rng)), again.text(Form::random(rng)))
}

/// Number words beside digits.
fn numbers(rng: &mut Rng) -> String {
    let number = rng.random_range(0..=10usize);
    let noun = choose(rng, &NOUNS);
    let (name, word) = (choose(rng, &NAMES).word, NUMBERS[number]);
    match rng.random_range(0..4) {
        0 => format!("{name} has {number} {}, that is {word} {}.", noun.plural, noun.plural),
        1 => format!("{word} is {number}."),
        2 => format!("{name} took bus {number} to room {}.", rng.random_range(0..=10)),
        _ => {
            let half = rng.random_range(0..5) as f64 + 0.5;
            format!("{half:.1} is {}.", in_words(half))
        }
    }
}

/// Relations between words.
fn words(rng: &mut Rng) -> String {
    let (noun, quality, verb) = (choose(rng, &NOUNS), choose(rng, &QUALITIES), choose(rng, &VERBS));
    match rng.random_range(0..5) {
        0 => {
            let kind = noun.kind.hypernym().singular;
            let [one, other] = [noun.singular, kind].map(with_article);
            format!("{one} is {other}.")
        }
        1 => match quality.synonym(rng) {
            Some(synonym) => format!("{} means {}.", quality.word, synonym.word),
            None => format!("{} means {}.", quality.word, quality.meaning),
        },
        2 => format!("{} is not {}.", quality.word, quality.opposite.unwrap_or("everything")),
        3 => match verb.synonym(rng) {
            Some(synonym) => format!("to {} means to {}.", verb.base, synonym.base),
            None => format!("{}, {}, {}, {}.", verb.base, verb.third, verb.past, verb.participle),
        },
        _ => format!("one {}, two {}.", noun.singular, noun.plural),
    }
}

fn with_article(word: &str) -> String {
    let article = if crate::grammar::starts_with_vowel(word) { "an" } else { "a" };
    format!("{article} {word}")
}

/// "two and a half"
fn in_words(score: f64) -> String {
    let whole = NUMBERS[score as usize];
    if score.fract() == 0.0 { whole.into() } else { format!("{whole} and a half") }
}

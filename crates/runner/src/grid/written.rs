//! Whether a model can write what a task wants of it.
//!
//! Targets of free text are compared as the tokenizer writes them back, as in the reference. What it has no
//! piece for is missing on both sides, so where that is all that tells targets apart, a guess is right.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use tokenizers::NormalizedString;

use crate::data::Split;
use crate::task::{Example, Role, Task, TaskError};
use crate::tokenizer::{Tokenizer, clean_up};

/// Rows per target from which targets are taken for labels.
const ROWS_PER_LABEL: usize = 10;

/// One in so many targets of free text may vanish or become another: too few to show in a score.
const FREE_TEXT_PART: usize = 100;

/// Compares the targets of a split with what the tokenizer makes of them: few losses are told on standard error.
///
/// # Errors
/// When scores would be of something else: where most targets lose characters, or where targets vanish or
/// become alike, one among labels or 1 % of free text.
pub(super) fn check(task: &Task, role: Role, split: &Split, tokenizer: &Tokenizer) -> Result<(), TaskError> {
    // The words of classes are checked one by one.
    if task.spec.labels.is_some() {
        return Ok(());
    }
    let targets = Targets::of(role, split, task.spec.text.empty.as_deref(), tokenizer);
    if let Some(refusal) = targets.refusal() {
        return Err(task.wrong(format!("`text.target`: {refusal}; take text that the tokenizer can write")));
    }
    if let Some((_, loss)) = targets.loss() {
        crate::terminal::progress::say!("note: {}: {loss}; answers are compared without them", task.name);
    }
    Ok(())
}

/// A target, and what is left of it when it is written back.
struct Written<'a> {
    example: &'a Example,
    written: Cow<'a, str>,
}

impl Written<'_> {
    fn target(&self) -> &str {
        &self.example.target
    }

    fn has_vanished(&self) -> bool {
        self.written.is_empty() && !self.target().trim().is_empty()
    }

    /// Whether more is missing than white space, case, and forms of characters that Unicode calls compatible.
    fn has_lost(&self) -> bool {
        let wanted = clean_up(single_spaced(self.target()));
        let words = |text: &str| text.split_whitespace().count();
        wanted != self.written
            && (letters(&wanted) != letters(&self.written) || words(&self.written) < words(&wanted))
    }
}

impl std::fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{:?} ({}) becomes {:?}", self.target(), self.example.place(), self.written)
    }
}

/// The targets of a split, but for the one that stands for an empty list.
struct Targets<'a> {
    role: Role,
    /// Rows of the split.
    rows: usize,
    all: Vec<Written<'a>>,
}

impl<'a> Targets<'a> {
    fn of(role: Role, split: &'a Split, placeholder: Option<&str>, tokenizer: &Tokenizer) -> Self {
        let write = |(index, example): (usize, &'a Example)| {
            // Whole, even where the limit cuts what is compared: that is told elsewhere.
            let written = match split.truncated_targets.binary_search(&(index as u32)) {
                Ok(_) => written_back(&example.target, tokenizer).into(),
                Err(_) => example.answers[0].as_str().into(),
            };
            Written { example, written }
        };
        let given = split.examples.iter().enumerate();
        let given = given.filter(|(_, example)| Some(&*example.target) != placeholder);
        Self { role, rows: split.len(), all: given.map(write).collect() }
    }

    /// Why no score of them would mean anything.
    fn refusal(&self) -> Option<String> {
        let (role, rows) = (self.role.name(), self.rows);
        let distinct: HashSet<&str> = self.all.iter().map(Written::target).collect();
        let labels = distinct.len() * ROWS_PER_LABEL <= rows;
        let tolerated = if labels { 0 } else { rows / FREE_TEXT_PART };
        let vanished: Vec<&Written> = self.all.iter().filter(|target| target.has_vanished()).collect();
        if vanished.len() > tolerated {
            return Some(format!(
                "with this model's tokenizer nothing is left of {} of {rows} {role} targets, so that saying nothing \
                 would be right: {}",
                vanished.len(),
                vanished[0]
            ));
        }
        let alike = alike(&self.all, labels);
        if let Some((one, other)) = alike.first().filter(|_| alike.len() > tolerated) {
            return Some(format!(
                "with this model's tokenizer {} of {rows} {role} targets become another one, so that either would be \
                 right: {one}, as does {:?} ({})",
                alike.len(),
                other.target(),
                other.example.place()
            ));
        }
        self.loss().filter(|(lost, _)| 2 * lost > rows).map(|(_, loss)| loss)
    }

    /// How many targets lose characters, and in words; none where all are whole.
    fn loss(&self) -> Option<(usize, String)> {
        let lost: Vec<&Written> = self.all.iter().filter(|target| target.has_lost()).collect();
        let first = lost.first()?;
        let text = format!(
            "{} of {} {} targets have characters that the model's tokenizer cannot write: {first}",
            lost.len(),
            self.rows,
            self.role.name(),
        );
        Some((lost.len(), text))
    }
}

/// The targets that are written as an earlier, other one is, each with that.
fn alike<'a>(targets: &'a [Written<'a>], labels: bool) -> Vec<(&'a Written<'a>, &'a Written<'a>)> {
    // Free text may differ in what its metrics ignore; labels may not.
    let name = |target: &Written| match labels {
        true => single_spaced(target.target()),
        false => letters(target.target()),
    };
    let mut first: HashMap<&str, (&Written, String)> = HashMap::new();
    let mut alike = Vec::new();
    for target in targets.iter().filter(|target| !target.has_vanished()) {
        let name = name(target);
        let (earlier, earlier_name) = first.entry(&target.written).or_insert_with(|| (target, name.clone()));
        if *earlier_name != name {
            alike.push((target, *earlier));
        }
    }
    alike
}

/// A text as a model would write it.
fn written_back(text: &str, tokenizer: &Tokenizer) -> String {
    tokenizer.decode_cleaned(&tokenizer.encode(text, usize::MAX).ids)
}

fn single_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The characters of a text but for white space, in lower case and in their compatible forms.
fn letters(text: &str) -> String {
    let mut text = NormalizedString::from(text);
    text.nfkc().lowercase();
    text.get().split_whitespace().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(row: usize, target: &str) -> Example {
        Example {
            row: row as u32,
            line: None,
            source: String::new(),
            target: target.into(),
            answers: vec![target.into()],
            group: None,
            class: None,
            part: None,
        }
    }

    /// What is said of a split with these targets, many times over.
    fn problem(targets: &[&str], times: usize) -> Option<String> {
        let tokenizer = Tokenizer::pocket();
        let targets = targets.repeat(times);
        let examples: Vec<Example> =
            targets.iter().enumerate().map(|(row, target)| example(row, target)).collect();
        let written =
            |example| Written { example, written: written_back(&example.target, &tokenizer).into() };
        Targets { role: Role::Test, rows: examples.len(), all: examples.iter().map(written).collect() }
            .refusal()
    }

    fn refused(targets: &[&str], times: usize, part: &str) {
        let problem = problem(targets, times).unwrap_or_default();
        assert!(problem.contains(part), "{targets:?}: {problem}");
    }

    #[test]
    fn targets_that_vanish_are_refused() {
        refused(&["{", "}"], 20, "nothing is left of 40 of 40 test targets");
        refused(&["yes", "no", "😀"], 20, "\"😀\" (row 3) becomes \"\"");
        refused(&["the dog", "\n{}"], 1, "nothing is left of 1 of 2 test targets");
    }

    #[test]
    fn targets_that_become_alike_are_refused() {
        refused(&["good", "good{"], 20, "20 of 40 test targets become another one");
        refused(&["a dog", "a dog{", "it"], 1, "either would be right");
        refused(&["no", "n{o"], 1, "\"n{o\" (row 2) becomes \"no\", as does \"no\" (row 1)");
    }

    #[test]
    fn most_targets_losing_characters_are_refused() {
        refused(&["{dog", "{cat", "the house"], 1, "2 of 3 test targets have characters");
    }

    #[test]
    fn targets_that_can_be_written_pass() {
        for targets in [&["the dog", "The  dog , not it ."][..], &["1", "0"], &["", "  ", "a"]] {
            assert_eq!(problem(targets, 20), None);
        }
    }

    #[test]
    fn few_losses_in_free_text_pass() {
        let words =
            ["dog", "cat", "house", "man", "boy", "girl", "tree", "bird", "old", "red", "good", "bad"];
        let mut targets: Vec<String> =
            words.iter().flat_map(|a| words.iter().map(move |b| format!("{a} {b}"))).collect();
        targets.extend(["{".into(), "d{og it".into()]);
        let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
        assert_eq!(problem(&targets, 1), None);
    }

    #[test]
    fn white_space_case_and_compatible_forms_are_no_loss() {
        let lost = |target, written: &'static str| {
            Written { example: &example(0, target), written: written.into() }.has_lost()
        };
        for (target, written) in [
            ("a  b\n", "a b"),
            ("don 't , no", "don 't, no"),
            ("Ab", "ab"),
            ("① ﬁ", "1 fi"),
            ("a-b", "a - b"),
        ] {
            assert!(!lost(target, written), "{target:?}");
        }
        for (target, written) in [("a{b", "ab"), ("a\nb", "ab"), ("é", "e"), ("½ x", "x"), ("▁a", "a")] {
            assert!(lost(target, written), "{target:?}");
        }
    }
}

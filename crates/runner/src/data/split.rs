use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::task::Example;
use crate::tokenizer::{Encoded, Tokenizer};

/// Ids of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    pub source: Vec<u32>,
    pub target: Vec<u32>,
}

/// The rows of one role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    pub examples: Vec<Example>,
    pub pairs: Vec<Pair>,
    /// Rows whose source the limit cut, ascending.
    pub truncated_sources: Vec<u32>,
    /// Rows whose target the limit cut, ascending.
    pub truncated_targets: Vec<u32>,
}

impl Split {
    /// Tokenizes examples.
    pub fn new(
        examples: Vec<Example>,
        tokenizer: &Tokenizer,
        source_limit: usize,
        target_limit: usize,
    ) -> Self {
        let encode = |text: fn(&Example) -> &str, limit| {
            let texts: Vec<&str> = examples.iter().map(text).collect();
            tokenizer.encode_all(&texts, limit)
        };
        let sources = encode(|example| &example.source, source_limit);
        let targets = encode(|example| &example.target, target_limit);
        let truncated = |encoded: &[Encoded]| -> Vec<u32> {
            (0..).zip(encoded).filter(|(_, encoded)| encoded.truncated).map(|(row, _)| row).collect()
        };
        let (truncated_sources, truncated_targets) = (truncated(&sources), truncated(&targets));
        let pairs = sources.into_iter().zip(targets);
        let pairs = pairs.map(|(source, target)| Pair { source: source.ids, target: target.ids }).collect();
        Self { examples, pairs, truncated_sources, truncated_targets }
    }

    /// Replaces answers by what a model can give of them: as the reference does, cut at the limit of
    /// targets, and decoded like a prediction. Further answers of which nothing is left are left out: else
    /// saying nothing would be right.
    pub(super) fn decode_answers(&mut self, tokenizer: &Tokenizer, limit: usize) {
        self.examples.par_iter_mut().for_each(|example| {
            let answers = std::mem::take(&mut example.answers).into_iter().enumerate();
            let written = answers.filter_map(|(place, answer)| {
                let written = tokenizer.decode_cleaned(&tokenizer.encode(&answer, limit).ids);
                let is_answer = place == 0 || !written.is_empty() || answer.trim().is_empty();
                is_answer.then_some(written)
            });
            example.answers = written.collect();
        });
    }

    /// The place of each row's task in the mixture that the rows are of; `None` for those of a single task.
    pub fn parts(&self, rows: impl IntoIterator<Item = usize>) -> Option<Vec<u32>> {
        rows.into_iter().map(|row| self.examples[row].part).collect()
    }

    /// The same rows, each at this place in a mixture.
    pub(super) fn at_place(&self, part: u32) -> Self {
        let mut split = self.clone();
        split.examples.iter_mut().for_each(|example| example.part = Some(part));
        split
    }

    /// Some of the rows, in this order.
    pub(super) fn select(&self, rows: &[u32]) -> Self {
        let among = |truncated: &[u32]| -> Vec<u32> {
            let chosen = (0..).zip(rows).filter(|(_, row)| truncated.binary_search(row).is_ok());
            chosen.map(|(place, _)| place).collect()
        };
        Self {
            examples: rows.iter().map(|&row| self.examples[row as usize].clone()).collect(),
            pairs: rows.iter().map(|&row| self.pairs[row as usize].clone()).collect(),
            truncated_sources: among(&self.truncated_sources),
            truncated_targets: among(&self.truncated_targets),
        }
    }

    /// Bytes that it takes in memory, about.
    pub fn bytes(&self) -> u64 {
        let text = |text: &String| size_of::<String>() + text.len();
        let example = |example: &Example| {
            let texts = [&example.source, &example.target].into_iter().chain(&example.answers);
            let rest = example.group.iter().chain(&example.class);
            size_of::<Example>() + texts.chain(rest).map(text).sum::<usize>()
        };
        let pair = |pair: &Pair| size_of::<Pair>() + 4 * (pair.source.len() + pair.target.len());
        let rows = self.examples.iter().map(example).chain(self.pairs.iter().map(pair));
        rows.sum::<usize>() as u64
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_what_a_model_can_give() {
        let tokenizer = Tokenizer::pocket();
        let answers = ["the old dog , or not", "one two three four five six"].map(String::from).to_vec();
        let example = Example {
            row: 0,
            line: None,
            source: "who?".into(),
            target: answers[0].clone(),
            answers,
            group: None,
            class: None,
            part: None,
        };
        let mut split = Split::new(vec![example], &tokenizer, 96, 6);
        split.decode_answers(&tokenizer, 6);
        assert_eq!(split.examples[0].answers, ["the old dog,", "one two three four five"]);
        assert_eq!(split.truncated_targets, [0]);
    }
}

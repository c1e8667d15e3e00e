//! Scores of free text after SQuAD v1.1's normalization (Rajpurkar et al., 2016).

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use regex::Regex;

use super::answer::{Answer, each, mean};
use super::error::MetricError;

/// How well a prediction agrees with one accepted answer, both normalized: 0 to 1.
type Agreement = fn(&str, &str) -> f64;

pub(super) fn exact_match(prediction: &str, target: &str) -> f64 {
    f64::from(prediction == target)
}

/// F1 of the two bags of tokens; 0 if no token is shared, and therefore for two empty texts, as in SQuAD v1.1.
pub(super) fn token_f1(prediction: &str, target: &str) -> f64 {
    let (mut predicted, mut wanted, mut shared) = (0, 0, 0);
    let mut unmatched: HashMap<&str, usize> = HashMap::new();
    for token in target.split_ascii_whitespace() {
        wanted += 1;
        *unmatched.entry(token).or_default() += 1;
    }
    for token in prediction.split_ascii_whitespace() {
        predicted += 1;
        if let Some(left) = unmatched.get_mut(token).filter(|left| **left > 0) {
            *left -= 1;
            shared += 1;
        }
    }
    if shared == 0 { 0.0 } else { f64::from(2 * shared) / f64::from(predicted + wanted) }
}

/// How well each row agrees; `None` for one that another stands for.
pub(super) type Agreements = Result<Vec<Option<f64>>, MetricError>;

/// The mean of what there is.
pub(super) fn mean_of(agreements: Agreements) -> Result<f64, MetricError> {
    Ok(mean(&agreements?.into_iter().flatten().collect::<Vec<f64>>()))
}

/// Each row's agreement with the best of its accepted answers.
pub(super) fn each_any_target(answers: &[Answer], agreement: Agreement) -> Agreements {
    each(answers, |answer| Ok(Some(best(answer, answer.targets()?, agreement))))
}

/// Each row's agreement with its first accepted answer.
pub(super) fn each_first_target(answers: &[Answer], agreement: Agreement) -> Agreements {
    each(answers, |answer| Ok(Some(best(answer, &answer.targets()?[..1], agreement))))
}

/// [`each_any_target`] of the first row of each group, which stands for the others.
pub(super) fn each_first_of_group(answers: &[Answer], agreement: Agreement) -> Agreements {
    let rows = each(answers, |answer| Ok((answer.group()?, answer, answer.targets()?)))?;
    let mut seen = HashSet::new();
    let first = rows
        .into_iter()
        .map(|(group, answer, targets)| seen.insert(group).then(|| best(answer, targets, agreement)));
    Ok(first.collect())
}

fn best(answer: &Answer, targets: &[String], agreement: Agreement) -> f64 {
    let prediction = normalize(&answer.prediction);
    targets.iter().map(|target| agreement(&prediction, &normalize(target))).fold(0.0, f64::max)
}

/// Lower case, without ASCII punctuation and English articles, words joined by single spaces.
///
/// Word boundaries are those of the reference's `regex` package, where a combining mark belongs to the word. The
/// official script's `re` differs.
pub(super) fn normalize(text: &str) -> String {
    static ARTICLE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b(a|an|the)\b").expect("a valid pattern"));
    let mut text = text.to_lowercase();
    text.retain(|c| !c.is_ascii_punctuation());
    let text = ARTICLE.replace_all(&text, " ");
    let words: Vec<&str> = text.split(is_python_space).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// Characters at which Python's `str.split` splits: Unicode's white space and the four ASCII separators.
fn is_python_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalizing_removes_case_punctuation_articles_and_white_space() {
        for (text, normal) in [
            ("The Cat,  a dog\tand AN owl.", "cat dog and owl"),
            ("", ""),
            (" .a! ", ""),
            ("a.n", ""),
            ("theatre banana a1 a_b", "theatre banana a1 ab"),
            ("U.S.A. the-end", "usa theend"),
            ("“the” ‘a’ €5 – ½", "“ ” ‘ ’ €5 – ½"),
            ("İSTANBUL ΣΟΦΟΣ STRASSE ẞ", "i\u{307}stanbul σοφος strasse ß"),
            ("x\u{1f}y\u{85}z\u{a0}a\u{3000}w\u{200b}v", "x y z w\u{200b}v"),
            ("a\u{301} a\u{200d} a² aé", "a\u{301} a\u{200d} ² aé"),
        ] {
            assert_eq!(normalize(text), normal, "{text:?}");
            assert_eq!(normalize(normal), normal, "{text:?} again");
        }
    }

    #[test]
    fn shared_tokens_count_as_often_as_both_texts_have_them() {
        assert_eq!(token_f1("x x y", "x x x z"), 4.0 / 7.0);
        assert_eq!(token_f1("", ""), 0.0);
        assert_eq!(exact_match("", ""), 1.0);
    }
}

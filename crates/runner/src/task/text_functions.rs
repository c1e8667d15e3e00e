//! The named text functions of the template language.

use std::sync::LazyLock;

use regex::Regex;

use super::error::shown;
use super::value::Value;

/// A text function: maps a value and arguments to a value.
#[derive(Debug)]
pub(super) struct Function {
    pub name: &'static str,
    /// Number of arguments.
    pub arguments: usize,
    pub apply: fn(Value, &[Value]) -> Result<Value, String>,
}

/// Every text function.
pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "first", arguments: 0, apply: |value, _| first(value) },
    Function { name: "join", arguments: 1, apply: |value, arguments| join(value, text(&arguments[0])?) },
    Function { name: "mark-spans", arguments: 4, apply: mark_spans },
    Function { name: "nearest-fifth", arguments: 0, apply: |value, _| nearest_fifth(&value) },
    Function { name: "one-decimal", arguments: 0, apply: |value, _| one_decimal(&value) },
    Function { name: "pad-punctuation", arguments: 0, apply: |value, _| map_text(value, &pad_punctuation) },
    Function { name: "strip-highlights", arguments: 0, apply: |value, _| map_text(value, &strip_highlights) },
    Function { name: "strip-markup", arguments: 0, apply: |value, _| map_text(value, &strip_markup) },
];

/// Looks up a function.
pub(super) fn find(name: &str) -> Result<&'static Function, String> {
    FUNCTIONS.iter().find(|f| f.name == name).ok_or_else(|| {
        let names: Vec<&str> = FUNCTIONS.iter().map(|f| f.name).collect();
        format!("unknown text function `{name}`; known: {}", names.join(", "))
    })
}

fn text(value: &Value) -> Result<&str, String> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(format!("needs text, found {}", other.kind())),
    }
}

fn integer(value: &Value) -> Result<i64, String> {
    match value {
        Value::Integer(i) => Ok(*i),
        Value::Text(text) | Value::Digits(text) => {
            text.parse().map_err(|_| format!("needs an integer, found `{}`", shown(text)))
        }
        other => Err(format!("needs an integer, found {}", other.kind())),
    }
}

/// Applies a function to a text, or to each text of a list.
fn map_text(value: Value, function: &dyn Fn(&str) -> String) -> Result<Value, String> {
    match value {
        Value::List(values) => {
            values.into_iter().map(|v| map_text(v, function)).collect::<Result<_, _>>().map(Value::List)
        }
        other => text(&other).map(|t| Value::Text(function(t))),
    }
}

fn first(value: Value) -> Result<Value, String> {
    match value {
        Value::List(values) => values.into_iter().next().ok_or_else(|| "the list is empty".into()),
        other => Err(format!("needs a list, found {}", other.kind())),
    }
}

fn join(value: Value, separator: &str) -> Result<Value, String> {
    match value {
        Value::List(values) => {
            let texts = values.iter().map(text).collect::<Result<Vec<_>, _>>()?;
            Ok(Value::Text(texts.join(separator)))
        }
        other => Err(format!("needs a list, found {}", other.kind())),
    }
}

/// A number with one decimal, rounded half to even as in NumPy.
fn one_decimal(value: &Value) -> Result<Value, String> {
    if let Value::Integer(i) = value {
        return Ok(Value::Text(format!("{i}.0")));
    }
    Ok(Value::Text(format!("{:.1}", (number(value)? * 10.0).round_ties_even() / 10.0)))
}

/// A number rounded to multiples of 0.2, half to even: T5's targets for STS-B.
fn nearest_fifth(value: &Value) -> Result<Value, String> {
    Ok(Value::Text(format!("{:.1}", (number(value)? * 5.0).round_ties_even() / 5.0)))
}

fn number(value: &Value) -> Result<f64, String> {
    match value {
        Value::Integer(i) => Ok(*i as f64),
        Value::Number(x) if x.is_finite() => Ok(*x),
        Value::Number(x) => Err(format!("needs a number, found {x}")),
        Value::Text(text) | Value::Digits(text) => match text.parse() {
            Ok(x) if f64::is_finite(x) => Ok(x),
            _ => Err(format!("needs a number, found `{}`", shown(text))),
        },
        other => Err(format!("needs a number, found {}", other.kind())),
    }
}

/// Puts spaces around everything except `_`, whitespace, numbers, letters and combining marks, then
/// collapses whitespace: T5's preprocessing of question answering.
fn pad_punctuation(text: &str) -> String {
    static PUNCTUATION: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"[^_\s\p{N}\p{L}\p{M}]").expect("a valid pattern"));
    static SPACE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\s+").expect("a valid pattern"));
    SPACE.replace_all(&PUNCTUATION.replace_all(text, " $0 "), " ").into_owned()
}

/// Turns `<br>` into a space and removes `<b>` and `</b>`: MultiRC's markup.
fn strip_markup(text: &str) -> String {
    text.replace("<br>", " ").replace("<b>", "").replace("</b>", "")
}

/// Appends ReCoRD's highlights to the passage as sentences.
fn strip_highlights(text: &str) -> String {
    const HIGHLIGHT: &str = "\n@highlight\n";
    let mut joined = text.to_string();
    for end in ['.', '?', '!', '"', '\''] {
        joined = joined.replace(&format!("{end}{HIGHLIGHT}"), &format!("{end} "));
    }
    joined.replace(HIGHLIGHT, ". ")
}

/// Marks two spans of a text, `* first *` and `# second #`: WSC as T5 sees it.
///
/// Arguments: the first span, the index of its first word, the second span, its index.
fn mark_spans(value: Value, arguments: &[Value]) -> Result<Value, String> {
    let (first, second) = (integer(&arguments[1])?, integer(&arguments[3])?);
    let marked = mark_span(text(&value)?, text(&arguments[0])?, first, "*");
    // The first span's two marks are words too.
    let second = if first < second { second + 2 } else { second };
    Ok(Value::Text(mark_span(&marked, text(&arguments[2])?, second, "#")))
}

/// Marks the span that starts at a word index; leaves the text unchanged if the span is not there.
fn mark_span(text: &str, span: &str, word: i64, mark: &str) -> String {
    let Some(start) = word_start(text, word) else { return text.to_string() };
    let (before, after) = text.split_at(start);
    // The reference uses the span as a pattern, so a `.` in it matches any character.
    let pattern = Regex::new(&format!("^(?:{span})"))
        .unwrap_or_else(|_| Regex::new(&format!("^{}", regex::escape(span))).expect("an escaped pattern"));
    match pattern.find(after) {
        Some(found) => {
            let (span, rest) = after.split_at(found.end());
            format!("{before}{mark} {span} {mark}{rest}")
        }
        None => text.to_string(),
    }
}

/// Byte offset of the word with this index; words are separated by single whitespace characters.
fn word_start(text: &str, word: i64) -> Option<usize> {
    let mut start = 0;
    for _ in 0..word {
        let rest = &text[start..];
        let (length, space) = rest.char_indices().find(|(_, c)| c.is_whitespace())?;
        if length == 0 {
            return None;
        }
        start += length + space.len_utf8();
    }
    Some(start)
}

#[cfg(test)]
mod tests {
    use rand::seq::IndexedRandom;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn punctuation_is_padded_and_whitespace_collapsed() {
        assert_eq!(pad_punctuation("Who's\t\"he\"?"), "Who ' s \" he \" ? ");
        assert_eq!(pad_punctuation("snake_case  été"), "snake_case été");
    }

    #[test]
    fn padding_loses_no_character_and_is_idempotent() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let alphabet: Vec<char> = "ab_Zé1½०.,?!'\"{}’—€ e\u{301}\u{a0}\u{2003}\t\n  ".chars().collect();
        for _ in 0..2000 {
            let length = rng.random_range(0..40);
            let text: String = (0..length).map(|_| *alphabet.choose(&mut rng).unwrap()).collect();
            let padded = pad_punctuation(&text);
            assert_eq!(pad_punctuation(&padded), padded, "{text:?}");
            let visible = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            assert_eq!(visible(&padded), visible(&text));
            assert!(!padded.contains("  "), "{text:?}: {padded:?}");
            assert!(padded.chars().all(|c| c == ' ' || !c.is_whitespace()), "{text:?}: {padded:?}");
        }
    }

    #[test]
    fn numbers_may_be_written_as_text() {
        let text = |text: &str| Value::Text(text.into());
        assert_eq!(one_decimal(&text("1.510")), Ok(text("1.5")));
        assert_eq!(one_decimal(&text("5")), Ok(text("5.0")));
        assert_eq!(integer(&text("07")), Ok(7));
        for wrong in ["", "five", "nan", "inf"] {
            assert!(one_decimal(&text(wrong)).unwrap_err().contains(&format!("`{wrong}`")));
        }
        assert!(integer(&text("1.5")).unwrap_err().contains("`1.5`"));
    }

    #[test]
    fn one_decimal_rounds_halves_to_even() {
        let round = |x| one_decimal(&Value::Number(x)).unwrap();
        assert_eq!(round(0.25), Value::Text("0.2".into()));
        assert_eq!(round(3.799_999_952_316_284), Value::Text("3.8".into()));
        assert_eq!(round(5.0), Value::Text("5.0".into()));
    }

    #[test]
    fn nearest_fifths_are_multiples_of_a_fifth() {
        let round = |x| nearest_fifth(&Value::Number(x)).unwrap();
        for (x, text) in [(2.57, "2.6"), (2.5, "2.4"), (2.7, "2.8"), (0.09, "0.0"), (5.0, "5.0")] {
            assert_eq!(round(x), Value::Text(text.into()));
        }
        assert_eq!(nearest_fifth(&Value::Integer(3)), Ok(Value::Text("3.0".into())));
    }

    #[test]
    fn spans_are_marked_in_either_order() {
        let mark = |first: &str, i, second: &str, j| {
            let arguments =
                [Value::Text(first.into()), Value::Integer(i), Value::Text(second.into()), Value::Integer(j)];
            mark_spans(Value::Text("The trophy is big because it is new".into()), &arguments).unwrap()
        };
        let expected = Value::Text("The * trophy * is big because # it # is new".into());
        assert_eq!(mark("trophy", 1, "it", 5), expected);
        let swapped = Value::Text("The # trophy # is big because * it * is new".into());
        assert_eq!(mark("it", 5, "trophy", 1), swapped);
    }

    #[test]
    fn wrong_types_are_explained() {
        assert!(first(Value::Integer(1)).unwrap_err().contains("needs a list"));
        assert!(map_text(Value::Null, &pad_punctuation).unwrap_err().contains("an empty cell"));
    }
}

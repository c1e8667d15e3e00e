//! Settings out of JSON and TOML, with errors that name the key.

use serde::de::{DeserializeOwned, Deserializer};
use serde_json::Value;

/// Largest size that a setting may have; a larger one is a typing error and fits into no memory.
pub const LARGEST: usize = 1 << 24;

/// Refuses a size of nothing, or one that no machine has room for.
///
/// # Errors
/// The message names the key and what would be right.
pub fn positive(key: &str, value: usize) -> Result<(), String> {
    if !(1..=LARGEST).contains(&value) {
        return Err(format!("`{key}` is {value}; it must be at least 1 and at most {LARGEST}"));
    }
    Ok(())
}

/// Refuses a factor that is not a positive number.
///
/// # Errors
/// The message names the key.
pub fn factor(key: &str, value: f64) -> Result<(), String> {
    if !(value.is_finite() && value > 0.0) {
        return Err(format!("`{key}` is {value}; it must be a positive number"));
    }
    Ok(())
}

/// Refuses a learning rate that is not a positive number.
///
/// # Errors
/// The message names the key.
pub fn learning_rate(key: &str, value: f64) -> Result<(), String> {
    factor(key, value)
}

/// Refuses a probability outside [0, 1).
///
/// # Errors
/// The message names the key.
pub fn probability(key: &str, value: f64) -> Result<(), String> {
    if !(0.0..1.0).contains(&value) {
        return Err(format!("`{key}` is {value}; it must be in [0, 1)"));
    }
    Ok(())
}

/// Reads settings; the error says which key is wrong and why.
///
/// # Errors
/// When a key is unknown or missing, or a value is of the wrong kind.
pub fn read<'de, T: DeserializeOwned>(settings: impl Deserializer<'de>) -> Result<T, String> {
    serde_path_to_error::deserialize(settings).map_err(|error| {
        let (key, problem) = (error.path().to_string(), with_suggestion(error.inner().to_string()));
        match key.as_str() {
            "." => problem,
            key => format!("`{key}`: {problem}"),
        }
    })
}

/// Puts what is given over what is there, table by table.
pub fn merge(value: &mut Value, given: Value) {
    match (value, given) {
        (Value::Object(fields), Value::Object(given)) => {
            for (key, given) in given {
                merge(fields.entry(key).or_insert(Value::Null), given);
            }
        }
        (value, given) => *value = given,
    }
}

/// The candidate most like `name`, if any is like it at all.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|c| (strsim::jaro_winkler(&name.to_lowercase(), &c.to_lowercase()), c))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

/// Serde names the unknown key and then the known ones, all in backticks; the nearest is most likely meant.
fn with_suggestion(problem: String) -> String {
    let mut names = problem.split('`').skip(1).step_by(2);
    let suggestion = match (problem.starts_with("unknown field"), names.next()) {
        (true, Some(unknown)) => nearest(unknown, names),
        _ => None,
    };
    match suggestion {
        Some(key) => format!("{problem}; did you mean `{key}`?"),
        None => problem,
    }
}

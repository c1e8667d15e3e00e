//! Settings out of JSON and TOML, with errors that name the key.

use serde::de::{DeserializeOwned, Deserializer};

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

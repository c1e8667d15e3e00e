//! Settings out of JSON and TOML, with errors that name the key.

use serde::de::{DeserializeOwned, Deserializer};

/// Largest size that a setting may ask for; beyond it are slips of the pen, and no memory.
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
        let (key, problem) = (error.path().to_string(), error.inner().to_string());
        match key.as_str() {
            "." => problem,
            key => format!("`{key}`: {problem}"),
        }
    })
}

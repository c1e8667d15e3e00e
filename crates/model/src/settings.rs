//! Settings out of JSON and TOML, with errors that name the key.

use serde::de::{DeserializeOwned, Deserializer};

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

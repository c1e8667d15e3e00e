//! `generation_config.json`, which lies beside some models' configurations.

use std::path::Path;

use serde_json::{Map, Value};

use crate::Error;
use crate::files;

/// Its name.
pub(crate) const NAME: &str = "generation_config.json";

/// No configuration is larger.
pub(crate) const LARGEST: u64 = 16 << 20;

/// Its fields; none where there is no such file.
pub(crate) fn fields(folder: &Path) -> Result<Map<String, Value>, Error> {
    let path = folder.join(NAME);
    if !path.exists() {
        return Ok(Map::new());
    }
    let text = files::read_text(&path, LARGEST)?;
    object(&text).map_err(|problem| Error::Config { path, problem })
}

/// Reads a JSON object.
pub(crate) fn object(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(text).map_err(|e| e.to_string())? {
        Value::Object(fields) => Ok(fields),
        _ => Err("is no JSON object".into()),
    }
}

/// A line that names the settings of a folder which choose among answers otherwise than greedy decoding does.
pub(crate) fn not_heeded(folder: &Path) -> Result<Option<String>, Error> {
    let fields = fields(folder)?;
    let set = |key: &&&str| {
        let value = fields.get(**key).unwrap_or(&Value::Null);
        !(value.is_null() || value == &Value::Bool(false) || [Some(0.0), Some(1.0)].contains(&value.as_f64()))
    };
    let settings: Vec<String> =
        DECODING.iter().filter(set).map(|key| format!("`{key}` {}", fields[*key])).collect();
    let path = folder.join(NAME);
    let line =
        || format!("{}: {} is not heeded: answers are decoded greedily", path.display(), settings.join(", "));
    Ok((!settings.is_empty()).then(line))
}

/// What transformers' `generate` heeds and greedy decoding does not; 0, 1, false and null ask for nothing.
const DECODING: [&str; 14] = [
    "num_beams",
    "do_sample",
    "min_length",
    "min_new_tokens",
    "repetition_penalty",
    "encoder_repetition_penalty",
    "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size",
    "bad_words_ids",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "suppress_tokens",
    "begin_suppress_tokens",
    "sequence_bias",
];

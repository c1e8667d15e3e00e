//! The families of backbones, and the one that a `config.json` asks for.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::{DType, Device};
use serde_json::{Map, Value};

use crate::Error;
use crate::backbone::{Backbone, Configuration};
use crate::files;
use crate::generation_config::{self, LARGEST, object};
use crate::t5::{self, T5Config, T5Configuration};

type Fields = Map<String, Value>;

/// Reads the fields of `config.json` and `generation_config.json`.
type Read = fn(&Fields, &Fields) -> Result<Arc<dyn Configuration>, String>;

/// A family of backbones.
struct Family {
    /// What `model_type` says.
    model_types: &'static [&'static str],
    read: Read,
}

/// The first is that of configurations without a `model_type`.
static FAMILIES: &[Family] = &[Family {
    model_types: &["t5", "mt5"],
    read: |fields, generation| Ok(Arc::new(t5::read(fields, generation)?)),
}];

/// Reads and checks the `config.json` of a folder, with `generation_config.json` where there is one.
///
/// # Errors
/// When a file cannot be read, is not JSON, lacks a field, describes no known backbone, or the two contradict each
/// other; when the folder holds an adapter of Python's peft.
pub fn configuration(folder: &Path) -> Result<Arc<dyn Configuration>, Error> {
    files::refuse_peft_adapter(folder)?;
    let path = folder.join("config.json");
    let text = files::read_text(&path, LARGEST)?;
    let generation = generation_config::fields(folder)?;
    object(&text)
        .and_then(|fields| read(&fields, &generation))
        .map_err(|problem| Error::Config { path, problem })
}

/// Reads and checks the text of a `config.json`.
///
/// # Errors
/// The message says what is wrong with it.
pub fn parse_configuration(text: &str) -> Result<Arc<dyn Configuration>, String> {
    read(&object(text)?, &Fields::new())
}

/// Loads the backbone of a model folder in the hub's layout.
///
/// # Errors
/// As [`configuration`], and as [`load`](trait.Configuration.html#method.load) of the configuration.
pub fn load(folder: &Path, device: &Device, dtype: DType) -> Result<Box<dyn Backbone>, Error> {
    configuration(folder)?.load(folder, device, dtype)
}

/// T5-base, on which the papers count parameters.
pub fn reference() -> Arc<dyn Configuration> {
    Arc::new(T5Configuration::new(T5Config::t5_base()).expect("published sizes are in range"))
}

fn read(fields: &Fields, generation: &Fields) -> Result<Arc<dyn Configuration>, String> {
    let family = match fields.get("model_type") {
        None => FAMILIES.first(),
        Some(given) => FAMILIES.iter().find(|family| family.model_types.iter().any(|&known| given == known)),
    };
    match family {
        Some(family) => (family.read)(fields, generation),
        None => {
            let known =
                FAMILIES.iter().flat_map(|family| family.model_types).map(|known| format!("\"{known}\""));
            let known: Vec<String> = known.collect();
            Err(format!("field `model_type` is {}; known are {}", fields["model_type"], known.join(" and ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_families_and_other_json_are_explained() {
        for text in [r#"{"model_type": "umt5"}"#, r#"{"model_type": null}"#] {
            let error = parse_configuration(text).unwrap_err();
            assert!(error.contains("model_type") && error.contains("\"t5\" and \"mt5\""), "{error}");
        }
        let error = parse_configuration("[1]").unwrap_err();
        assert!(error.contains("object"), "{error}");
    }
}

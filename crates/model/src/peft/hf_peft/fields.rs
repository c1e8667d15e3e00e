use serde_json::{Map, Value};

/// Fields that say where an adapter comes from or how it was started, not what it computes.
const OF_NO_EFFECT: &[&str] = &[
    "auto_mapping",
    "base_model_name_or_path",
    "inference_mode",
    "peft_version",
    "revision",
    "runtime_config",
    "task_type",
    "tokenizer_kwargs",
    "tokenizer_name_or_path",
];

/// The fields of an `adapter_config.json` that nobody has taken yet.
#[derive(Debug, Clone)]
pub struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn new(fields: Map<String, Value>) -> Self {
        Self(fields)
    }

    /// Takes a field; `None` where it is absent or null.
    pub fn take(&mut self, key: &str) -> Option<Value> {
        self.0.shift_remove(key).filter(|value| !value.is_null())
    }

    /// Takes a size.
    ///
    /// # Errors
    /// When it is absent or no whole number; the message names the field.
    pub fn size(&mut self, key: &str) -> Result<usize, String> {
        let value = self.required(key)?;
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
        size.ok_or_else(|| format!("`{key}` is {value}; it must be a whole number"))
    }

    /// Takes a number.
    ///
    /// # Errors
    /// When it is absent or no number; the message names the field.
    pub fn number(&mut self, key: &str) -> Result<f64, String> {
        let value = self.required(key)?;
        value.as_f64().ok_or_else(|| format!("`{key}` is {value}; it must be a number"))
    }

    /// Takes a switch, which is off where it is absent or null.
    ///
    /// # Errors
    /// When it is neither true nor false; the message names the field.
    pub fn switch(&mut self, key: &str) -> Result<bool, String> {
        match self.take(key) {
            None => Ok(false),
            Some(value) => {
                value.as_bool().ok_or_else(|| format!("`{key}` is {value}; it must be true or false"))
            }
        }
    }

    /// Takes a list of names.
    ///
    /// # Errors
    /// When it is absent or anything else, such as a regular expression; the message names the field.
    pub fn names(&mut self, key: &str) -> Result<Vec<String>, String> {
        let value = self.required(key)?;
        let names = value
            .as_array()
            .map(|names| names.iter().map(|name| name.as_str().map(str::to_string)).collect());
        let names: Option<Vec<String>> = names.flatten();
        let mut names =
            names.ok_or_else(|| format!("`{key}` is {value}; only a list of module names is supported"))?;
        // Python writes sets, in no order.
        names.sort();
        Ok(names)
    }

    /// Takes a field that must have this value where it is given.
    ///
    /// # Errors
    /// When it has another; the message names the field.
    pub fn expect(&mut self, key: &str, supported: impl Into<Value>) -> Result<(), String> {
        let supported = supported.into();
        match self.take(key) {
            Some(value) if !equal(&value, &supported) => {
                Err(format!("`{key}` is {value}; only {supported} is supported here"))
            }
            _ => Ok(()),
        }
    }

    /// Drops fields that do not change what the adapter computes.
    pub fn ignore(&mut self, keys: &[&str]) {
        for key in keys {
            self.0.shift_remove(*key);
        }
    }

    /// Refuses what is left, unless it asks for nothing.
    pub(super) fn finish(mut self) -> Result<(), String> {
        self.ignore(OF_NO_EFFECT);
        match self.0.iter().find(|(_, value)| !asks_for_nothing(value)) {
            Some((key, value)) => {
                Err(format!("`{key}` is {value}, which is not supported; it must be absent or null"))
            }
            None => Ok(()),
        }
    }

    fn required(&mut self, key: &str) -> Result<Value, String> {
        self.take(key).ok_or_else(|| format!("`{key}` is missing"))
    }
}

/// Whether two values are the same, whole numbers and floats alike.
fn equal(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

fn asks_for_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

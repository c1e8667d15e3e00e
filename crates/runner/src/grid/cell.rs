use peft_model::peft::Built;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::files::digest::Digest;
use crate::task::{ShotsRule, TaskSpec};
use crate::train::TrainSettings;

/// A method with its settings, under the name it has in tables.
#[derive(Debug)]
pub struct Instance {
    pub name: String,
    /// Name in the registry.
    pub method: String,
    pub built: Built,
}

/// One result to be: everything that decides what comes out.
#[derive(Debug, Clone, Serialize)]
pub struct Cell {
    pub task: String,
    pub spec: TaskSpec,
    pub dataset_revision: String,
    /// Number of training rows, where not all of them train.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shots: Option<usize>,
    /// How those rows are chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shots_rule: Option<ShotsRule>,
    pub model: String,
    pub model_revision: String,
    pub method: String,
    pub settings: Map<String, Value>,
    pub training: TrainSettings,
    pub seed: u64,
    /// Seeds that train side by side, in this order, on a device that gives a run other bits in other company.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub company: Vec<u64>,
}

/// Changes when the same identity would give another result.
const RESULTS_VERSION: u32 = 2;

impl Cell {
    /// The task's title in tables, which says how many rows train where not all of them do.
    pub fn title(&self) -> String {
        match self.shots {
            Some(shots) => format!("{} (k={shots})", self.spec.title),
            None => self.spec.title.clone(),
        }
    }

    /// The cell's identity, 16 hexadecimal digits: the same inputs have the same id on every machine.
    ///
    /// A folder's name is no part of it: the digest of its weights is.
    pub fn id(&self) -> String {
        let mut identity = json!(self);
        identity["version"] = json!(RESULTS_VERSION);
        identity["model"] = Value::Null;
        Digest::of(canonical(&identity)).short()
    }
}

/// JSON with sorted keys and no white space.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<(&String, &Value)> = map.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{}:{}", json!(key), canonical(value))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(values) => {
            format!("[{}]", values.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let a: Value = serde_json::from_str(r#"{"a":1,"b":{"c":[1,2],"d":"x"}}"#).unwrap();
        let b: Value = serde_json::from_str(r#"{"b":{"d":"x","c":[1,2]},"a":1}"#).unwrap();
        assert_eq!(canonical(&a), canonical(&b));
        assert_eq!(canonical(&a), r#"{"a":1,"b":{"c":[1,2],"d":"x"}}"#);
    }
}

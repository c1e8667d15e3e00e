use serde_json::{Map, Value, json};

use super::{Fields, HfPeft, HfTensor, PREFIX};
use crate::layout::Layout;
use crate::peft::ia3::{Ia3, Side, factors, side};

/// What is rescaled: outputs of keys and values, inputs of the feed-forward layer's last map.
const TARGETS: [&str; 3] = ["k", "v", "wo"];
const AT_INPUT: [&str; 1] = ["wo"];

impl HfPeft for Ia3 {
    const TYPES: &'static [&'static str] = &["IA3"];

    fn from_fields(fields: &mut Fields, _layout: &Layout) -> Result<Option<Self>, String> {
        for (key, supported) in [("target_modules", &TARGETS[..]), ("feedforward_modules", &AT_INPUT)] {
            let names = fields.names(key)?;
            if names != supported {
                return Err(format!("`{key}` is {names:?}; only {supported:?} is supported"));
            }
        }
        fields.ignore(&["init_ia3_weights"]);
        Ok(Some(Self::default()))
    }

    fn to_fields(&self, _layout: &Layout) -> Result<Map<String, Value>, String> {
        let fields = json!({
            "target_modules": TARGETS,
            "feedforward_modules": AT_INPUT,
            "fan_in_fan_out": false,
        });
        Ok(fields.as_object().cloned().unwrap_or_default())
    }

    fn tensors(&self, layout: &Layout) -> Vec<HfTensor> {
        let scaled = |linear: &crate::layout::Linear| {
            let [out, input] = linear.shape;
            let shape = match side(linear)? {
                Side::Input => [1, input],
                Side::Output => [out, 1],
            };
            Some(HfTensor::new(factors(linear), format!("{PREFIX}{}.ia3_l", linear.path), &shape))
        };
        layout.linears.iter().filter_map(scaled).collect()
    }
}

use serde_json::{Map, Value, json};

use super::{Fields, HfPeft, HfTensor, PREFIX};
use crate::layout::Layout;
use crate::peft::lora::{Lora, lora_a, lora_b};

/// Initial values that peft computes from the backbone's weights, which it changes by them.
const CHANGES_THE_BACKBONE: [&str; 5] = ["corda", "loftq", "lora_ga", "olora", "pissa"];

impl HfPeft for Lora {
    const TYPES: &'static [&'static str] = &["LORA"];

    fn from_fields(fields: &mut Fields, _layout: &Layout) -> Result<Option<Self>, String> {
        if fields.switch("use_rslora")? || fields.switch("use_dora")? {
            return Ok(None);
        }
        plain_low_rank(fields)?;
        Ok(Some(Self {
            rank: fields.size("r")?,
            alpha: fields.number("lora_alpha")?,
            dropout: fields.number("lora_dropout")?,
            targets: fields.names("target_modules")?,
            ..Self::default()
        }))
    }

    fn to_fields(&self, _layout: &Layout) -> Result<Map<String, Value>, String> {
        let Self { rank, alpha, dropout, targets, learning_rate: _ } = self;
        let fields = json!({
            "r": rank,
            "lora_alpha": alpha,
            "lora_dropout": dropout,
            "target_modules": targets,
            "bias": "none",
            "fan_in_fan_out": false,
        });
        Ok(fields.as_object().cloned().unwrap_or_default())
    }

    fn tensors(&self, layout: &Layout) -> Vec<HfTensor> {
        let adapted = layout.linears.iter().filter(|linear| self.adapts(linear));
        let pair = |linear: &crate::layout::Linear| {
            let ([out, input], path) = (linear.shape, &linear.path);
            [
                HfTensor::new(lora_a(linear), format!("{PREFIX}{path}.lora_A.weight"), &[self.rank, input]),
                HfTensor::new(lora_b(linear), format!("{PREFIX}{path}.lora_B.weight"), &[out, self.rank]),
            ]
        };
        adapted.flat_map(pair).collect()
    }
}

/// Refuses what would make low-rank updates another method.
pub(super) fn plain_low_rank(fields: &mut Fields) -> Result<(), String> {
    fields.expect("bias", "none")?;
    match fields.take("init_lora_weights") {
        Some(Value::String(start)) if CHANGES_THE_BACKBONE.iter().any(|name| start.starts_with(name)) => {
            return Err(format!(
                "`init_lora_weights` is {start:?}, which changes the backbone's weights too"
            ));
        }
        _ => {}
    }
    // Settings of options that are off, or refused where they are on.
    fields.ignore(&["megatron_core", "qalora_group_size", "layers_pattern"]);
    Ok(())
}

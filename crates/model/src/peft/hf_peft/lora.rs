use serde_json::{Map, Value, json};

use super::{Fields, HfPeft, HfTensor, PREFIX};
use crate::layout::{Layout, Linear};
use crate::peft::dora::{Dora, magnitude};
use crate::peft::lora::Lora;
use crate::peft::low_rank::{LowRank, lora_a, lora_b};
use crate::peft::rslora::RsLora;
use crate::peft::targets::Targets;

/// Initial values that peft computes from the backbone's weights, which it changes by them.
const CHANGES_THE_BACKBONE: [&str; 5] = ["corda", "loftq", "lora_ga", "olora", "pissa"];

/// The `peft_type` of LoRA, rsLoRA and DoRA, which switches tell apart.
const TYPES: &[&str] = &["LORA"];
const SWITCHES: [&str; 2] = ["use_rslora", "use_dora"];

impl HfPeft for Lora {
    const TYPES: &'static [&'static str] = TYPES;

    fn from_fields(fields: &mut Fields, _layout: &Layout) -> Result<Option<Self>, String> {
        Ok(read(fields, &[])?.map(Self))
    }

    fn to_fields(&self, _layout: &Layout) -> Result<Map<String, Value>, String> {
        Ok(write(&self.0, &[]))
    }

    fn tensors(&self, layout: &Layout) -> Vec<HfTensor> {
        adapted(&self.0, layout).flat_map(|linear| factors(&self.0, linear)).collect()
    }
}

impl HfPeft for RsLora {
    const TYPES: &'static [&'static str] = TYPES;

    fn from_fields(fields: &mut Fields, _layout: &Layout) -> Result<Option<Self>, String> {
        Ok(read(fields, &["use_rslora"])?.map(Self))
    }

    fn to_fields(&self, _layout: &Layout) -> Result<Map<String, Value>, String> {
        Ok(write(&self.0, &["use_rslora"]))
    }

    fn tensors(&self, layout: &Layout) -> Vec<HfTensor> {
        adapted(&self.0, layout).flat_map(|linear| factors(&self.0, linear)).collect()
    }
}

impl HfPeft for Dora {
    const TYPES: &'static [&'static str] = TYPES;

    fn from_fields(fields: &mut Fields, _layout: &Layout) -> Result<Option<Self>, String> {
        Ok(read(fields, &["use_dora"])?.map(Self))
    }

    fn to_fields(&self, _layout: &Layout) -> Result<Map<String, Value>, String> {
        Ok(write(&self.0, &["use_dora"]))
    }

    fn tensors(&self, layout: &Layout) -> Vec<HfTensor> {
        let magnitude = |linear: &Linear| {
            let theirs = format!("{PREFIX}{}.lora_magnitude_vector", linear.path);
            HfTensor::new(magnitude(linear), theirs, &linear.shape[..1])
        };
        let tensors = |linear| factors(&self.0, linear).into_iter().chain([magnitude(linear)]);
        adapted(&self.0, layout).flat_map(tensors).collect()
    }
}

/// The settings of a low-rank update, where exactly these switches are on.
fn read(fields: &mut Fields, switches: &[&str]) -> Result<Option<LowRank>, String> {
    for switch in SWITCHES {
        if fields.switch(switch)? != switches.contains(&switch) {
            return Ok(None);
        }
    }
    plain_low_rank(fields)?;
    Ok(Some(LowRank {
        rank: fields.size("r")?,
        alpha: fields.number("lora_alpha")?,
        dropout: fields.number("lora_dropout")?,
        targets: Targets(fields.names("target_modules")?),
        ..LowRank::default()
    }))
}

fn write(settings: &LowRank, switches: &[&str]) -> Map<String, Value> {
    let LowRank { rank, alpha, dropout, targets, learning_rate: _ } = settings;
    let fields = json!({
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": dropout,
        "target_modules": targets,
        "bias": "none",
        "fan_in_fan_out": false,
    });
    let mut fields = fields.as_object().cloned().unwrap_or_default();
    fields.extend(switches.iter().map(|switch| (switch.to_string(), Value::Bool(true))));
    fields
}

fn adapted<'a>(settings: &'a LowRank, layout: &'a Layout) -> impl Iterator<Item = &'a Linear> {
    layout.linears.iter().filter(|linear| settings.targets.adapt(linear))
}

fn factors(settings: &LowRank, linear: &Linear) -> [HfTensor; 2] {
    let ([out, input], path, rank) = (linear.shape, &linear.path, settings.rank);
    [
        HfTensor::new(lora_a(linear), format!("{PREFIX}{path}.lora_A.weight"), &[rank, input]),
        HfTensor::new(lora_b(linear), format!("{PREFIX}{path}.lora_B.weight"), &[out, rank]),
    ]
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

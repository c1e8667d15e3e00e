use serde_json::{Map, Value, json};

use super::lora::plain_low_rank;
use super::{Fields, HfPeft, HfTensor, PREFIX};
use crate::layout::{Layout, Linear};
use crate::peft::adalora::{AdaLora, lambda, p, q};
use crate::peft::targets::Targets;

impl HfPeft for AdaLora {
    const TYPES: &'static [&'static str] = &["ADALORA"];

    /// Adapters with a `rank_pattern`, whose maps were cut to their ranks, are refused.
    fn from_fields(fields: &mut Fields, _layout: &Layout) -> Result<Option<Self>, String> {
        plain_low_rank(fields)?;
        // The rank of LoRA, which AdaLoRA's configuration inherits and does not use.
        fields.ignore(&["r"]);
        let steps = fields.number("total_step")?;
        Ok(Some(Self {
            initial_rank: fields.size("init_r")?,
            target_rank: fields.size("target_r")?,
            alpha: fields.number("lora_alpha")?,
            dropout: fields.number("lora_dropout")?,
            targets: Targets(fields.names("target_modules")?),
            orthogonality: fields.number("orth_reg_weight")?,
            beta1: fields.number("beta1")?,
            beta2: fields.number("beta2")?,
            initial_warmup: fields.number("tinit")? / steps,
            final_warmup: fields.number("tfinal")? / steps,
            interval: fields.size("deltaT")? as u64,
            ..Self::default()
        }))
    }

    fn to_fields(&self, _layout: &Layout) -> Result<Map<String, Value>, String> {
        // Only shares of the updates are known; of so many, they are whole numbers.
        let steps = 1_000_000_u64;
        let count = |share: f64| (share * steps as f64).round() as u64;
        let fields = json!({
            "init_r": self.initial_rank,
            "target_r": self.target_rank,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "target_modules": self.targets,
            "orth_reg_weight": self.orthogonality,
            "beta1": self.beta1,
            "beta2": self.beta2,
            "total_step": steps,
            "tinit": count(self.initial_warmup),
            "tfinal": count(self.final_warmup),
            "deltaT": self.interval,
            "bias": "none",
            "fan_in_fan_out": false,
        });
        Ok(fields.as_object().cloned().unwrap_or_default())
    }

    fn tensors(&self, layout: &Layout) -> Vec<HfTensor> {
        let rank = self.initial_rank;
        let of_map = |linear: &Linear| {
            let [out, input] = linear.shape;
            let theirs = |part: &str| format!("{PREFIX}{}.lora_{part}", linear.path);
            [
                HfTensor::new(q(linear), theirs("A"), &[rank, input]),
                HfTensor::new(lambda(linear), theirs("E"), &[rank, 1]),
                HfTensor::new(p(linear), theirs("B"), &[out, rank]),
            ]
        };
        layout.linears.iter().filter(|linear| self.targets.adapt(linear)).flat_map(of_map).collect()
    }
}

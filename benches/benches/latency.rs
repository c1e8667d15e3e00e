//! Time to answer a source with T5-base: each method against the frozen backbone, in turns.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use burn::tensor::{DType, Device};
use peft_model::{Adaptation, Backbone, Batch, Method, Parameters, families, peft};
use serde_json::{Map, Value, json};

const SOURCE: usize = 64;
const NEW_TOKENS: usize = 8;
const ROUNDS: usize = 9;

/// A way to answer.
struct Variant<'a> {
    name: &'static str,
    backbone: &'a dyn Backbone,
    method: Box<dyn Method>,
    parameters: Parameters,
}

impl Variant<'_> {
    fn answer(&self, source: &Batch) -> Duration {
        let adaptation = Adaptation::new(self.method.as_ref(), &self.parameters);
        let started = Instant::now();
        let answers = self.backbone.generate(&adaptation, source.source.clone(), NEW_TOKENS);
        assert_eq!(answers[0][0].len(), NEW_TOKENS, "{} stops early", self.name);
        started.elapsed()
    }
}

fn settings(settings: Value) -> Map<String, Value> {
    settings.as_object().cloned().unwrap_or_default()
}

fn main() -> Result<()> {
    let configuration = families::reference();
    let backbone = configuration.random(1, &Device::flex(), DType::F32);
    let start = |name: &'static str, method: &str, given: Value| -> Result<Variant> {
        let built = peft::build(method, &settings(given))?;
        let parameters = backbone
            .start(built.method.as_ref(), &[1], &|text| text.bytes().map(u32::from).collect())
            .map_err(anyhow::Error::msg)?;
        Ok(Variant { name, backbone: backbone.as_ref(), method: built.method, parameters })
    };
    let frozen = Variant {
        name: "frozen",
        backbone: backbone.as_ref(),
        method: peft::frozen().method,
        parameters: Parameters::none(1, DType::F32),
    };
    let adept = start("ADePT, network per token", "adept", json!({}))?;
    let (method, parameters) = backbone
        .folded(&Adaptation::new(adept.method.as_ref(), &adept.parameters))
        .context("ADePT's offsets fold")?;
    let folded = Variant { name: "ADePT, folded", backbone: backbone.as_ref(), method, parameters };
    let lora = start("LoRA, unmerged", "lora", json!({}))?;
    let merged = backbone
        .merged(&Adaptation::new(lora.method.as_ref(), &lora.parameters))
        .map_err(anyhow::Error::msg)?;
    let merged = configuration.build(merged);
    let merged = Variant {
        name: "LoRA, merged",
        backbone: merged.as_ref(),
        method: peft::frozen().method,
        parameters: Parameters::none(1, DType::F32),
    };
    let prompt = start("PT, 100 tokens", "prompt-tuning", json!({}))?;
    let short = start("PT, 60 tokens", "prompt-tuning", json!({"prompt": {"length": 60}}))?;
    let dept = start("DePT, m = 60, r = 30", "dept", json!({"prompt": {"length": 60}, "rank": 30}))?;
    let variants = [frozen, prompt, short, dept, adept, folded, lora, merged];

    let ids: Vec<u32> = (0..SOURCE as u32).map(|i| 100 + i).collect();
    let batch = Batch::new(&[vec![(&ids[..], &[1][..])]], 0, &Device::flex());
    let mut times = vec![Vec::new(); variants.len()];
    for round in 0..=ROUNDS {
        for (times, variant) in times.iter_mut().zip(&variants) {
            let time = variant.answer(&batch);
            // The first round warms up.
            if round > 0 {
                times.push(time);
            }
        }
    }
    println!("one source of {SOURCE} tokens, {NEW_TOKENS} new tokens, median of {ROUNDS} rounds:");
    let median = |times: &[f64]| {
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    };
    for (variant, own) in variants.iter().zip(&times) {
        // Ratios of one round, so that what slows a whole round down does not count.
        let ratios: Vec<f64> =
            own.iter().zip(&times[0]).map(|(t, frozen)| t.div_duration_f64(*frozen)).collect();
        let milliseconds: Vec<f64> = own.iter().map(|t| 1e3 * t.as_secs_f64()).collect();
        println!(
            "{:<26} {:7.1} ms  {:.3} of the frozen backbone's",
            variant.name,
            median(&milliseconds),
            median(&ratios)
        );
    }
    Ok(())
}

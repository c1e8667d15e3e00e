use serde_json::{Map, Value, json};

use super::{Fields, HfPeft, HfTensor, PREFIX};
use crate::layout::Layout;
use crate::peft::layer_norm::LayerNormTuning;

impl HfPeft for LayerNormTuning {
    const TYPES: &'static [&'static str] = &["LN_TUNING"];

    fn from_fields(fields: &mut Fields, layout: &Layout) -> Result<Option<Self>, String> {
        let (names, all) = (fields.names("target_modules")?, norm_names(layout));
        if names != all {
            return Err(format!("`target_modules` is {names:?}; only {all:?}, every norm, is supported"));
        }
        Ok(Some(Self::default()))
    }

    fn to_fields(&self, layout: &Layout) -> Result<Map<String, Value>, String> {
        let fields = json!({ "target_modules": norm_names(layout) });
        Ok(fields.as_object().cloned().unwrap_or_default())
    }

    fn tensors(&self, layout: &Layout) -> Vec<HfTensor> {
        let scale = |norm: &crate::layout::Norm| {
            let theirs = format!("{PREFIX}{}.ln_tuning_layers.weight", norm.path);
            HfTensor::new(norm.weight.clone(), theirs, &[layout.d_model])
        };
        layout.norms.iter().map(scale).collect()
    }
}

/// The last parts of the norms' paths, sorted.
fn norm_names(layout: &Layout) -> Vec<String> {
    let last = |path: &str| path.rsplit('.').next().unwrap_or(path).to_string();
    let mut names: Vec<String> = layout.norms.iter().map(|norm| last(&norm.path)).collect();
    names.sort();
    names.dedup();
    names
}

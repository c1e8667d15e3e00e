use serde_json::{Map, Value, json};

use super::prompt_tuning::{prompt_from_fields, prompt_tensor, prompt_to_fields};
use super::{Fields, HfPeft, HfTensor};
use crate::layout::Layout;
use crate::peft::dept::{Dept, Offsets};

/// The layout of the checkpoints that DePT's authors released, made with their own version of peft.
impl HfPeft for Dept {
    const TYPES: &'static [&'static str] = &["PROMPT_TUNING_LORA"];

    fn from_fields(fields: &mut Fields, layout: &Layout) -> Result<Option<Self>, String> {
        let default = Self::default();
        let prompt = prompt_from_fields(fields, layout, default.prompt)?;
        fields.expect("bias", "none")?;
        fields.expect("hidden_size", layout.d_model)?;
        for loaded in ["load_lora_embeddings", "load_lora_embedding_B"] {
            fields.expect(loaded, true)?;
        }
        fields.ignore(&["init_lora_weights", "save_lora_embeddings"]);
        Ok(Some(Self {
            prompt,
            rank: fields.size("r")?,
            max_length: fields.size("max_length")?,
            alpha: fields.number("lora_alpha")?,
            offsets: Offsets::Position,
            ..Self::default()
        }))
    }

    fn to_fields(&self, layout: &Layout) -> Result<Map<String, Value>, String> {
        if self.offsets != Offsets::Position {
            return Err("`offsets` must be \"position\" in the layout of DePT's authors".into());
        }
        let mut fields = prompt_to_fields(&self.prompt, layout);
        let more = json!({
            "r": self.rank,
            "lora_alpha": self.alpha,
            "max_length": self.max_length,
            "hidden_size": layout.d_model,
            "bias": "none",
            "load_lora_embeddings": true,
            "load_lora_embedding_B": true,
            "save_lora_embeddings": true,
        });
        fields.extend(more.as_object().cloned().unwrap_or_default());
        Ok(fields)
    }

    fn tensors(&self, layout: &Layout) -> Vec<HfTensor> {
        let offset = |part: &str, shape: &[usize; 2]| {
            HfTensor::new(format!("offset_{part}"), format!("prompt_encoder.lora_embedding_{part}"), shape)
        };
        let prompt = (self.prompt.length > 0).then(|| prompt_tensor(&self.prompt, layout));
        let mut tensors = Vec::from_iter(prompt);
        tensors.push(offset("A", &[self.max_length, self.rank]));
        tensors.push(offset("B", &[self.rank, layout.d_model]));
        tensors
    }
}

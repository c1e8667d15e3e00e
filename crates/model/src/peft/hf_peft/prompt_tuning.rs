use serde_json::{Map, Value, json};

use super::{Fields, HfPeft, HfTensor};
use crate::layout::{Layout, Stack};
use crate::peft::prompt_tuning::PromptTuning;
use crate::peft::{Prompt, prompt};

/// Of a soft prompt that a network made, peft keeps the prompt alone, so P-tuning's adapters are read too.
impl HfPeft for PromptTuning {
    const TYPES: &'static [&'static str] = &["PROMPT_TUNING", "P_TUNING"];

    fn from_fields(fields: &mut Fields, layout: &Layout) -> Result<Option<Self>, String> {
        let default = Self::default();
        let prompt = prompt_from_fields(fields, layout, default.prompt)?;
        fields.ignore(&[
            "encoder_dropout",
            "encoder_hidden_size",
            "encoder_num_layers",
            "encoder_reparameterization_type",
        ]);
        Ok(Some(Self { prompt, ..default }))
    }

    fn to_fields(&self, layout: &Layout) -> Result<Map<String, Value>, String> {
        if self.train_embeddings {
            return Err("`train_embeddings` has no counterpart in Python's peft".into());
        }
        Ok(prompt_to_fields(&self.prompt, layout))
    }

    fn tensors(&self, layout: &Layout) -> Vec<HfTensor> {
        vec![prompt_tensor(&self.prompt, layout)]
    }
}

/// A soft prompt before the encoder's input alone.
pub(super) fn prompt_from_fields(
    fields: &mut Fields,
    layout: &Layout,
    default: Prompt,
) -> Result<Prompt, String> {
    let submodules = fields.size("num_transformer_submodules")?;
    if submodules != 1 {
        return Err(format!(
            "`num_transformer_submodules` is {submodules}; only 1, a prompt before the encoder's input, is supported"
        ));
    }
    fields.expect("token_dim", layout.d_model)?;
    fields.ignore(&["num_attention_heads", "num_layers"]);
    fields.ignore(&["prompt_tuning_init", "prompt_tuning_init_text", "prompt_tuning_init_state_dict_path"]);
    Ok(Prompt { length: fields.size("num_virtual_tokens")?, ..default })
}

pub(super) fn prompt_to_fields(prompt: &Prompt, layout: &Layout) -> Map<String, Value> {
    let fields = json!({
        "num_virtual_tokens": prompt.length,
        "token_dim": layout.d_model,
        "num_transformer_submodules": 1,
        "num_layers": layout.layers(Stack::Encoder),
        "num_attention_heads": 1,
        "prompt_tuning_init": "RANDOM",
    });
    fields.as_object().cloned().unwrap_or_default()
}

pub(super) fn prompt_tensor(prompt: &Prompt, layout: &Layout) -> HfTensor {
    HfTensor::new(prompt::NAME, "prompt_embeddings", &[prompt.length, layout.d_model])
}

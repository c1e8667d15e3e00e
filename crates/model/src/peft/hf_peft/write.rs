use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};

use super::{CONFIG, TENSORS};
use crate::layout::Layout;
use crate::peft::{self, prompt_tuning};
use crate::{Error, Parameter, files};

/// Writes a soft prompt, row after row, as one that was tuned.
///
/// # Errors
/// When the folder cannot be written.
///
/// # Panics
/// When the prompt has no whole number of rows.
pub fn write_prompt(folder: &Path, prompt: Vec<f32>, layout: &Layout, base_model: &str) -> Result<(), Error> {
    assert_eq!(prompt.len() % layout.d_model, 0, "a prompt has rows of {} values", layout.d_model);
    let given = json!({ "prompt": { "length": prompt.len() / layout.d_model } });
    let tuned = prompt_tuning::REGISTERED.name;
    let built = peft::build(tuned, given.as_object().unwrap_or(&Map::new()))?;
    let declared = built
        .method
        .parameters(layout)
        .map_err(|problem| Error::InvalidSetting { method: tuned.into(), problem })?;
    write(folder, (tuned, &built.settings), layout, (&declared, &[prompt]), base_model)
}

/// Writes an adapter so that Python's peft loads it over `base_model`; `values` are those of the declared parameters.
///
/// # Errors
/// When peft has no such method or no counterpart of a setting, or the folder cannot be written.
pub fn write(
    folder: &Path,
    (name, settings): (&str, &Map<String, Value>),
    layout: &Layout,
    (declared, values): (&[Parameter], &[Vec<f32>]),
    base_model: &str,
) -> Result<(), Error> {
    let refused = |problem: String| Error::InvalidSetting { method: name.into(), problem };
    let without = || refused("Python's peft has no such method".into());
    let interchange = peft::find(name)?.hf_peft.ok_or_else(without)?;
    let settings = Value::Object(settings.clone());
    let mut fields = json!({
        "peft_type": interchange.types[0],
        "task_type": "SEQ_2_SEQ_LM",
        "base_model_name_or_path": base_model,
        "inference_mode": true,
    });
    crate::settings::merge(
        &mut fields,
        (interchange.to_fields)(settings.clone(), layout).map_err(refused)?.into(),
    );
    let tensors = (interchange.tensors)(settings, layout).map_err(refused)?;
    let mut held: BTreeMap<&str, (&[usize], Vec<f32>)> = BTreeMap::new();
    for tensor in &tensors {
        let own = declared.iter().position(|parameter| parameter.name == tensor.ours);
        let mut own = values[own.unwrap_or_else(|| panic!("no parameter `{}`", tensor.ours))].as_slice();
        let blank = || (&tensor.shape[..], vec![0.0; tensor.shape.iter().product()]);
        let (_, all) = held.entry(&tensor.theirs).or_insert_with(blank);
        for place in tensor.places(own.len()) {
            let (first, rest) = own.split_at(place.len());
            all[place].copy_from_slice(first);
            own = rest;
        }
    }
    let held = held.into_iter().map(|(name, (shape, values))| (name, shape, files::float_bytes(&values)));
    let held: Vec<(&str, &[usize], Vec<u8>)> = held.collect();
    let views = held.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes);
        (*name, view.expect("as many elements as the shape has"))
    });
    let path = folder.join(TENSORS);
    let metadata = [("format".to_string(), "pt".to_string())].into();
    safetensors::serialize_to_file(views, Some(metadata), &path)
        .map_err(|e| Error::Write { path, source: std::io::Error::other(e) })?;
    // The description comes last: a folder that has one is complete.
    let path = folder.join(CONFIG);
    std::fs::write(&path, format!("{fields:#}\n")).map_err(|source| Error::Write { path, source })
}

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{CONFIG, Fields, HfTensor, Interchange, TENSORS};
use crate::layout::Layout;
use crate::peft::{self, ConfiguredMethod, Registered};
use crate::weights::Checkpoint;
use crate::{Error, Init, Parameter, files};

/// No description of an adapter is larger.
const LARGEST_CONFIG: u64 = 1 << 20;

/// The field that names the backbone.
const BASE_MODEL: &str = "base_model_name_or_path";

/// What peft wrote before it wrote safetensors.
const PICKLED: &str = "adapter_model.bin";

/// An adapter that was read.
#[derive(Debug)]
pub struct HfAdapter {
    /// Name of the method.
    pub name: &'static str,
    /// The method.
    pub built: ConfiguredMethod,
    /// Its parameters on the model.
    pub declared: Vec<Parameter>,
    /// Their values, in this order.
    pub values: Vec<Vec<f32>>,
    /// The model that it was made for, as `adapter_config.json` names it.
    pub base_model: Option<String>,
    /// The revision of that model.
    pub revision: Option<String>,
}

/// Whether a folder holds an adapter in peft's layout.
pub fn is_hf_adapter(folder: &Path) -> bool {
    folder.join(CONFIG).exists()
}

/// Reads an adapter that peft made, for a backbone of this layout.
///
/// # Errors
/// When a file is missing or broken, a field asks for what no method here does, or the tensors are not exactly those of
/// the method on this backbone.
pub fn read(folder: &Path, layout: &Layout) -> Result<HfAdapter, Error> {
    let fields = description(folder)?;
    let (base_model, revision) = (text(&fields, BASE_MODEL), text(&fields, "revision"));
    let described = |problem: String| Error::Config { path: folder.join(CONFIG), problem };
    let (registered, interchange, settings) = method(fields, layout).map_err(described)?;
    let built = peft::build(registered.name, &settings)?;
    let declared = built.method.parameters(layout).map_err(described)?;
    let tensors = (interchange.tensors)(Value::Object(settings), layout).map_err(described)?;
    let values = values(&tensors_file(folder), &declared, &tensors)?;
    Ok(HfAdapter { name: registered.name, built, declared, values, base_model, revision })
}

/// The model that the adapter in a folder was made for, if that is told.
///
/// # Errors
/// When the description cannot be read.
pub fn base_model(folder: &Path) -> Result<Option<String>, Error> {
    Ok(text(&description(folder)?, BASE_MODEL))
}

fn description(folder: &Path) -> Result<Map<String, Value>, Error> {
    let path = folder.join(CONFIG);
    let text = files::read_text(&path, LARGEST_CONFIG)?;
    serde_json::from_str(&text).map_err(|e| Error::Config { path, problem: e.to_string() })
}

fn text(fields: &Map<String, Value>, key: &str) -> Option<String> {
    fields.get(key).and_then(Value::as_str).map(str::to_string)
}

/// The method that the fields describe, and its settings.
fn method(
    fields: Map<String, Value>,
    layout: &Layout,
) -> Result<(Registered, Interchange, Map<String, Value>), String> {
    let mut fields = Fields::new(fields);
    let kind = fields.take("peft_type").unwrap_or_default();
    let methods = peft::methods();
    let known = methods.iter().filter_map(|method| Some((*method, method.hf_peft?)));
    let of_kind: Vec<_> =
        known.clone().filter(|(_, interchange)| interchange.types.iter().any(|name| kind == *name)).collect();
    for (method, interchange) in &of_kind {
        let mut fields = fields.clone();
        if let Some(settings) = (interchange.from_fields)(&mut fields, layout)? {
            fields.finish()?;
            let Value::Object(settings) = settings else { unreachable!("a method is a struct") };
            return Ok((*method, *interchange, settings));
        }
    }
    if !of_kind.is_empty() {
        let names: Vec<&str> = of_kind.iter().map(|(method, _)| method.name).collect();
        return Err(format!(
            "`peft_type` is {kind}, but its switches (`use_...`) together describe none of {}",
            names.join(", ")
        ));
    }
    let mut types: Vec<&str> = known.flat_map(|(_, interchange)| interchange.types).copied().collect();
    types.sort_unstable();
    types.dedup();
    Err(format!("`peft_type` is {kind}; it must be one of {}", types.join(", ")))
}

fn tensors_file(folder: &Path) -> PathBuf {
    let safetensors = folder.join(TENSORS);
    match !safetensors.exists() && folder.join(PICKLED).exists() {
        true => folder.join(PICKLED),
        false => safetensors,
    }
}

/// The values of each declared parameter; every tensor of the file is one of them.
fn values(path: &Path, declared: &[Parameter], tensors: &[HfTensor]) -> Result<Vec<Vec<f32>>, Error> {
    let wrong = |problem: String| Error::Adapter { path: path.into(), problem };
    let file = Checkpoint::open_file(path.into())?;
    if let Some(name) = file.names().find(|name| tensors.iter().all(|tensor| tensor.theirs != *name)) {
        return Err(wrong(format!(
            "tensor `{name}` belongs to nothing that {CONFIG} asks for on this model"
        )));
    }
    let value = |parameter: &Parameter| {
        let Some(tensor) = tensors.iter().find(|tensor| tensor.ours == parameter.name) else {
            assert!(!parameter.trains && matches!(parameter.init, Init::Zeros), "`{}`", parameter.name);
            return Ok(vec![0.0; parameter.len()]);
        };
        let HfTensor { theirs, shape, .. } = tensor;
        let held = file.read(theirs, shape).map_err(|error| match error {
            Error::MissingTensor { .. } => {
                wrong(format!("tensor `{theirs}` is missing; {CONFIG} asks for it"))
            }
            Error::WrongShape { found, .. } => wrong(format!(
                "tensor `{theirs}` has shape {found:?}, but {CONFIG} asks for {shape:?} on this model"
            )),
            other => other,
        })?;
        let places = tensor.places(parameter.len()).into_iter();
        Ok(places.flat_map(|place| held[place].iter().copied()).collect())
    };
    declared.iter().map(value).collect()
}

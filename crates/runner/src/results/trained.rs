use std::path::Path;

use burn::tensor::{DType, Device};
use peft_model::layout::Layout;
use peft_model::peft::ConfiguredMethod;
use peft_model::peft::hf_peft::{self, HfAdapter};
use peft_model::{Parameter, Parameters};

use super::adapter::{self, AdapterError};

/// A trained method out of a folder: one that this program wrote, or one in the layout of Python's peft.
#[derive(Debug)]
pub struct Trained {
    pub method: String,
    pub built: ConfiguredMethod,
    /// Its parameters on the backbone that it was read for.
    pub declared: Vec<Parameter>,
    /// Their values, in this order.
    pub values: Vec<Vec<f32>>,
    /// The backbone that it was trained over, as far as the folder says.
    pub model: Option<String>,
    pub revision: Option<String>,
}

impl Trained {
    /// Reads an adapter and builds its method for a backbone.
    ///
    /// # Errors
    /// When a file is missing or broken, asks for what no method does, or the tensors do not fit the backbone.
    pub fn read(folder: &Path, layout: &Layout) -> Result<Self, AdapterError> {
        match (adapter::is_adapter(folder), hf_peft::is_hf_adapter(folder)) {
            (true, true) => {
                let problem = "it holds two adapters, adapter.json and adapter_config.json; keep one of them";
                Err(AdapterError::Unreadable { path: folder.into(), problem: problem.into() })
            }
            (false, true) => {
                let HfAdapter { name, built, declared, values, base_model, revision } =
                    hf_peft::read(folder, layout)?;
                Ok(Self { method: name.into(), built, declared, values, model: base_model, revision })
            }
            (_, false) => adapter::read(folder, layout),
        }
    }

    /// The backbone that the adapter in a folder was trained over, if that is told there.
    ///
    /// # Errors
    /// When its description cannot be read.
    pub fn backbone_of(folder: &Path) -> Result<Option<String>, AdapterError> {
        match hf_peft::is_hf_adapter(folder) {
            true => Ok(hf_peft::base_model(folder)?),
            false => adapter::backbone_of(folder).map(Some),
        }
    }

    /// The backbone that it was trained over, if the folder names one and it is not this one.
    pub fn other_backbone(&self, id: &str, revision: &str) -> Option<String> {
        let Self { model, revision: trained_on, .. } = self;
        match (model, trained_on) {
            (_, Some(own)) if own == revision => None,
            (Some(model), Some(own)) => Some(format!("{model} ({own})")),
            (Some(model), None) if model == id => None,
            (Some(model), None) => Some(model.clone()),
            (None, own) => own.clone(),
        }
    }

    /// Its tensors on a device, as those of one run.
    pub fn parameters(&self, device: &Device, dtype: DType) -> Parameters {
        Parameters::from_host(self.declared.clone(), &[&self.values], device, dtype)
    }
}

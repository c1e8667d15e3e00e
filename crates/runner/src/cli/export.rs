use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use burn::tensor::{DType, Device};
use clap::{Args, ValueEnum};
use peft_model::peft::{self, hf_peft};
use peft_model::{Adaptation, adapter};

use super::adapter::backbone;
use super::choice::DEFAULT_SUITE;
use super::fetch::Fetch;
use super::output;
use crate::hub::{Hub, Progress};
use crate::model::{self, Model, Precision};
use crate::results::Trained;

#[derive(Debug, Args)]
#[command(after_help = super::examples::EXPORT)]
pub(super) struct Export {
    /// Folder of a trained adapter, such as results/pocket/adapters/CELL, or the file of its cell
    adapter: PathBuf,
    /// Folder that is written; it must be new or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Layout of what is written
    #[arg(long, value_enum, default_value_t)]
    format: ExportFormat,
    /// Merge the adapter into its backbone's weights, and write a model that transformers loads; of ADePT, whose offsets
    /// become the encoder's own embedding table, that table and the prompt are written beside the backbone
    #[arg(long, conflicts_with = "format")]
    merge: bool,
    /// Backbone of the adapter: a folder or a hub id [default: the one it was trained on]
    #[arg(long, value_name = "DIR_OR_HUB_ID")]
    model: Option<String>,
}

/// Name of the file that holds the encoder's own embedding table and a soft prompt.
const ENCODER_INPUTS: &str = "encoder_inputs.safetensors";

/// Layouts that other programs read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ExportFormat {
    /// adapter_config.json and adapter_model.safetensors, which Python's peft loads
    #[default]
    HfPeft,
}

impl Export {
    /// The `fetch` command for the model, if the command line names it.
    pub(super) fn fetch(&self) -> Option<String> {
        self.model.as_ref().map(|model| Fetch::command(Some(DEFAULT_SUITE), &[], Some(model)))
    }

    pub(super) fn execute(self) -> Result<ExitCode> {
        let folder = folder(&self.adapter);
        make_empty(&self.out)?;
        let hub = Hub::from_env(Progress::detect())?;
        let name = backbone(&folder, self.model.as_deref())?;
        if self.merge {
            return self.merged(&folder, &name, &hub);
        }
        match self.format {
            ExportFormat::HfPeft => self.for_peft(&folder, &name, &hub),
        }
    }

    /// Writes the adapter, or the prompt that it comes down to, for Python's peft.
    fn for_peft(&self, folder: &Path, name: &str, hub: &Hub) -> Result<ExitCode> {
        let config = model::config(name, hub)?;
        let layout = config.layout();
        let trained = Trained::read(folder, layout)?;
        let Trained { method, built, declared, values, .. } = &trained;
        match peft::find(method)?.hf_peft {
            Some(_) => {
                hf_peft::write(&self.out, (method, &built.settings), layout, (declared, values), name)?;
            }
            None => match prompt(&trained, name, hub)? {
                Some(prompt) => hf_peft::write_prompt(&self.out, prompt, layout, name)?,
                None => bail!(
                    "{}: {method}: Python's peft has no such method; docs/load_adapter.py shows how its tensors are \
                     named",
                    folder.display()
                ),
            },
        }
        let out = self.out.display().to_string();
        output::line(format_args!(
            "{out}: `PeftModel.from_pretrained(model, {out:?})` loads it over {name}"
        ))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Writes the backbone with the adapter in its weights.
    fn merged(&self, folder: &Path, name: &str, hub: &Hub) -> Result<ExitCode> {
        let model = Model::open(name, hub, &Device::flex(), Precision::F32)?;
        let backbone = &model.backbone;
        let trained = Trained::read(folder, backbone.layout())?;
        if let Some(other) = trained.other_backbone(&model.id, &model.revision) {
            bail!(
                "{}: the adapter was trained on {other}, and cannot be merged into {} ({})",
                folder.display(),
                model.id,
                model.revision
            );
        }
        let parameters = trained.parameters(backbone.device(), backbone.dtype());
        let adaptation = Adaptation::new(trained.built.method.as_ref(), &parameters);
        match backbone.folded(&adaptation) {
            Some((_, folded)) => {
                backbone.save(&self.out, DType::F32)?;
                adapter::save(&folded, 0, &self.out.join(ENCODER_INPUTS))?;
            }
            None => {
                let merged = backbone.merged(&adaptation).map_err(|why| {
                    anyhow!("{}: {} cannot be merged: {why}", folder.display(), trained.method)
                })?;
                backbone.configuration().build(merged).save(&self.out, DType::F32)?;
            }
        }
        let (_, tokenizer) = model::tokenizer_file(name, hub)?;
        let path = self.out.join("tokenizer.json");
        std::fs::write(&path, tokenizer).with_context(|| format!("cannot write {}", path.display()))?;
        output::line(format_args!("{}: {name} with {} merged into it", self.out.display(), trained.method))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The soft prompt that a method comes down to, which its backbone's weights may be needed for.
fn prompt(trained: &Trained, name: &str, hub: &Hub) -> Result<Option<Vec<f32>>> {
    let model = Model::open(name, hub, &Device::flex(), Precision::F32)?;
    let parameters = trained.parameters(model.backbone.device(), model.backbone.dtype());
    Ok(model.backbone.as_prompt(&Adaptation::new(trained.built.method.as_ref(), &parameters)))
}

/// The adapter's folder where the file of a cell is given: they are neighbors.
fn folder(given: &Path) -> PathBuf {
    let results = given.parent().filter(|cells| cells.ends_with("cells")).and_then(Path::parent);
    match (given.is_file(), results, given.file_stem()) {
        (true, Some(results), Some(id)) => results.join("adapters").join(id),
        _ => given.into(),
    }
}

/// Makes a folder, or refuses one that holds something.
fn make_empty(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut entries = folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))?;
    if entries.next().is_some() {
        bail!("--out {}: the folder is not empty", folder.display());
    }
    Ok(())
}

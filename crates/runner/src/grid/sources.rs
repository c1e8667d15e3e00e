//! What cells start from: the sources of their method, or one adapter for all.

use std::path::Path;

use anyhow::{Context, Result, bail};
use burn::tensor::{DType, Device};

use super::instance::Instance;
use crate::model::ModelFiles;
use crate::results::{CellStatus, Origin, Record, Role, Store, Trained};
use crate::terminal::progress::say;
use crate::train::Start;

/// A cell that others start from.
#[derive(Debug, Clone)]
pub(super) struct SourceCell {
    pub id: String,
    /// `prompt-tuning on mnli, seed 42`
    pub title: String,
}

/// What trainings start from, and what their records say of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Beginning {
    pub start: Start,
    pub origins: Vec<Origin>,
    /// The result of the training, where nothing is left but to score it.
    pub trained: Option<Box<Record>>,
}

/// How far the sources of a training are.
pub(super) enum Found {
    Ready(Beginning),
    /// Nobody has computed this cell yet.
    Missing(String),
    /// One of them came to nothing, for this reason.
    Failed(String),
}

/// Loads the adapters that sources have left.
///
/// # Errors
/// When a result is there and cannot be read.
pub(super) fn load(sources: &[SourceCell], model: &ModelFiles, store: &Store) -> Result<Found> {
    let (mut tensors, mut origins) = (Vec::new(), Vec::new());
    for source in sources {
        match source.result(Role::Source, model, store)? {
            Ok((_, trained, origin)) => {
                tensors.push(trained.parameters(&Device::flex(), DType::F32).to_source());
                origins.push(origin);
            }
            Err(found) => return Ok(found),
        }
    }
    Ok(Found::Ready(Beginning { start: Start::Sources(tensors), origins, trained: None }))
}

/// Loads what a training has come to, to be scored as it is.
///
/// # Errors
/// When its result is there and cannot be read.
pub(super) fn load_to_score(source: &SourceCell, model: &ModelFiles, store: &Store) -> Result<Found> {
    Ok(match source.result(Role::Scored, model, store)? {
        Ok((record, trained, origin)) => {
            let step = record.best_step.unwrap_or_default();
            let start = Start::Trained { values: trained.values, step };
            // What it started from, it has learned from, too.
            let origins = [vec![origin], record.started_from.clone()].concat();
            Found::Ready(Beginning { start, origins, trained: Some(Box::new(record)) })
        }
        Err(found) => found,
    })
}

impl SourceCell {
    /// Its title and its id.
    pub(super) fn described(&self) -> String {
        format!("{} (cell {})", self.title, self.id)
    }

    /// Its record and its adapter, or why there are none.
    fn result(
        &self,
        role: Role,
        model: &ModelFiles,
        store: &Store,
    ) -> Result<Result<(Record, Trained, Origin), Found>> {
        let failed = |problem: String| Found::Failed(format!("its source {}: {problem}", self.described()));
        let Some(record) = store.read(&self.id)? else { return Ok(Err(Found::Missing(self.id.clone()))) };
        if let CellStatus::Diverged(problem) = &record.status {
            return Ok(Err(failed(format!("diverged: {problem}"))));
        }
        Ok(match self.adapter(role, &store.adapter_folder(&self.id), model) {
            Ok((trained, origin)) => Ok((record, trained, origin)),
            Err(problem) => {
                Err(failed(format!("{problem:#}; remove cells/{}.parquet to train it again", self.id)))
            }
        })
    }

    fn adapter(&self, role: Role, folder: &Path, model: &ModelFiles) -> Result<(Trained, Origin)> {
        let trained = Trained::read(folder, model.config.layout())?;
        let origin = Origin::read(role, &trained.method, folder)?;
        if let Some(other) = origin.cell.as_ref().filter(|cell| **cell != self.id) {
            bail!("{}: the adapter is of cell {other}", folder.display());
        }
        Ok((trained, origin))
    }
}

/// The adapter that all cells of a run start from.
#[derive(Debug)]
pub(super) struct InitFrom {
    beginning: Beginning,
    /// As the user named it.
    folder: String,
    method: String,
    settings: serde_json::Map<String, serde_json::Value>,
    /// Names and shapes of its tensors, in the order of the method's parameters.
    tensors: Vec<(String, Vec<usize>)>,
}

impl InitFrom {
    /// Loads an adapter for a model.
    ///
    /// # Errors
    /// When it cannot be read, or does not fit the model.
    pub(super) fn load(folder: &Path, model: &ModelFiles) -> Result<Self> {
        let trained = Trained::read(folder, model.config.layout()).context("--init-from")?;
        if let Some(other) = trained.other_backbone(&model.id, &model.revision) {
            let (folder, revision) = (folder.display(), &model.revision);
            say!(
                "note: --init-from: the adapter in {folder} was trained on {other}, not on this backbone ({revision})"
            );
        }
        let origin = Origin::read(Role::InitFrom, &trained.method, folder).context("--init-from")?;
        let Trained { method, built, declared, values, .. } = trained;
        Ok(Self {
            beginning: Beginning { start: Start::Values(values), origins: vec![origin], trained: None },
            folder: folder.display().to_string(),
            tensors: declared.into_iter().map(|parameter| (parameter.name, parameter.shape)).collect(),
            method,
            settings: built.settings,
        })
    }

    /// What a training of a method starts from.
    pub(super) fn beginning(&self) -> &Beginning {
        &self.beginning
    }

    /// SHA-256 of its tensors, which is part of what a cell is.
    pub(super) fn sha256(&self) -> &str {
        &self.beginning.origins[0].sha256
    }

    /// Refuses a method whose tensors are others, and says which of its settings are.
    ///
    /// # Errors
    /// The message names the tensor.
    pub(super) fn check(&self, instance: &Instance, model: &ModelFiles) -> Result<()> {
        let (folder, name) = (&self.folder, &instance.name);
        if instance.method != self.method {
            bail!(
                "--init-from {folder}: it is an adapter of `{}`, and `{name}` runs too, which is `{}`; choose methods \
                 with --method",
                self.method,
                instance.method
            );
        }
        if !instance.built.method.sources().is_empty() {
            bail!(
                "--init-from {folder}: `{name}` starts from its sources; it cannot start from an adapter too"
            );
        }
        let wrong = |problem: String| anyhow::anyhow!("methods.{name}: {problem}");
        let declared = instance.built.method.parameters(model.config.layout()).map_err(wrong)?;
        for parameter in &declared {
            match self.tensors.iter().find(|(tensor, _)| *tensor == parameter.name) {
                Some((_, shape)) if *shape == parameter.shape => {}
                Some((tensor, shape)) => bail!(
                    "--init-from {folder}: tensor `{tensor}` is {shape:?}, but that of `{name}` is {:?}; give `{name}` \
                     the settings of the adapter",
                    parameter.shape
                ),
                None => {
                    bail!("--init-from {folder}: it has no tensor `{}`, which `{name}` has", parameter.name)
                }
            }
        }
        if let Some((tensor, _)) = self.tensors.iter().find(|(t, _)| declared.iter().all(|p| p.name != *t)) {
            bail!("--init-from {folder}: it has a tensor `{tensor}`, which `{name}` does not have");
        }
        for (key, value) in &instance.built.settings {
            if let Some(other) = self.settings.get(key).filter(|other| *other != value) {
                say!(
                    "note: --init-from {folder}: it was trained with `{key}` = {other}, and `{name}` has {value}"
                );
            }
        }
        Ok(())
    }
}

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use burn::tensor::Device;
use peft_model::device::is_host;
use peft_model::layout::{Layout, Stack};
use peft_model::{Backbone, Configuration, families};

use super::embedded::EmbeddedModel;
use super::error::ModelError;
use super::parts::{config, read_tokenizer, tokenizer_file};
use super::place::{Place, RANDOM};
use super::precision::Precision;
use crate::files::digest::Digest;
use crate::host::memory::{self, TooLarge};
use crate::hub::{Fetched, Hub, HubError, Repo};
use crate::tokenizer::{Tokenizer, TokenizerError};

/// A model whose weights are not loaded yet: all that must be known of it before anything trains.
#[derive(Debug)]
pub struct ModelFiles {
    /// As the user named it.
    pub id: String,
    /// Commit on the hub, or a digest of the weights.
    pub revision: String,
    pub config: Arc<dyn Configuration>,
    pub tokenizer: Tokenizer,
    weights: Weights,
    digest: OnceLock<String>,
}

#[derive(Debug)]
enum Weights {
    Folder(PathBuf),
    Embedded(EmbeddedModel),
    Random,
}

/// Seed of random weights.
const RANDOM_SEED: u64 = 42;

impl ModelFiles {
    /// Finds a folder in the hub's layout, an embedded model, or one of the hub, in this order; with `@random` after
    /// its name, it keeps its shape but not its weights.
    ///
    /// # Errors
    /// When files are missing, or the configuration or the tokenizer is broken.
    pub fn find(id: &str, hub: &Hub) -> Result<Self, ModelError> {
        Self::place(id, hub, Hub::model_files)
    }

    /// Like [`ModelFiles::find`], for what needs no weights: those of a model on the hub are not fetched.
    ///
    /// # Errors
    /// When files are missing, or the configuration or the tokenizer is broken.
    pub fn without_weights(id: &str, hub: &Hub) -> Result<Self, ModelError> {
        Self::place(id, hub, Hub::model_shape)
    }

    fn place(
        id: &str,
        hub: &Hub,
        fetch: fn(&Hub, &Repo) -> Result<Fetched, HubError>,
    ) -> Result<Self, ModelError> {
        if id.ends_with(RANDOM) {
            return Self::random(id, hub);
        }
        match Place::of(id) {
            Place::Folder(folder) => Self::in_folder(id, digest(&folder)?, folder),
            Place::Embedded(files) => Self::embedded(id, files),
            Place::Hub => {
                let files = fetch(hub, &Repo::model(id))?;
                Self::in_folder(id, files.commit, files.folder)
            }
        }
    }

    /// A model that the program carries, whatever folders there are.
    pub fn built_in(name: &str) -> Option<Result<Self, ModelError>> {
        EmbeddedModel::find(name).map(|files| Self::embedded(name, files))
    }

    /// The shape and the tokenizer of a model, whose weights need not exist.
    fn random(id: &str, hub: &Hub) -> Result<Self, ModelError> {
        let (config, (path, bytes)) = (config(id, hub)?, tokenizer_file(id, hub)?);
        let tokenizer = tokenizer_for(config.as_ref(), &bytes, &path)?;
        let digest = short(Digest::of(config.fields().to_string()).and(tokenizer.digest()));
        let revision = format!("random weights, seed {RANDOM_SEED}, {digest}");
        Ok(Self {
            id: id.into(),
            revision,
            config,
            tokenizer,
            weights: Weights::Random,
            digest: OnceLock::new(),
        })
    }

    fn embedded(id: &str, files: EmbeddedModel) -> Result<Self, ModelError> {
        let config = files.config()?;
        let path = files.folder.join("tokenizer.json");
        let tokenizer = tokenizer_for(config.as_ref(), files.tokenizer, &path)?;
        let revision = short(Digest::of(files.config).and(files.weights).and(files.tokenizer));
        Ok(Self {
            id: id.into(),
            revision,
            config,
            tokenizer,
            weights: Weights::Embedded(files),
            digest: OnceLock::new(),
        })
    }

    fn in_folder(id: &str, revision: String, folder: PathBuf) -> Result<Self, ModelError> {
        let config = families::configuration(&folder)?;
        let (path, bytes) = read_tokenizer(folder.join("tokenizer.json"))?;
        let tokenizer = tokenizer_for(config.as_ref(), &bytes, &path)?;
        Ok(Self {
            id: id.into(),
            revision,
            config,
            tokenizer,
            weights: Weights::Folder(folder),
            digest: OnceLock::new(),
        })
    }

    /// Draws weights, for what does not depend on them.
    ///
    /// # Errors
    /// When they do not fit into memory.
    pub fn random_weights(
        &self,
        device: &Device,
        precision: Precision,
    ) -> Result<Box<dyn Backbone>, ModelError> {
        if is_host(device) {
            self.ensure_memory()?;
        }
        Ok(self.config.random(RANDOM_SEED, device, precision.dtype()))
    }

    /// Loads the weights, or draws them. What the files hold and the model does not use is said on standard error.
    ///
    /// # Errors
    /// When they are missing or broken, do not fit the configuration, or do not fit into memory.
    pub fn load(&self, device: &Device, precision: Precision) -> Result<Box<dyn Backbone>, ModelError> {
        if is_host(device) {
            self.ensure_memory()?;
        }
        let dtype = precision.dtype();
        let backbone = match &self.weights {
            Weights::Random => self.config.random(RANDOM_SEED, device, dtype),
            Weights::Folder(folder) => self.config.load(folder, device, dtype)?,
            Weights::Embedded(files) => {
                let name = files.folder.join("model.safetensors").display().to_string();
                self.config.read_safetensors(files.weights, &name, device, dtype)?
            }
        };
        for note in backbone.weights().notes() {
            crate::terminal::progress::say!("note: {note}");
        }
        Ok(backbone)
    }

    /// SHA-256 of the files that hold the weights; of random ones, what they are drawn from.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn weights_digest(&self) -> Result<String, ModelError> {
        if let Some(known) = self.digest.get() {
            return Ok(known.clone());
        }
        let digest = match &self.weights {
            Weights::Random => self.revision.clone(),
            Weights::Embedded(files) => format!("sha256:{}", Digest::of(files.weights).hex()),
            Weights::Folder(folder) => format!("sha256:{}", digest_of(&files(folder, is_weights)?)?.hex()),
        };
        Ok(self.digest.get_or_init(|| digest).clone())
    }

    /// Refuses weights that do not fit into memory.
    fn ensure_memory(&self) -> Result<(), TooLarge> {
        let name = match &self.weights {
            Weights::Folder(folder) => folder.display().to_string(),
            Weights::Embedded(_) | Weights::Random => self.id.clone(),
        };
        let weights = || {
            let layout = self.config.layout();
            let Layout { vocab_size, d_model, d_ff, inner_dim, .. } = layout;
            let [encoder, decoder] = [Stack::Encoder, Stack::Decoder].map(|stack| layout.layers(stack));
            format!(
                "{name}: the weights that config.json asks for (`vocab_size` {vocab_size}, `d_model` {d_model}, `d_ff` \
                 {d_ff}, `num_heads` x `d_kv` {inner_dim}, layers {})",
                encoder + decoder
            )
        };
        memory::ensure(weights, memory::floats(&[self.config.layout().num_parameters()]))
    }
}

/// The tokenizer that belongs to a configuration.
fn tokenizer_for(config: &dyn Configuration, bytes: &[u8], path: &Path) -> Result<Tokenizer, TokenizerError> {
    let Layout { tokens, vocab_size, .. } = config.layout();
    Tokenizer::from_bytes(bytes, path, tokens.eos, *vocab_size)
}

/// SHA-256 over the configuration, the tokenizer and the weights of a local folder, shortened.
fn digest(folder: &Path) -> Result<String, ModelError> {
    let is_described =
        |name: &str| ["config.json", "generation_config.json", "tokenizer.json"].contains(&name);
    Ok(short(digest_of(&files(folder, |name| is_described(name) || is_weights(name))?)?))
}

/// Whether a file of this name holds weights, or says where they are.
fn is_weights(name: &str) -> bool {
    name.ends_with(".safetensors") || name.ends_with(".index.json") || name.starts_with("pytorch_model")
}

/// The files of a folder with such names, in order.
fn files(folder: &Path, has_name: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, peft_model::Error> {
    let entries = std::fs::read_dir(folder)
        .map_err(|source| peft_model::Error::Read { path: folder.into(), source })?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    // A pipe would block; what needs it says so.
    files.retain(|path| has_name(&path.file_name().unwrap_or_default().to_string_lossy()) && path.is_file());
    files.sort();
    Ok(files)
}

/// SHA-256 over files, one after the other.
fn digest_of(files: &[PathBuf]) -> Result<Digest, peft_model::Error> {
    files.iter().try_fold(Digest::default(), |digest, path| {
        digest.and_file(path).map_err(|source| peft_model::Error::Read { path: path.clone(), source })
    })
}

fn short(digest: Digest) -> String {
    format!("sha256:{}", digest.short())
}

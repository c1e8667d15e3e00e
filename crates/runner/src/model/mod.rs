//! A backbone with its tokenizer: embedded, from a folder, or from the hub.

pub mod footprint;

use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device};
use peft_model::files;
use peft_model::t5::{Backbone, T5Config};

use crate::files::digest::Digest;
use crate::files::embedded;
use crate::host::device::is_host;
use crate::host::memory::{self, TooLarge};
use crate::hub::{Fetched, Hub, HubError, Repo};
use crate::tokenizer::{Tokenizer, TokenizerError};

/// What can go wrong when a model is opened.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("{0}")]
    Hub(#[from] HubError),
    #[error(transparent)]
    Weights(#[from] peft_model::Error),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// A pretrained model.
#[derive(Debug)]
pub struct Model {
    /// As the user named it.
    pub id: String,
    /// Commit on the hub, or a digest of the weights.
    pub revision: String,
    pub backbone: Backbone,
    pub tokenizer: Tokenizer,
}

/// After a model's name: its shape and tokenizer, but weights drawn at random.
const RANDOM: &str = "@random";

/// Seed of random weights.
const RANDOM_SEED: u64 = 42;

impl Model {
    /// Opens a folder in the hub's layout, an embedded model, or one of the hub, in this order; with
    /// `@random` after its name, it keeps its shape but not its weights.
    ///
    /// What the files hold and the model does not use is said on standard error.
    ///
    /// # Errors
    /// When files are missing or broken, or do not fit each other.
    pub fn open(id: &str, hub: &Hub, device: &Device) -> Result<Self, ModelError> {
        let model = Self::open_silently(id, hub, device)?;
        for note in model.backbone.notes() {
            crate::progress::say!("note: {note}");
        }
        Ok(model)
    }

    fn open_silently(id: &str, hub: &Hub, device: &Device) -> Result<Self, ModelError> {
        if id.ends_with(RANDOM) {
            return Self::random(id, hub, device);
        }
        match Place::of(id) {
            Place::Folder(folder) => Self::read(id, digest(&folder)?, &folder, device),
            Place::Embedded(files) => files.open(id, device),
            Place::Hub => {
                let files = hub.model_files(&Repo::model(id))?;
                Self::read(id, files.commit, &files.folder, device)
            }
        }
    }

    /// The shape and the tokenizer of a model, whose weights need not exist.
    fn random(id: &str, hub: &Hub, device: &Device) -> Result<Self, ModelError> {
        let (config, (path, bytes)) = (config(id, hub)?, tokenizer_file(id, hub)?);
        let tokenizer = Tokenizer::from_bytes(&bytes, &path, config.eos_token_id, config.vocab_size)?;
        ensure_memory(id, &config, device)?;
        let shape = serde_json::to_string(&config).expect("plain data serialises");
        Ok(Self {
            id: id.into(),
            revision: format!(
                "random weights, seed {RANDOM_SEED}, {}",
                short(Digest::of(shape).and(tokenizer.digest()))
            ),
            backbone: Backbone::random(&config, RANDOM_SEED, device),
            tokenizer,
        })
    }

    fn read(id: &str, revision: String, folder: &Path, device: &Device) -> Result<Self, ModelError> {
        let config = T5Config::from_folder(folder)?;
        ensure_memory(&folder.display().to_string(), &config, device)?;
        let backbone = Backbone::load(folder, device, DType::F32)?;
        let config = backbone.config();
        let (path, bytes) = read_tokenizer(folder.join("tokenizer.json"))?;
        let tokenizer = Tokenizer::from_bytes(&bytes, &path, config.eos_token_id, config.vocab_size)?;
        Ok(Self { id: id.into(), revision, backbone, tokenizer })
    }
}

/// Refuses a model whose weights do not fit into memory.
fn ensure_memory(name: &str, config: &T5Config, device: &Device) -> Result<(), TooLarge> {
    if !is_host(device) {
        return Ok(());
    }
    let weights = || {
        let T5Config { vocab_size, d_model, d_ff, num_layers, .. } = config;
        format!(
            "{name}: the weights that config.json asks for (`vocab_size` {vocab_size}, `d_model` {d_model}, `d_ff` \
             {d_ff}, `num_heads` x `d_kv` {}, `num_layers` {num_layers})",
            config.inner_dim()
        )
    };
    memory::ensure(weights, memory::floats(&[Backbone::num_parameters(config)]))
}

/// Fetches a model's files, without the weights where they are drawn at random; none if it is not on the hub.
///
/// # Errors
/// When the hub lacks some of them, or they cannot be had.
pub fn fetch(id: &str, hub: &Hub) -> Result<Option<Fetched>, HubError> {
    let name = shape(id);
    match Place::of(name) {
        Place::Hub if name == id => hub.model_files(&Repo::model(name)).map(Some),
        Place::Hub => hub.model_shape(&Repo::model(name)).map(Some),
        Place::Folder(_) | Place::Embedded(_) => Ok(None),
    }
}

/// Reads a model's tokenizer without its weights.
///
/// # Errors
/// When there is no readable `tokenizer.json`.
pub fn tokenizer(id: &str, hub: &Hub) -> Result<Tokenizer, ModelError> {
    let (path, bytes) = tokenizer_file(id, hub)?;
    Ok(Tokenizer::from_bytes(&bytes, &path, T5Config::t5_base().eos_token_id, usize::MAX)?)
}

/// The model whose shape and tokenizer a model has: another one where its weights are random.
fn shape(id: &str) -> &str {
    id.strip_suffix(RANDOM).filter(|name| !name.is_empty()).unwrap_or(id)
}

/// Where a model's `tokenizer.json` is, and its bytes.
///
/// # Errors
/// When there is none.
pub fn tokenizer_file(id: &str, hub: &Hub) -> Result<(PathBuf, Vec<u8>), ModelError> {
    let name = shape(id);
    let path = match Place::of(name) {
        Place::Folder(folder) => folder.join("tokenizer.json"),
        Place::Embedded(files) => return Ok((files.folder.join("tokenizer.json"), files.tokenizer.to_vec())),
        Place::Hub => hub.model_tokenizer(&Repo::model(name))?,
    };
    read_tokenizer(path)
}

/// No tokenizer is larger.
const LARGEST_TOKENIZER: u64 = 256 << 20;

fn read_tokenizer(path: PathBuf) -> Result<(PathBuf, Vec<u8>), ModelError> {
    let bytes = files::read(&path, LARGEST_TOKENIZER)?;
    Ok((path, bytes))
}

/// Reads a model's configuration without its weights.
///
/// # Errors
/// When there is no readable `config.json`.
pub fn config(id: &str, hub: &Hub) -> Result<T5Config, ModelError> {
    let name = shape(id);
    match Place::of(name) {
        Place::Folder(folder) => Ok(T5Config::from_folder(&folder)?),
        Place::Embedded(files) => Ok(files.config()?),
        Place::Hub => {
            let path = hub.model_config(&Repo::model(name))?;
            Ok(T5Config::from_folder(path.parent().unwrap_or(&path))?)
        }
    }
}

enum Place {
    Folder(PathBuf),
    Embedded(EmbeddedModel),
    Hub,
}

impl Place {
    fn of(name: &str) -> Self {
        match (Path::new(name).is_dir(), EmbeddedModel::find(name)) {
            (true, _) => Self::Folder(name.into()),
            (false, Some(files)) => Self::Embedded(files),
            (false, None) => Self::Hub,
        }
    }
}

/// The files of a model that the program carries with it.
struct EmbeddedModel {
    folder: PathBuf,
    config: &'static str,
    weights: &'static [u8],
    tokenizer: &'static [u8],
}

impl EmbeddedModel {
    fn find(name: &str) -> Option<Self> {
        let folder = format!("models/{name}");
        Some(Self {
            config: embedded::text(&format!("{folder}/config.json"))?,
            weights: embedded::bytes(&format!("{folder}/model.safetensors"))?,
            tokenizer: embedded::bytes(&format!("{folder}/tokenizer.json"))?,
            folder: Path::new("datasets").join(folder),
        })
    }

    fn config(&self) -> Result<T5Config, peft_model::Error> {
        let path = self.folder.join("config.json");
        T5Config::from_json(self.config).map_err(|problem| peft_model::Error::Config { path, problem })
    }

    fn open(&self, id: &str, device: &Device) -> Result<Model, ModelError> {
        let name = self.folder.join("model.safetensors").display().to_string();
        let backbone = Backbone::from_safetensors(self.config()?, self.weights, &name, device, DType::F32)?;
        let (eos, vocabulary) = (backbone.config().eos_token_id, backbone.config().vocab_size);
        let path = self.folder.join("tokenizer.json");
        let tokenizer = Tokenizer::from_bytes(self.tokenizer, &path, eos, vocabulary)?;
        let digest = Digest::of(self.config).and(self.weights).and(self.tokenizer);
        Ok(Model { id: id.into(), revision: short(digest), backbone, tokenizer })
    }
}

/// SHA-256 over the configuration, the tokenizer and the weights of a local folder, shortened.
fn digest(folder: &Path) -> Result<String, ModelError> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(|source| peft_model::Error::Read { path: folder.into(), source })?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let named = ["config.json", "generation_config.json", "tokenizer.json"].contains(&name.as_str());
            let weights = name.ends_with(".safetensors") || name.ends_with(".index.json");
            let weights = weights || name.starts_with("pytorch_model");
            // A pipe would block; what needs it says so.
            (named || weights) && path.is_file()
        })
        .collect();
    files.sort();
    let digest = files.into_iter().try_fold(Digest::default(), |digest, path| {
        digest.and_file(&path).map_err(|source| peft_model::Error::Read { path, source })
    });
    Ok(short(digest?))
}

fn short(digest: Digest) -> String {
    format!("sha256:{}", digest.short())
}

//! Makes a backbone of a model folder in the hub's layout.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::checkpoint::{Checkpoint, unreadable};
use super::config_file::other_decoding;
use super::{Backbone, Site, Stack, T5Config};
use crate::Error;

impl Backbone {
    /// Loads `config.json` and the weights of a model folder in the hub's layout.
    ///
    /// Weights are read from `model.safetensors` or `pytorch_model.bin`, whole or in the shards of
    /// `*.index.json`, whichever is there first; f16, bf16 and f64 are converted to `dtype`. What the files hold
    /// and the backbone does not use is in [`Backbone::notes`].
    ///
    /// # Errors
    /// When a file is missing or truncated, or a tensor is missing, is not finite, or does not fit the
    /// configuration.
    pub fn load(folder: &Path, device: &Device, dtype: DType) -> Result<Self, Error> {
        let config = T5Config::from_folder(folder)?;
        let mut backbone = Self::read(config, &Checkpoint::open(folder)?, device, dtype)?;
        let decoding = other_decoding(folder)?;
        if !decoding.is_empty() {
            backbone.notes.push(format!(
                "{}: {} is not heeded: answers are decoded greedily",
                folder.join("generation_config.json").display(),
                decoding.join(", ")
            ));
        }
        Ok(backbone)
    }

    /// Loads weights that are in memory: the bytes of a `model.safetensors`, which `name` names in
    /// messages.
    ///
    /// # Errors
    /// When the bytes are no safetensors, or a tensor is missing, is not finite, or does not fit the configuration.
    pub fn from_safetensors(
        config: T5Config,
        bytes: &'static [u8],
        name: &str,
        device: &Device,
        dtype: DType,
    ) -> Result<Self, Error> {
        Self::read(config, &Checkpoint::embedded(name.into(), bytes)?, device, dtype)
    }

    fn read(config: T5Config, checkpoint: &Checkpoint, device: &Device, dtype: DType) -> Result<Self, Error> {
        let mut reader = Reader { prefix: prefix(checkpoint)?, checkpoint, read: BTreeSet::new() };
        let table = reader.embedding_table(&config)?;
        let head = reader.head(&config, &table)?;
        let config = T5Config { tie_word_embeddings: head.is_none(), ..config };
        let mut given = HashMap::from([(SHARED, Some(table)), (HEAD, head)]);
        let mut tensors = HashMap::new();
        for (name, shape) in Backbone::shapes(&config) {
            let values = match given.get_mut(name.as_str()).and_then(Option::take) {
                Some(values) => values,
                None => reader.tensor(&name, &shape)?,
            };
            let tensor = Tensor::<2>::from_data(TensorData::new(values, shape), device);
            tensors.insert(name, tensor.cast(dtype));
        }
        let mut backbone = Backbone::new(config, tensors, device.clone());
        backbone.notes.extend(reader.unused());
        Ok(backbone)
    }
}

const SHARED: &str = "shared.weight";
const HEAD: &str = "lm_head.weight";

/// Other names under which checkpoints keep the shared embedding table.
const SHARED_ALIASES: [&str; 2] = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];

/// In old checkpoints of T5; nothing ever used it.
const RELIC: &str = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";

/// Names that a message lists before it only counts.
const LISTED: usize = 5;

/// Takes tensors out of a checkpoint, and remembers which.
struct Reader<'a> {
    /// What the checkpoint has before each of T5's names.
    prefix: String,
    checkpoint: &'a Checkpoint,
    read: BTreeSet<String>,
}

impl Reader<'_> {
    fn tensor(&mut self, name: &str, shape: &[usize; 2]) -> Result<Vec<f32>, Error> {
        let stored = format!("{}{name}", self.prefix);
        let values = self.checkpoint.read(&stored, shape)?;
        self.read.insert(stored);
        Ok(values)
    }

    fn contains(&self, name: &str) -> bool {
        self.checkpoint.contains(&format!("{}{name}", self.prefix))
    }

    /// The embedding table, from whichever of its names is there first; the others must hold the same.
    fn embedding_table(&mut self, config: &T5Config) -> Result<Vec<f32>, Error> {
        let shape = [config.vocab_size, config.d_model];
        let embeddings = [SHARED].into_iter().chain(SHARED_ALIASES);
        // A tied head is the table.
        let head = config.tie_word_embeddings.then_some(HEAD);
        let first = embeddings.clone().chain(head).find(|name| self.contains(name)).unwrap_or(SHARED);
        let table = self.tensor(first, &shape)?;
        for name in embeddings.filter(|&name| name != first) {
            if self.contains(name) && self.tensor(name, &shape)? != table {
                let problem = format!(
                    "tensor `{name}` differs from `{first}`; only models whose encoder and decoder share one \
                     embedding table can be used"
                );
                return Err(unreadable(self.checkpoint.path(), problem));
            }
        }
        Ok(table)
    }

    /// The head's own weight; `None` where it is the embedding table, which transformers 5 tells by the values.
    fn head(&mut self, config: &T5Config, table: &[f32]) -> Result<Option<Vec<f32>>, Error> {
        if config.tie_word_embeddings && !self.contains(HEAD) {
            return Ok(None);
        }
        let head = self.tensor(HEAD, &Site::Head.shape(config))?;
        Ok((head != table).then_some(head))
    }

    /// A line that names the tensors which nothing has read.
    fn unused(&self) -> Option<String> {
        let relic = format!("{}{RELIC}", self.prefix);
        let names = self.checkpoint.names().filter(|&name| name != relic && !self.read.contains(name));
        let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
        let more = match names.len().saturating_sub(LISTED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let listed = names.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let path = self.checkpoint.path().display();
        (!names.is_empty()).then(|| format!("{path}: nothing uses {listed}{more}"))
    }
}

/// What stands before T5's names, as in `module.shared.weight`; a tensor that every T5 has once tells.
fn prefix(checkpoint: &Checkpoint) -> Result<String, Error> {
    let anchor = Stack::Encoder.final_norm();
    if checkpoint.contains(&anchor) {
        return Ok(String::new());
    }
    let prefixes: Vec<&str> = checkpoint
        .names()
        .filter_map(|name| name.strip_suffix(anchor.as_str()))
        .filter(|prefix| prefix.ends_with('.'))
        .collect();
    match prefixes.as_slice() {
        [] => Ok(String::new()),
        [prefix] => Ok(prefix.to_string()),
        several => Err(unreadable(
            checkpoint.path(),
            format!("tensors of several models, named `{}...`; keep those of one", several.join("...`, `")),
        )),
    }
}

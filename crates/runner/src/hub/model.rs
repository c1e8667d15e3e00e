//! Fetching a model's configuration, tokenizer and weights.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use serde::Deserialize;

use super::Hub;
use super::error::HubError;
use super::repo::{Repo, Snapshot};

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const SAFETENSORS: &str = "model.safetensors";
const SHARDED_SAFETENSORS: &str = "model.safetensors.index.json";
const PYTORCH: &str = "pytorch_model.bin";

/// A model's files in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFiles {
    /// The snapshot's folder, which holds all of them.
    pub folder: PathBuf,
    /// The commit they are from.
    pub commit: String,
    pub config: PathBuf,
    /// Absent where the repository has no `tokenizer.json` (T5 v1.1 has none).
    pub tokenizer: Option<PathBuf>,
    /// `model.safetensors`, or the shards its index names, or `pytorch_model.bin`.
    pub weights: Vec<PathBuf>,
}

/// The part of `model.safetensors.index.json` that says which shard holds which tensor.
#[derive(Deserialize)]
struct ShardIndex {
    weight_map: HashMap<String, String>,
}

impl Hub {
    /// Fetches `config.json`, `tokenizer.json` where there is one, and the weights in the first format there is of
    /// safetensors, sharded safetensors and `pytorch_model.bin`.
    pub fn model_files(&self, repo: &Repo) -> Result<ModelFiles, HubError> {
        let snapshot = self.resolve(repo)?;
        let has_tokenizer = snapshot.file(TOKENIZER).is_some();
        let mut paths = vec![CONFIG.to_string()];
        paths.extend(has_tokenizer.then(|| TOKENIZER.to_string()));
        paths.extend(self.weight_paths(&snapshot)?);
        let mut fetched = self.fetch(&snapshot, &paths)?;
        Ok(ModelFiles {
            folder: self.cache(repo).snapshot(&snapshot.commit),
            commit: snapshot.commit.clone(),
            config: fetched.remove(0),
            tokenizer: has_tokenizer.then(|| fetched.remove(0)),
            weights: fetched,
        })
    }

    /// Fetches `config.json` alone.
    pub fn model_config(&self, repo: &Repo) -> Result<PathBuf, HubError> {
        let snapshot = self.resolve(repo)?;
        Ok(self.fetch(&snapshot, &[CONFIG])?.remove(0))
    }

    /// Fetches `tokenizer.json` alone; returns it and its commit.
    pub fn tokenizer_file(&self, repo: &Repo) -> Result<(PathBuf, String), HubError> {
        let snapshot = self.resolve(repo)?;
        let tokenizer = self.fetch(&snapshot, &[TOKENIZER])?.remove(0);
        Ok((tokenizer, snapshot.commit.clone()))
    }

    fn weight_paths(&self, snapshot: &Snapshot) -> Result<Vec<String>, HubError> {
        let has = |path: &str| snapshot.file(path).is_some();
        if has(SAFETENSORS) {
            return Ok(vec![SAFETENSORS.into()]);
        }
        if has(SHARDED_SAFETENSORS) {
            return self.shards(snapshot);
        }
        if has(PYTORCH) {
            return Ok(vec![PYTORCH.into()]);
        }
        if !snapshot.complete {
            return Err(self.not_cached(snapshot.describe("weights")));
        }
        let files: Vec<&str> = snapshot.files.iter().map(|file| &*file.path).collect();
        Err(HubError::NoWeights { what: snapshot.repo.to_string(), files: files.join(", ") })
    }

    fn shards(&self, snapshot: &Snapshot) -> Result<Vec<String>, HubError> {
        let what = || snapshot.describe(SHARDED_SAFETENSORS);
        let path = self.fetch_file(snapshot, SHARDED_SAFETENSORS)?;
        let text = std::fs::read(&path).map_err(|error| HubError::io(&what(), &path, error))?;
        let index: ShardIndex = serde_json::from_slice(&text)
            .map_err(|error| HubError::BadIndex { what: what(), detail: error.to_string() })?;
        let shards: BTreeSet<String> = index.weight_map.into_values().collect();
        Ok(shards.into_iter().collect())
    }
}

//! Fetching a model's configuration, tokenizer and weights.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use serde::Deserialize;

use super::Hub;
use super::error::HubError;
use super::repo::{Fetched, Repo, Snapshot};

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const SAFETENSORS: &str = "model.safetensors";
const SHARDED_SAFETENSORS: &str = "model.safetensors.index.json";
const PYTORCH: &str = "pytorch_model.bin";

/// The part of `model.safetensors.index.json` that says which shard holds which tensor.
#[derive(Deserialize)]
struct ShardIndex {
    weight_map: HashMap<String, String>,
}

impl Hub {
    /// Fetches `config.json`, `tokenizer.json`, and the weights in the first format there is of safetensors, sharded
    /// safetensors and `pytorch_model.bin`.
    ///
    /// # Errors
    /// When the repository lacks one of them, or they cannot be had.
    pub fn model_files(&self, repo: &Repo) -> Result<Fetched, HubError> {
        let snapshot = self.resolve(repo)?;
        let mut paths = vec![CONFIG.to_string(), TOKENIZER.to_string()];
        paths.extend(self.weight_paths(&snapshot)?);
        self.fetch(&snapshot, &paths)
    }

    /// Fetches `config.json` alone.
    ///
    /// # Errors
    /// When the repository lacks it, or it cannot be had.
    pub fn model_config(&self, repo: &Repo) -> Result<PathBuf, HubError> {
        self.one_file(repo, CONFIG)
    }

    /// Fetches `tokenizer.json` alone.
    ///
    /// # Errors
    /// When the repository lacks it, or it cannot be had.
    pub fn model_tokenizer(&self, repo: &Repo) -> Result<PathBuf, HubError> {
        self.one_file(repo, TOKENIZER)
    }

    /// Leaves the cache's branch where it is: there, an offline run may have its weights.
    fn one_file(&self, repo: &Repo, path: &str) -> Result<PathBuf, HubError> {
        let snapshot = self.resolve(repo)?;
        Ok(self.fetch_file(&snapshot, path)?.path)
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
        let path = self.fetch_file(snapshot, SHARDED_SAFETENSORS)?.path;
        let text = std::fs::read(&path).map_err(|error| HubError::io(&what(), &path, error))?;
        let index: ShardIndex = serde_json::from_slice(&text)
            .map_err(|error| HubError::BadIndex { what: what(), detail: error.to_string() })?;
        let shards: BTreeSet<String> = index.weight_map.into_values().collect();
        Ok([SHARDED_SAFETENSORS.to_string()].into_iter().chain(shards).collect())
    }
}

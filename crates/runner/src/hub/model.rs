//! Fetching a model's configuration, tokenizer and weights.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use serde::Deserialize;

use super::Hub;
use super::error::{HubError, brief, listed};
use super::repo::{Fetched, Repo, Snapshot, is_plain_path};

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const SHAPE: [&str; 2] = [CONFIG, TOKENIZER];
const SAFETENSORS: &str = "model.safetensors";
const SHARDED_SAFETENSORS: &str = "model.safetensors.index.json";
const PYTORCH: &str = "pytorch_model.bin";
const SHARDED_PYTORCH: &str = "pytorch_model.bin.index.json";

/// The part of a shard index that maps tensors to shards.
#[derive(Deserialize)]
struct ShardIndex {
    weight_map: HashMap<String, String>,
}

impl Hub {
    /// Fetches `config.json`, `tokenizer.json`, and the weights in the first available format of safetensors, sharded
    /// safetensors, `pytorch_model.bin`, and its shards.
    ///
    /// # Errors
    /// When the repository lacks one of them, or a download fails.
    pub fn model_files(&self, repo: &Repo) -> Result<Fetched, HubError> {
        let snapshot = self.resolve(repo)?;
        let mut paths = SHAPE.map(String::from).to_vec();
        paths.extend(self.weight_paths(&snapshot)?);
        self.fetch(&snapshot, &paths)
    }

    /// Fetches `config.json` and the weights; some repositories have no `tokenizer.json`.
    ///
    /// # Errors
    /// When the repository lacks one of them, or a download fails.
    pub fn model_weights(&self, repo: &Repo) -> Result<Fetched, HubError> {
        let snapshot = self.resolve(repo)?;
        let mut paths = vec![CONFIG.to_string()];
        paths.extend(self.weight_paths(&snapshot)?);
        self.fetch(&snapshot, &paths)
    }

    /// Fetches `config.json` and `tokenizer.json`, which is all that a model with random weights needs.
    ///
    /// # Errors
    /// When the repository lacks one of them, or a download fails.
    pub fn model_shape(&self, repo: &Repo) -> Result<Fetched, HubError> {
        let snapshot = self.resolve(repo)?;
        let cache = self.cache(repo);
        let suffices = |commit: String| SHAPE.iter().all(|path| cache.file(&commit, path).is_file());
        // A cached branch that suffices stays: its commit may have the weights, which an offline run needs.
        match cache.commit(&repo.revision).is_some_and(suffices) {
            true => self.fetch_files(&snapshot, &SHAPE),
            false => self.fetch(&snapshot, &SHAPE),
        }
    }

    /// Fetches only `config.json`.
    ///
    /// # Errors
    /// When the repository lacks it, or the download fails.
    pub fn model_config(&self, repo: &Repo) -> Result<PathBuf, HubError> {
        self.one_file(repo, CONFIG)
    }

    /// Fetches only `tokenizer.json`.
    ///
    /// # Errors
    /// When the repository lacks it, or the download fails.
    pub fn model_tokenizer(&self, repo: &Repo) -> Result<PathBuf, HubError> {
        self.one_file(repo, TOKENIZER)
    }

    /// Leaves the cache's branch unchanged: its commit may have the weights, which an offline run needs.
    fn one_file(&self, repo: &Repo, path: &str) -> Result<PathBuf, HubError> {
        let snapshot = self.resolve(repo)?;
        Ok(self.fetch_file(&snapshot, path)?.path)
    }

    fn weight_paths(&self, snapshot: &Snapshot) -> Result<Vec<String>, HubError> {
        let has = |path: &str| snapshot.file(path).is_some();
        for (whole, index) in [(SAFETENSORS, SHARDED_SAFETENSORS), (PYTORCH, SHARDED_PYTORCH)] {
            if has(whole) {
                return Ok(vec![whole.into()]);
            }
            if has(index) {
                return self.shards(snapshot, index);
            }
        }
        if !snapshot.complete {
            return Err(self.not_cached(snapshot.describe("weights")));
        }
        let files: Vec<&str> = snapshot.files.iter().map(|file| &*file.path).collect();
        Err(HubError::NoWeights { what: snapshot.repo.to_string(), files: listed(&files) })
    }

    /// A shard index and the shards that it names.
    fn shards(&self, snapshot: &Snapshot, index: &str) -> Result<Vec<String>, HubError> {
        let bad = |detail| HubError::BadIndex { what: snapshot.describe(index), detail };
        let path = self.fetch_file(snapshot, index)?.path;
        let text =
            std::fs::read(&path).map_err(|error| HubError::io(&snapshot.describe(index), &path, error))?;
        let ShardIndex { weight_map } =
            serde_json::from_slice(&text).map_err(|error| bad(brief(&error.to_string())))?;
        let shards: BTreeSet<String> = weight_map.into_values().collect();
        if let Some(shard) = shards.iter().find(|shard| !is_plain_path(shard)) {
            return Err(bad(format!("it names {shard:?}, which is not a file of the repository")));
        }
        Ok([index.to_string()].into_iter().chain(shards).collect())
    }
}

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

/// The part of an index of shards that says which of them holds which tensor.
#[derive(Deserialize)]
struct ShardIndex {
    weight_map: HashMap<String, String>,
}

impl Hub {
    /// Fetches `config.json`, `tokenizer.json`, and the weights in the first format there is of safetensors, sharded
    /// safetensors, `pytorch_model.bin` and its shards.
    ///
    /// # Errors
    /// When the repository lacks one of them, or they cannot be had.
    pub fn model_files(&self, repo: &Repo) -> Result<Fetched, HubError> {
        let snapshot = self.resolve(repo)?;
        let mut paths = SHAPE.map(String::from).to_vec();
        paths.extend(self.weight_paths(&snapshot)?);
        self.fetch(&snapshot, &paths)
    }

    /// Fetches `config.json` and `tokenizer.json`, which are all that a model of random weights needs.
    ///
    /// # Errors
    /// When the repository lacks one of them, or they cannot be had.
    pub fn model_shape(&self, repo: &Repo) -> Result<Fetched, HubError> {
        let snapshot = self.resolve(repo)?;
        let cache = self.cache(repo);
        let serves = |commit: String| SHAPE.iter().all(|path| cache.file(&commit, path).is_file());
        // Where the cache's branch serves already it stays: there, an offline run may have the weights.
        match cache.commit(&repo.revision).is_some_and(serves) {
            true => self.fetch_files(&snapshot, &SHAPE),
            false => self.fetch(&snapshot, &SHAPE),
        }
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

    /// An index of shards, and the shards it names.
    fn shards(&self, snapshot: &Snapshot, index: &str) -> Result<Vec<String>, HubError> {
        let bad = |detail| HubError::BadIndex { what: snapshot.describe(index), detail };
        let path = self.fetch_file(snapshot, index)?.path;
        let text =
            std::fs::read(&path).map_err(|error| HubError::io(&snapshot.describe(index), &path, error))?;
        let ShardIndex { weight_map } =
            serde_json::from_slice(&text).map_err(|error| bad(brief(&error.to_string())))?;
        let shards: BTreeSet<String> = weight_map.into_values().collect();
        if let Some(shard) = shards.iter().find(|shard| !is_plain_path(shard)) {
            return Err(bad(format!("it names {shard:?}, which is no file of the repository")));
        }
        Ok([index.to_string()].into_iter().chain(shards).collect())
    }
}

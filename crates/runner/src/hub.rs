use std::path::PathBuf;
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    #[error("{0}")]
    Stub(String),
}
pub struct Hub {
    root: PathBuf,
}
pub struct ParquetFiles {
    pub paths: Vec<PathBuf>,
    pub commit: String,
}
pub struct ModelFiles {
    pub folder: PathBuf,
    pub commit: String,
}
impl Hub {
    pub fn from_env() -> Result<Self, HubError> {
        Ok(Self { root: PathBuf::from(std::env::var("HF_HOME").unwrap_or_default()).join("hub") })
    }
    fn snapshot(&self, kind: &str, repo: &str) -> Result<(PathBuf, String), HubError> {
        let base = self.root.join(format!("{kind}--{}", repo.replace('/', "--")));
        let commit = std::fs::read_to_string(base.join("refs/main"))
            .map_err(|e| HubError::Stub(format!("{}: {e}", base.display())))?;
        Ok((base.join("snapshots").join(commit.trim()), commit.trim().to_string()))
    }
    pub fn split_files(
        &self,
        repo: &str,
        _revision: Option<&str>,
        config: Option<&str>,
        split: &str,
    ) -> Result<ParquetFiles, HubError> {
        let (folder, commit) = self.snapshot("datasets", repo)?;
        Ok(ParquetFiles {
            paths: vec![
                folder.join(config.unwrap_or("data")).join(format!("{split}-00000-of-00001.parquet")),
            ],
            commit,
        })
    }
    pub fn model_files(&self, repo: &str, _revision: Option<&str>) -> Result<ModelFiles, HubError> {
        let (folder, commit) = self.snapshot("models", repo)?;
        Ok(ModelFiles { folder, commit })
    }
    pub fn model_config(&self, repo: &str, r: Option<&str>) -> Result<PathBuf, HubError> {
        Ok(self.model_files(repo, r)?.folder.join("config.json"))
    }
}

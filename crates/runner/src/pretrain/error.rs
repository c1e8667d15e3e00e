use std::path::PathBuf;

/// Why a pretraining failed.
#[derive(Debug, thiserror::Error)]
pub enum PretrainError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    File(#[from] crate::files::FileError),
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{}: {problem}", path.display())]
    Recipe { path: PathBuf, problem: String },
    #[error("{0}")]
    Configuration(String),
    #[error("training the tokenizer: {0}")]
    Tokenizer(String),
    #[error("`start`: the tokenizer of {start} has no `{missing}`, but `tokenizer.sentinels` is {asked}")]
    Sentinel { start: String, missing: String, asked: usize },
    #[error(transparent)]
    TooLarge(#[from] crate::host::memory::TooLarge),
    #[error("the loss was {loss} at step {step}; lower `phases.learning_rate`")]
    Diverged { step: u64, loss: f64 },
    #[error(transparent)]
    State(#[from] crate::train::StateError),
    #[error("{0}")]
    Interrupted(#[from] crate::host::interrupt::Interrupted),
    #[error(transparent)]
    Model(#[from] peft_model::Error),
    #[error("`start`: {0}")]
    Start(#[from] crate::model::ModelError),
    #[error("`start`: the configuration of {start} does not match `model`: {found}, expected {expected}")]
    Shape { start: String, found: String, expected: String },
    #[error(transparent)]
    TokenizerFile(#[from] crate::tokenizer::TokenizerError),
}

impl PretrainError {
    /// Whether the recipe must be changed; the message names its keys, but not its file.
    pub fn is_caused_by_recipe(&self) -> bool {
        matches!(
            self,
            Self::Configuration(_)
                | Self::Tokenizer(_)
                | Self::Sentinel { .. }
                | Self::TooLarge(_)
                | Self::Diverged { .. }
                | Self::Start(_)
                | Self::Shape { .. }
        )
    }
}

use crate::host::memory::TooLarge;
use crate::hub::HubError;
use crate::tokenizer::TokenizerError;

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

//! Text to ids and back, with the model's own `tokenizer.json`.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

/// What can be wrong with a tokenizer.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    #[error("{}: not a readable tokenizer ({problem})", path.display())]
    Unreadable { path: PathBuf, problem: String },
    #[error("{}: texts do not end in the end token {eos} that config.json names; T5 needs it", path.display())]
    NoEndToken { path: PathBuf, eos: u32 },
    #[error("{}: id {id} is outside the model's vocabulary of {vocabulary}", path.display())]
    Vocabulary { path: PathBuf, id: u32, vocabulary: usize },
}

/// A tokenizer that ends every text with the end token.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    eos: u32,
    digest: String,
}

/// Ids of a text, and whether the limit cut it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    pub ids: Vec<u32>,
    pub truncated: bool,
}

impl Tokenizer {
    /// Reads a `tokenizer.json` and checks that it fits a model.
    ///
    /// # Errors
    /// When the file is unreadable, adds no end token, or has ids that the model lacks.
    pub fn load(path: &Path, eos: u32, vocabulary: usize) -> Result<Self, TokenizerError> {
        let bytes = std::fs::read(path)
            .map_err(|e| TokenizerError::Unreadable { path: path.into(), problem: e.to_string() })?;
        Self::from_bytes(&bytes, path, eos, vocabulary)
    }

    /// Reads the bytes of a `tokenizer.json`, which `path` names in messages.
    ///
    /// # Errors
    /// As [`Tokenizer::load`].
    pub fn from_bytes(
        bytes: &[u8],
        path: &Path,
        eos: u32,
        vocabulary: usize,
    ) -> Result<Self, TokenizerError> {
        let unreadable =
            |e: tokenizers::Error| TokenizerError::Unreadable { path: path.into(), problem: e.to_string() };
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(unreadable)?;
        // Truncation and padding are ours: files in the wild carry leftovers of someone's training.
        inner.with_truncation(None).map_err(unreadable)?;
        inner.with_padding(None);
        let tokenizer = Self { inner, eos, digest: format!("{:x}", Sha256::digest(bytes)) };
        let largest = tokenizer.inner.get_vocab(true).into_values().max().unwrap_or(0);
        if largest as usize >= vocabulary {
            return Err(TokenizerError::Vocabulary { path: path.into(), id: largest, vocabulary });
        }
        match tokenizer.encode("a", usize::MAX).ids.last() {
            Some(&last) if last == eos => Ok(tokenizer),
            _ => Err(TokenizerError::NoEndToken { path: path.into(), eos }),
        }
    }

    /// The id of a piece, if it is one.
    pub fn id(&self, piece: &str) -> Option<u32> {
        self.inner.token_to_id(piece)
    }

    /// SHA-256 of the `tokenizer.json`.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Number of pieces.
    pub fn len(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Whether there are no pieces.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ids of a text with the end token, at most `limit` of them; a cut text keeps its end token.
    pub fn encode(&self, text: &str, limit: usize) -> Encoded {
        // Encoding fails only for pair inputs and truncation, and neither is in use.
        let encoding = self.inner.encode_fast(text, true).expect("plain text encodes");
        let mut ids = encoding.get_ids().to_vec();
        let truncated = ids.len() > limit;
        if truncated {
            ids.truncate(limit.saturating_sub(1));
            ids.push(self.eos);
        }
        Encoded { ids, truncated }
    }

    /// Encodes many texts on all cores.
    pub fn encode_all<T: AsRef<str> + Sync>(&self, texts: &[T], limit: usize) -> Vec<Encoded> {
        texts.par_iter().with_min_len(64).map(|text| self.encode(text.as_ref(), limit)).collect()
    }

    /// Text of ids, special tokens left out, white space at the ends stripped.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.inner.decode(ids, true).unwrap_or_default().trim().to_string()
    }
}

//! Text to ids and back, with the model's own `tokenizer.json`.

mod charsmap;
mod parse;
mod plain_text;
#[cfg(test)]
mod shapes;
mod word_cache;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use plain_text::PlainText;
use rayon::prelude::*;
use word_cache::{LocalWordCache, WordCache};

use crate::files::digest::Digest;

/// Why a tokenizer is refused.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    #[error("{}: not a readable tokenizer ({problem})", path.display())]
    Unreadable { path: PathBuf, problem: String },
    #[error("{}: texts do not end with the EOS token {eos} of config.json, which T5 needs", path.display())]
    NoEos { path: PathBuf, eos: u32 },
    #[error("{}: id {id} is outside the model's vocabulary of {vocabulary}", path.display())]
    Vocabulary { path: PathBuf, id: u32, vocabulary: usize },
}

/// A tokenizer that appends the EOS token to every text.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    eos: u32,
    digest: String,
    words: Option<WordEncoder>,
}

/// Encoding word by word, for tokenizers that allow it.
#[derive(Debug, Clone)]
struct WordEncoder {
    plain: Arc<PlainText>,
    cache: Arc<WordCache>,
}

/// Ids of a text, and whether the limit truncated it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    pub ids: Vec<u32>,
    pub truncated: bool,
}

impl Tokenizer {
    /// Reads a `tokenizer.json` and checks that it fits a model.
    ///
    /// # Errors
    /// When the file is unreadable, does not append the EOS token, or has ids outside the model's vocabulary.
    pub fn load(path: &Path, eos: u32, vocabulary: usize) -> Result<Self, TokenizerError> {
        let bytes = std::fs::read(path)
            .map_err(|e| TokenizerError::Unreadable { path: path.into(), problem: e.to_string() })?;
        Self::from_bytes(&bytes, path, eos, vocabulary)
    }

    /// Reads the bytes of a `tokenizer.json`; `path` is for messages.
    ///
    /// # Errors
    /// As for [`Tokenizer::load`].
    pub fn from_bytes(
        bytes: &[u8],
        path: &Path,
        eos: u32,
        vocabulary: usize,
    ) -> Result<Self, TokenizerError> {
        let inner = parse::parse(bytes)
            .map_err(|problem| TokenizerError::Unreadable { path: path.into(), problem })?;
        let words = PlainText::of(&inner, eos)
            .map(|plain| WordEncoder { plain: Arc::new(plain), cache: Arc::new(WordCache::new()) });
        let tokenizer = Self { inner, eos, digest: Digest::of(bytes).hex(), words };
        let examples = ["a", ""].map(|text| tokenizer.encode_whole(text, true));
        // The post-processor may add ids outside the vocabulary.
        let ids = tokenizer.inner.get_vocab(true).into_values().chain(examples.iter().flatten().copied());
        let largest = ids.max().unwrap_or(0);
        if largest as usize >= vocabulary {
            return Err(TokenizerError::Vocabulary { path: path.into(), id: largest, vocabulary });
        }
        match examples.iter().all(|ids| ids.last() == Some(&eos)) {
            true => Ok(tokenizer),
            false => Err(TokenizerError::NoEos { path: path.into(), eos }),
        }
    }

    /// The id of a piece, if it is in the vocabulary.
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

    /// Ids of a text including the EOS token, at most `limit` of them; a truncated text ends with the EOS token too.
    pub fn encode(&self, text: &str, limit: usize) -> Encoded {
        self.encode_with(text, limit, |ids, word, cache| {
            cache.extend(ids, word, || self.encode_whole(word, false));
        })
    }

    /// Encodes many texts on all cores.
    pub fn encode_all<T: AsRef<str> + Sync>(&self, texts: &[T], limit: usize) -> Vec<Encoded> {
        // A few parts per thread balance the load; each part looks up the frequent words again.
        let part = texts.len().div_ceil(4 * rayon::current_num_threads()).max(64);
        let encode_part = |texts: &[T]| -> Vec<Encoded> {
            let mut local = LocalWordCache::default();
            let mut encode = |text| {
                self.encode_with(text, limit, |ids, word, cache| {
                    local.extend(ids, word, cache, || self.encode_whole(word, false));
                })
            };
            texts.iter().map(|text| encode(text.as_ref())).collect()
        };
        let parts: Vec<Vec<Encoded>> = texts.par_chunks(part).map(encode_part).collect();
        parts.into_iter().flatten().collect()
    }

    /// Ids of a text from those of its words, which `extend` appends, if they can be encoded separately.
    fn encode_with<'a>(
        &self,
        text: &'a str,
        limit: usize,
        mut extend: impl FnMut(&mut Vec<u32>, &'a str, &WordCache),
    ) -> Encoded {
        let words = self.words.as_ref().and_then(|words| Some((&*words.cache, words.plain.words(text)?)));
        let mut ids = match words {
            Some((cache, words)) => {
                let mut ids = Vec::with_capacity(64);
                for word in words {
                    extend(&mut ids, word, cache);
                    if ids.len() > limit {
                        break;
                    }
                }
                ids.push(self.eos);
                ids
            }
            None => self.encode_whole(text, true),
        };
        let truncated = ids.len() > limit;
        if truncated {
            ids.truncate(limit.saturating_sub(1));
            ids.push(self.eos);
        }
        // Over hundreds of thousands of rows, spare capacity would take most of the memory.
        ids.shrink_to_fit();
        Encoded { ids, truncated }
    }

    fn encode_whole(&self, text: &str, add_eos: bool) -> Vec<u32> {
        // Fails only for pairs of texts, and for models without a piece for unknown characters, which `parse` refuses.
        self.inner.encode_fast(text, add_eos).expect("plain text encodes").get_ids().to_vec()
    }

    /// A token as the vocabulary has it: `▁film`.
    pub fn piece(&self, id: u32) -> String {
        self.inner.id_to_token(id).unwrap_or_default()
    }

    /// Text of ids without special tokens, trimmed.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.inner.decode(ids, true).unwrap_or_default().trim().to_string()
    }

    /// Text of ids as transformers' `decode` returned it by default when the reference was written: without the
    /// spaces that some tokenizers leave before punctuation.
    pub fn decode_cleaned(&self, ids: &[u32]) -> String {
        clean_up(self.decode(ids))
    }
}

/// Text without the spaces that some tokenizers leave before punctuation.
pub fn clean_up(text: String) -> String {
    CLEAN_UP.iter().fold(text, |text, (spaced, clean)| text.replace(spaced, clean))
}

/// In transformers' order.
const CLEAN_UP: [(&str, &str); 10] = [
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
];

#[cfg(test)]
impl Tokenizer {
    /// The pocket model's, for unit tests.
    pub(crate) fn pocket() -> Self {
        let bytes = crate::files::embedded::bytes("models/pocket/tokenizer.json").unwrap();
        Self::from_bytes(bytes, Path::new("pocket"), 1, usize::MAX).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::seq::IndexedRandom;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::files::embedded;

    /// Texts of words and of special characters between them.
    fn random_text(rng: &mut StdRng) -> String {
        let parts = [
            "the",
            "dog",
            "dogs",
            "good.",
            "a",
            "it's",
            "12.5",
            "7",
            "(no)",
            " ",
            "  ",
            "\t",
            "é",
            "–",
            "e\u{301}",
            "<extra_id_0>",
            "</s>",
            "<",
            "zzyzx",
            "...",
            "\u{a0}",
            "中",
            "▁",
        ];
        let count = rng.random_range(0..12);
        let words: Vec<&str> = (0..count).map(|_| *parts.choose(rng).unwrap()).collect();
        words.join(if rng.random_bool(0.8) { " " } else { "" })
    }

    #[test]
    fn encoding_by_words_equals_encoding_the_whole_text() {
        let tokenizer = Tokenizer::pocket();
        let mut rng = StdRng::seed_from_u64(1);
        let (mut from_words, mut texts) = (0, Vec::new());
        for _ in 0..20_000 {
            let text = random_text(&mut rng);
            let whole = tokenizer.encode_whole(&text, true);
            assert_eq!(tokenizer.encode(&text, usize::MAX), Encoded { ids: whole.clone(), truncated: false });
            let limit = rng.random_range(1..8);
            let cut = tokenizer.encode(&text, limit);
            assert_eq!(cut.truncated, whole.len() > limit, "{text:?}");
            assert_eq!(cut.ids[..cut.ids.len() - 1], whole[..cut.ids.len() - 1], "{text:?}");
            assert_eq!((cut.ids.len(), cut.ids.last()), (limit.min(whole.len()), Some(&1)), "{text:?}");
            let plain = &tokenizer.words.as_ref().unwrap().plain;
            from_words += usize::from(plain.words(&text).is_some());
            texts.push(text);
        }
        let each: Vec<Encoded> = texts.iter().map(|text| tokenizer.encode(text, 9)).collect();
        assert_eq!(tokenizer.encode_all(&texts, 9), each);
        assert!(from_words > 2_000, "{from_words} texts were encoded by words");
    }

    #[test]
    fn a_tokenizer_that_does_not_append_the_eos_token_is_refused() {
        let bytes = embedded::bytes("models/pocket/tokenizer.json").unwrap();
        let open = |bytes: &[u8], eos| Tokenizer::from_bytes(bytes, Path::new("pocket"), eos, usize::MAX);
        assert!(matches!(open(bytes, 5), Err(TokenizerError::NoEos { eos: 5, .. })));
        let mut json: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        json["post_processor"] = serde_json::Value::Null;
        let endless = open(json.to_string().as_bytes(), 1);
        assert!(matches!(endless, Err(TokenizerError::NoEos { eos: 1, .. })));
    }

    #[test]
    fn spaces_before_punctuation_are_removed_as_in_transformers() {
        let tokenizer = Tokenizer::pocket();
        let decode = |text: &str| {
            let ids = tokenizer.encode(text, usize::MAX).ids;
            (tokenizer.decode(&ids), tokenizer.decode_cleaned(&ids))
        };
        assert_eq!(decode("the dog ."), ("the dog .".into(), "the dog.".into()));
        assert_eq!(decode("one , two"), ("one , two".into(), "one, two".into()));
    }
}

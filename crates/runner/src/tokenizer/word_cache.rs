//! Ids of words that were seen before: most words of a dataset repeat.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::RwLock;

use foldhash::fast::RandomState;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::PrependScheme;

/// Locks, so that threads seldom wait for each other.
const SHARDS: usize = 64;

/// Words per shard beyond which none is added: a corpus without end must not fill the memory.
const SHARD_WORDS: usize = 1 << 14;

/// Ids by word.
type Shard = HashMap<Box<str>, Box<[u32]>, RandomState>;

/// A cache for tokenizers that cut texts at spaces and treat every word alike.
#[derive(Debug)]
pub struct WordCache {
    hasher: RandomState,
    shards: Vec<RwLock<Shard>>,
}

impl WordCache {
    /// A cache, if a tokenizer's words do not depend on their neighbours.
    pub fn for_tokenizer(tokenizer: &tokenizers::Tokenizer) -> Option<Self> {
        let first = match tokenizer.get_pre_tokenizer()? {
            PreTokenizerWrapper::Sequence(sequence) => sequence.as_ref().first()?,
            single => single,
        };
        let cuts_at_spaces = match first {
            PreTokenizerWrapper::WhitespaceSplit(_) => true,
            PreTokenizerWrapper::Metaspace(metaspace) => {
                metaspace.get_split() && metaspace.get_prepend_scheme() == PrependScheme::Always
            }
            _ => false,
        };
        let new = || Self {
            hasher: RandomState::default(),
            shards: std::iter::repeat_with(RwLock::default).take(SHARDS).collect(),
        };
        cuts_at_spaces.then(new)
    }

    /// Appends the ids of a word, which `encode` gives for a new one.
    pub fn extend(&self, ids: &mut Vec<u32>, word: &str, encode: impl FnOnce() -> Vec<u32>) {
        let shard = &self.shards[self.hasher.hash_one(word) as usize % SHARDS];
        if let Some(known) = shard.read().unwrap_or_else(|e| e.into_inner()).get(word) {
            ids.extend_from_slice(known);
            return;
        }
        let new = encode();
        ids.extend_from_slice(&new);
        let mut shard = shard.write().unwrap_or_else(|e| e.into_inner());
        if shard.len() < SHARD_WORDS {
            shard.insert(word.into(), new.into());
        }
    }
}

/// The words that one thread has met in texts that it holds: looked up without a lock.
#[derive(Debug, Default)]
pub struct Met<'a> {
    words: HashMap<&'a str, Range<usize>, RandomState>,
    ids: Vec<u32>,
}

impl<'a> Met<'a> {
    /// Appends the ids of a word, from the cache where this thread has not met it.
    pub fn extend(
        &mut self,
        ids: &mut Vec<u32>,
        word: &'a str,
        cache: &WordCache,
        encode: impl FnOnce() -> Vec<u32>,
    ) {
        if let Some(place) = self.words.get(word) {
            ids.extend_from_slice(&self.ids[place.clone()]);
            return;
        }
        let start = self.ids.len();
        cache.extend(&mut self.ids, word, encode);
        self.words.insert(word, start..self.ids.len());
        ids.extend_from_slice(&self.ids[start..]);
    }
}

/// The words of a text, if tokenizing them one by one gives what tokenizing the text gives.
///
/// Not so where spaces come together or at the ends, where `<` may begin a special token, and where a
/// character may be normalised together with its neighbours.
pub fn words(text: &str) -> Option<impl Iterator<Item = &str>> {
    let plain = |c| matches!(c, ' '..='~' | '\u{c0}'..='\u{24f}' | '\u{2010}'..='\u{2027}') && c != '<';
    let apart = !text.is_empty() && !text.starts_with(' ') && !text.ends_with(' ') && !text.contains("  ");
    (apart && text.chars().all(plain)).then(|| text.split(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_texts_whose_words_stand_alone_are_cut() {
        for text in ["a", "a b", "it's 12.5 % – “no” … café", "(x) [y] {z}"] {
            assert_eq!(words(text).unwrap().collect::<Vec<_>>().join(" "), text);
        }
        for text in
            ["", " a", "a ", "a  b", "a\tb", "a\nb", "a <extra_id_0>", "e\u{301}", "ﬁ", "a\u{a0}b", "中"]
        {
            assert!(words(text).is_none(), "{text:?}");
        }
    }
}

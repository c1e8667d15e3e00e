//! Caches the ids of words, since most words of a dataset repeat.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::RwLock;

use foldhash::fast::RandomState;

/// Number of locks; with many, threads rarely wait for each other.
const SHARDS: usize = 64;

/// Most words per shard, so that an endless corpus does not fill the memory.
const SHARD_WORDS: usize = 1 << 14;

/// Ids by word.
type Shard = HashMap<Box<str>, Box<[u32]>, RandomState>;

/// Ids of words, shared by all threads.
#[derive(Debug)]
pub(super) struct WordCache {
    hasher: RandomState,
    shards: Vec<RwLock<Shard>>,
}

impl WordCache {
    /// An empty cache.
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::default(),
            shards: std::iter::repeat_with(RwLock::default).take(SHARDS).collect(),
        }
    }

    /// Appends the ids of a word; `encode` computes those of a new one.
    pub(super) fn extend(&self, ids: &mut Vec<u32>, word: &str, encode: impl FnOnce() -> Vec<u32>) {
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

/// The words that one thread has already looked up, available without a lock.
#[derive(Debug, Default)]
pub(super) struct LocalWordCache<'a> {
    words: HashMap<&'a str, Range<usize>, RandomState>,
    ids: Vec<u32>,
}

impl<'a> LocalWordCache<'a> {
    /// Appends the ids of a word, from the shared cache if it is new to this thread.
    pub(super) fn extend(
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

//! Tokenized splits on disk, found by what they were made from, so that a second run need not make them.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::lengths::SplitLengths;
use super::split::Split;
use crate::files::digest::Digest;
use crate::files::{self, atomic};
use crate::task::TaskSpec;

/// Where the cache is, instead of the user's cache folder; empty for none.
pub(super) const VARIABLE: &str = "PEFT_BENCH_CACHE";

/// Bytes of the checksum that a file begins with.
const CHECKSUM: usize = 32;

/// A folder of tokenized splits.
#[derive(Debug, Clone)]
pub struct TokenCache {
    folder: Option<PathBuf>,
}

/// Everything that a tokenized split follows from.
#[derive(Debug)]
pub struct Key<'a> {
    pub task: &'a TaskSpec,
    pub role: &'a str,
    /// What the rows are: a dataset's commit, or a digest of local files.
    pub rows: &'a str,
    /// Most rows; `None` for all.
    pub limit: Option<usize>,
    /// Digest of the tokenizer.
    pub tokenizer: &'a str,
    pub source_limit: usize,
    pub target_limit: usize,
}

/// What the cache keeps of a split.
pub trait Kept: Serialize + DeserializeOwned {
    /// How the names of its files end.
    const ENDING: &'static str;
}

impl Kept for Split {
    const ENDING: &'static str = "tokens";
}

impl Kept for SplitLengths {
    const ENDING: &'static str = "lengths";
}

impl TokenCache {
    /// The cache in a folder, which need not exist.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()) }
    }

    /// No cache: everything is made anew.
    pub fn none() -> Self {
        Self { folder: None }
    }

    /// The cache in `PEFT_BENCH_CACHE`, else in `XDG_CACHE_HOME` or `~/.cache`.
    pub fn from_env() -> Self {
        if let Some(folder) = std::env::var_os(VARIABLE) {
            return if folder.is_empty() { Self::none() } else { Self::at(folder) };
        }
        let caches = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty());
        let caches = caches.map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cache")));
        Self { folder: caches.map(|caches| caches.join("peft-bench").join("tokens")) }
    }

    /// Where it is; `None` where nothing is kept.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Whether the split of a key is in the cache.
    pub fn has(&self, key: &Key) -> bool {
        self.folder.as_ref().is_some_and(|folder| folder.join(key.file_name::<Split>()).is_file())
    }

    /// What is kept of the split of a key, from the cache or made and kept there. A damaged file is replaced; a folder that
    /// cannot be written to is only reported.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn get_or_make<T: Kept, E>(&self, key: &Key, make: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let Some(folder) = &self.folder else { return make() };
        let path = folder.join(key.file_name::<T>());
        if let Some(kept) = read(&path) {
            return Ok(kept);
        }
        atomic::sweep(folder);
        let made = make()?;
        if let Err(e) = write(&path, &made) {
            crate::terminal::progress::say!(
                "note: tokens are not cached: cannot write {} ({e})",
                path.display()
            );
        }
        Ok(made)
    }
}

impl Key<'_> {
    /// SHA-256 over the key and over the code that makes splits.
    fn file_name<T: Kept>(&self) -> String {
        let Self { task, role, rows, limit, tokenizer, source_limit, target_limit } = self;
        let code = concat!(env!("CARGO_PKG_VERSION"), " ", env!("PREPROCESSING_DIGEST"));
        let key = json!([code, task.content(), role, rows, limit, tokenizer, source_limit, target_limit]);
        format!("{}.{}", Digest::of_json(&key).hex(), T::ENDING)
    }
}

fn read<T: Kept>(path: &Path) -> Option<T> {
    let bytes = match files::bytes(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return None,
        Err(e) => {
            crate::terminal::progress::say!(
                "note: cannot read cached tokens in {} ({e}); making them anew",
                path.display()
            );
            return None;
        }
    };
    let kept = bytes
        .split_at_checked(CHECKSUM)
        .filter(|(found, payload)| **found == checksum(path, payload))
        .and_then(|(_, payload)| postcard::from_bytes(payload).ok());
    if kept.is_none() {
        crate::terminal::progress::say!(
            "note: cached tokens in {} are damaged; making them anew",
            path.display()
        );
    }
    kept
}

fn write(path: &Path, kept: &impl Kept) -> io::Result<()> {
    let payload = postcard::to_allocvec(kept).map_err(io::Error::other)?;
    let mut bytes = checksum(path, &payload).to_vec();
    bytes.extend(payload);
    atomic::write(path, &bytes)
}

/// Of a file's name, too, so that one of another key is not taken for it.
fn checksum(path: &Path, payload: &[u8]) -> [u8; CHECKSUM] {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    Digest::of(name).and(payload).bytes()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;

    use super::super::split::Pair;
    use super::*;
    use crate::task;

    fn split() -> Split {
        Split {
            examples: vec![task::Example {
                row: 7,
                line: Some(9),
                source: "ein Süßer 😀".into(),
                target: "1".into(),
                answers: vec!["1".into(), "eins".into()],
                group: Some("g".into()),
                class: None,
                part: None,
            }],
            pairs: vec![Pair { source: vec![5, 70_000, 1], target: vec![3, 1] }],
            truncated_sources: vec![0],
            truncated_targets: Vec::new(),
        }
    }

    fn key(spec: &TaskSpec) -> Key<'_> {
        Key {
            task: spec,
            role: "train",
            rows: "abc",
            limit: None,
            tokenizer: "def",
            source_limit: 256,
            target_limit: 3,
        }
    }

    /// What the cache gives, and whether it had to be made.
    fn get(cache: &TokenCache, key: &Key) -> (Split, bool) {
        let made = Cell::new(false);
        let split = cache.get_or_make(key, || {
            made.set(true);
            Ok::<_, std::convert::Infallible>(split())
        });
        (split.unwrap(), made.get())
    }

    #[test]
    fn a_split_is_made_once_and_read_back_whole() {
        let folder = tempfile::tempdir().unwrap();
        let cache = TokenCache::at(folder.path().join("new"));
        let spec = task::find("rte").unwrap().spec;
        assert_eq!(get(&cache, &key(&spec)), (split(), true));
        assert_eq!(get(&cache, &key(&spec)), (split(), false));
        assert!(get(&TokenCache::none(), &key(&spec)).1);
    }

    #[test]
    fn whatever_it_follows_from_makes_another() {
        let folder = tempfile::tempdir().unwrap();
        let cache = TokenCache::at(folder.path());
        let (rte, cola) = (task::find("rte").unwrap().spec, task::find("cola").unwrap().spec);
        get(&cache, &key(&rte));
        let others = [
            key(&cola),
            Key { role: "test", ..key(&rte) },
            Key { rows: "abd", ..key(&rte) },
            Key { limit: Some(5), ..key(&rte) },
            Key { tokenizer: "deg", ..key(&rte) },
            Key { source_limit: 255, ..key(&rte) },
            Key { target_limit: 4, ..key(&rte) },
        ];
        for other in others {
            assert!(get(&cache, &other).1, "{other:?}");
        }
        assert!(!get(&cache, &key(&rte)).1);
        let renamed = TaskSpec { title: "Other".into(), group: "Other".into(), ..rte.clone() };
        assert!(!get(&cache, &key(&renamed)).1);
    }

    #[test]
    fn a_damaged_file_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let cache = TokenCache::at(folder.path());
        let spec = task::find("rte").unwrap().spec;
        get(&cache, &key(&spec));
        let path = folder.path().join(key(&spec).file_name::<Split>());
        let whole = fs::read(&path).unwrap();
        let mut damages: Vec<Vec<u8>> = [0, 31, 33, whole.len() - 1].map(|len| whole[..len].to_vec()).into();
        damages.extend((0..whole.len()).map(|i| {
            let mut flipped = whole.clone();
            flipped[i] ^= 1;
            flipped
        }));
        for damaged in damages {
            fs::write(&path, damaged).unwrap();
            assert_eq!(get(&cache, &key(&spec)), (split(), true));
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn the_file_of_another_key_is_not_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let cache = TokenCache::at(folder.path());
        let spec = task::find("rte").unwrap().spec;
        let other = Key { role: "test", ..key(&spec) };
        get(&cache, &other);
        let [from, to] = [&other, &key(&spec)].map(|key| folder.path().join(key.file_name::<Split>()));
        fs::copy(from, to).unwrap();
        assert!(get(&cache, &key(&spec)).1);
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_costs_only_time() {
        let cache = TokenCache::at("/proc/no/such/folder");
        let spec = task::find("rte").unwrap().spec;
        assert_eq!(get(&cache, &key(&spec)), (split(), true));
        assert_eq!(get(&cache, &key(&spec)), (split(), true));
    }
}

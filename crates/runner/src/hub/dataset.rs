//! Finding the Parquet files of a dataset's configuration and split.
//!
//! Two layouts are in use: files named after their split (`cola/train-00000-of-00001.parquet`, `data/train-....parquet`,
//! `train.parquet`), and folders named after it, which is how the hub itself converts a dataset
//! (`cola/train/0000.parquet` on `refs/convert/parquet`; `partial-train` where it converted only a part).

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use regex::Regex;

use super::Hub;
use super::error::{HubError, Known, listed};
use super::repo::{DEFAULT_REVISION, Fetched, Repo, Snapshot};

/// The branch on which the hub keeps its own conversion of a dataset.
const CONVERTED: &str = "refs/convert/parquet";
/// Name of a configuration when the paths do not give one.
const DEFAULT_CONFIG: &str = "default";

impl Hub {
    /// The Parquet files of a split of a dataset's configuration, fetched if necessary, in row order.
    ///
    /// They are looked for at the repository's revision and, if that is `main` and has no Parquet, in the hub's own
    /// conversion. The configuration may be omitted if there is only one, or one called `default`.
    ///
    /// # Errors
    /// When the configuration or split does not exist (the error lists those that do), or a download fails.
    pub fn split_files(&self, repo: &Repo, config: Option<&str>, split: &str) -> Result<Fetched, HubError> {
        let snapshot = self.parquet_snapshot(repo)?;
        let shards = select(&snapshot, config, split)?;
        if shards.iter().any(|shard| shard.partial) {
            let progress = self.settings.progress;
            progress.say(format_args!(
                "warning: {}: the hub converted only part of split {split:?}",
                snapshot.repo
            ));
        }
        let paths: Vec<&str> = shards.iter().map(|shard| shard.path).collect();
        self.fetch(&snapshot, &paths)
    }

    fn parquet_snapshot(&self, repo: &Repo) -> Result<Arc<Snapshot>, HubError> {
        let own = self.resolve(repo);
        // Offline, the cache may have only the conversion.
        let lacks_parquet = match &own {
            Ok(snapshot) => !has_parquet(snapshot),
            Err(error) => matches!(error, HubError::NotCached { .. } | HubError::NoNetwork { .. }),
        };
        if !lacks_parquet {
            return own;
        }
        let no_parquet = || HubError::NoParquet { what: repo.to_string() };
        if repo.revision != DEFAULT_REVISION {
            return own.and_then(|_| Err(HubError::NoParquetAtRevision { what: repo.to_string() }));
        }
        match self.resolve(&repo.at(CONVERTED)) {
            Ok(converted) if has_parquet(&converted) => Ok(converted),
            Ok(_) | Err(HubError::MissingRevision { .. }) => own.and_then(|_| Err(no_parquet())),
            Err(HubError::NotCached { .. }) => own.and_then(|_| Err(self.not_cached(repo.to_string()))),
            Err(error) => Err(error),
        }
    }
}

/// One Parquet file's place in a dataset, from its path.
#[derive(Debug, PartialEq)]
struct Shard<'a> {
    path: &'a str,
    config: &'a str,
    split: &'a str,
    index: usize,
    /// Number of files in the split, if the name gives it.
    total: Option<usize>,
    /// Whether the file belongs to an incomplete conversion.
    partial: bool,
}

impl<'a> Shard<'a> {
    fn parse(path: &'a str) -> Option<Self> {
        let stem = path.strip_suffix(".parquet")?;
        let (folder, name) = stem.rsplit_once('/').unwrap_or(("", stem));
        if let Ok(index) = name.parse() {
            let (folder, split) = folder.rsplit_once('/').unwrap_or(("", folder));
            let whole = split.strip_prefix("partial-");
            let (split, partial) = (whole.unwrap_or(split), whole.is_some());
            return (!split.is_empty()).then_some(Self {
                path,
                config: config_of(folder),
                split,
                index,
                total: None,
                partial,
            });
        }
        // The number of a shard, and the fingerprint that older tools append.
        static NUMBERED: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"^(?<split>.+?)-(?<index>\d+)-of-(?<total>\d+)(-[0-9a-f]+)?$")
                .expect("a valid pattern")
        });
        let config = config_of(folder);
        let Some(found) = NUMBERED.captures(name) else {
            return Some(Self { path, config, split: name, index: 0, total: Some(1), partial: false });
        };
        let split = found.name("split")?.as_str();
        let (index, total) = (found["index"].parse().ok()?, found["total"].parse().ok()?);
        Some(Self { path, config, split, index, total: Some(total), partial: false })
    }
}

fn config_of(folder: &str) -> &str {
    match folder {
        "" | "data" => DEFAULT_CONFIG,
        _ => folder.strip_prefix("data/").unwrap_or(folder),
    }
}

fn has_parquet(snapshot: &Snapshot) -> bool {
    snapshot.files.iter().any(|file| Shard::parse(&file.path).is_some())
}

/// The files of a split in order, or an error that lists the configurations or splits that exist.
fn select<'a>(snapshot: &'a Snapshot, config: Option<&str>, split: &str) -> Result<Vec<Shard<'a>>, HubError> {
    let what = || snapshot.repo.to_string();
    let known = |names: BTreeSet<&str>| Known {
        names: names.into_iter().map(String::from).collect(),
        complete: snapshot.complete,
    };
    let mut shards: Vec<Shard> = snapshot.files.iter().filter_map(|file| Shard::parse(&file.path)).collect();
    let configs: BTreeSet<&str> = shards.iter().map(|shard| shard.config).collect();
    let config = match config {
        Some(config) if configs.contains(config) => config.to_string(),
        Some(config) => {
            return Err(HubError::UnknownConfig {
                what: what(),
                config: config.into(),
                known: known(configs),
            });
        }
        None if configs.contains(DEFAULT_CONFIG) => DEFAULT_CONFIG.into(),
        None if configs.len() == 1 => configs.into_iter().collect(),
        None => return Err(HubError::ConfigNeeded { what: what(), known: known(configs) }),
    };
    shards.retain(|shard| shard.config == config);
    let splits: BTreeSet<&str> = shards.iter().map(|shard| shard.split).collect();
    shards.retain(|shard| shard.split == split);
    if shards.is_empty() {
        let (split, known) = (split.to_string(), known(splits));
        return Err(HubError::UnknownSplit { what: what(), config, split, known });
    }
    shards.sort_by_key(|shard| shard.index);
    let whole = |(place, shard): (usize, &Shard)| {
        shard.index == place && shard.total.is_none_or(|total| total == shards.len())
    };
    if !shards.iter().enumerate().all(whole) {
        let files: Vec<&str> = shards.iter().map(|shard| shard.path).collect();
        return Err(HubError::BadShards { what: what(), split: split.into(), files: listed(&files) });
    }
    Ok(shards)
}

#[cfg(test)]
mod tests {
    use super::super::repo::RepoFile;
    use super::*;

    fn snapshot(paths: &[&str]) -> Snapshot {
        let file = |path: &&str| RepoFile { path: path.to_string(), size: 1, digest: None };
        Snapshot {
            repo: Repo::dataset("owner/name"),
            commit: "c".repeat(40),
            files: paths.iter().map(file).collect(),
            complete: true,
            renamed_to: None,
        }
    }

    fn chosen(paths: &[&str], config: Option<&str>, split: &str) -> Result<Vec<String>, String> {
        let snapshot = snapshot(paths);
        let shards = select(&snapshot, config, split).map_err(|error| error.to_string())?;
        Ok(shards.iter().map(|shard| shard.path.to_string()).collect())
    }

    #[test]
    fn every_layout_gives_configuration_and_split() {
        let cases = [
            ("cola/train-00000-of-00001.parquet", "cola", "train"),
            ("wsc.fixed/train.parquet", "wsc.fixed", "train"),
            ("data/train-00000-of-00001-b42a775f407cee45.parquet", "default", "train"),
            ("data/en/train-00000-of-00001.parquet", "en", "train"),
            ("train.parquet", "default", "train"),
            ("mnli/validation_matched-00000-of-00001.parquet", "mnli", "validation_matched"),
            ("cola/train/0000.parquet", "cola", "train"),
            ("cola/partial-train/0000.parquet", "cola", "train"),
            ("default/test/0000.parquet", "default", "test"),
        ];
        for (path, config, split) in cases {
            let shard = Shard::parse(path).unwrap();
            assert_eq!((shard.config, shard.split, shard.index), (config, split, 0), "{path}");
            assert_eq!(shard.partial, path.contains("partial-"));
        }
        assert_eq!(Shard::parse("README.md"), None);
        assert_eq!(Shard::parse("0000.parquet"), None);
    }

    #[test]
    fn a_split_is_not_mistaken_for_one_that_starts_with_its_name() {
        let paths = [
            "mnli/validation_matched-00000-of-00001.parquet",
            "mnli/validation_mismatched-00000-of-00001.parquet",
            "mnli/validation-00000-of-00001.parquet",
        ];
        assert_eq!(chosen(&paths, Some("mnli"), "validation").unwrap(), [paths[2]]);
        assert_eq!(chosen(&paths, Some("mnli"), "validation_matched").unwrap(), [paths[0]]);
        let error = chosen(&paths[..2], Some("mnli"), "validation").unwrap_err();
        assert!(error.ends_with("available: validation_matched, validation_mismatched"), "{error}");
    }

    #[test]
    fn shards_are_in_the_order_of_their_numbers() {
        let converted = ["c/train/10.parquet", "c/train/2.parquet"];
        let mut all: Vec<String> = (0..12).map(|i| format!("c/train/{i}.parquet")).collect();
        all.sort();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let ordered = chosen(&all, Some("c"), "train").unwrap();
        assert_eq!((&*ordered[2], &*ordered[10]), (converted[1], converted[0]));
    }

    #[test]
    fn a_missing_or_duplicate_shard_is_refused() {
        let missing = ["data/train-00000-of-00002.parquet"];
        assert!(chosen(&missing, None, "train").unwrap_err().contains("not one complete set"));
        let twice = ["data/train-00000-of-00001-aa.parquet", "data/train-00000-of-00001-bb.parquet"];
        assert!(chosen(&twice, None, "train").unwrap_err().contains("not one complete set"));
        let gap = ["c/train/0000.parquet", "c/train/0002.parquet"];
        assert!(chosen(&gap, None, "train").unwrap_err().contains("not one complete set"));
    }

    #[test]
    fn the_configuration_may_be_omitted_if_unambiguous() {
        let one = ["plain_text/train-00000-of-00001.parquet"];
        assert_eq!(chosen(&one, None, "train").unwrap(), one);
        let two = ["a/train.parquet", "b/train.parquet"];
        assert!(chosen(&two, None, "train").unwrap_err().ends_with("choose one; available: a, b"));
        let error = chosen(&two, Some("d"), "train").unwrap_err();
        assert_eq!(error, "dataset owner/name at main: no configuration \"d\"; available: a, b");
    }
}

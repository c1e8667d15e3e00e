//! A cache with files planted by somebody else.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use peft_bench::hub::HubError;

use super::standin::{git_blob, sha256};
use super::{Bench, DATASET, README, ROWS, TRAIN, assert_rows, dataset, fetch};

const CONTENT: &[u8] = b"# Data\n";

/// Plants something at a path, such as a link to a victim.
type Plant = fn(&Path, &Path);

#[test]
fn a_planted_file_is_neither_followed_nor_replaced() {
    let link = |place: &Path, victim: &Path| symlink(victim, place).unwrap();
    let dangling = |place: &Path, victim: &Path| symlink(victim.with_extension("new"), place).unwrap();
    let hard_link = |place: &Path, victim: &Path| fs::hard_link(victim, place).unwrap();
    let full = |place: &Path, _: &Path| symlink("/dev/full", place).unwrap();
    let fifo =
        |place: &Path, _: &Path| assert!(Command::new("mkfifo").arg(place).status().unwrap().success());
    let folder = |place: &Path, _: &Path| fs::create_dir(place).unwrap();
    let kinds: [Plant; 6] = [link, dangling, hard_link, full, fifo, folder];
    for plant in kinds {
        for ending in ["", ".lock"] {
            let bench = Bench::new();
            let victim = bench.cache.path().join("victim");
            fs::write(&victim, "precious").unwrap();
            let partial = bench.folder().join(".peft-bench/partial");
            fs::create_dir_all(&partial).unwrap();
            let place = partial.join(git_blob(CONTENT) + ending);
            plant(&place, &victim);
            let error = bench.fetch(README).unwrap_err();
            assert!(matches!(error, HubError::Planted { .. }), "{error}");
            assert!(error.to_string().contains(place.to_str().unwrap()), "{error}");
            assert!(place.symlink_metadata().is_ok());
            assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
            assert!(!victim.with_extension("new").exists());
            assert!(bench.visible().is_empty());
        }
    }
}

#[test]
fn a_link_in_place_of_our_folder_is_not_written_to() {
    for name in [".peft-bench", ".peft-bench/partial"] {
        let bench = Bench::new();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::create_dir_all(bench.folder().join(name).parent().unwrap()).unwrap();
        symlink(elsewhere.path(), bench.folder().join(name)).unwrap();
        let error = bench.fetch(README).unwrap_err();
        assert!(matches!(error, HubError::Planted { .. }), "{error}");
        assert!(!elsewhere.path().join(git_blob(CONTENT)).exists());
    }
}

#[test]
fn a_reference_without_a_commit_is_reported() {
    for text in ["", "main", "../../../..", &"a".repeat(41), "\u{1b}[31m"] {
        let bench = Bench::new();
        fs::create_dir_all(bench.folder().join("refs")).unwrap();
        fs::write(bench.folder().join("refs/main"), text).unwrap();
        let error = bench.offline().resolve(&dataset()).unwrap_err();
        assert!(matches!(error, HubError::Damaged { .. }), "{text:?}: {error}");
        assert!(error.to_string().contains("refs/main"), "{error}");
        assert_rows(bench.fetch(TRAIN));
        assert_rows(fetch(&bench.offline(), &dataset(), TRAIN));
    }
}

#[test]
fn a_cached_listing_is_checked_like_one_from_the_hub() {
    let bench = Bench::new();
    let pinned = dataset().at(bench.hub.commit(DATASET, "main"));
    assert_rows(fetch(&bench.client(), &pinned, TRAIN));
    let listing = bench.folder().join(".peft-bench/listings").join(&pinned.revision);
    let good = fs::read_to_string(&listing).unwrap();
    let victim = bench.cache.path().join("victim");
    for (from, to) in [
        (git_blob(CONTENT).as_str(), victim.to_str().unwrap()),
        (&git_blob(CONTENT), ""),
        (README, "../../../../victim"),
        (&good, "[1]"),
    ] {
        fs::write(&listing, good.replace(from, to)).unwrap();
        let before = bench.hub.requests("GET", "/tree/").len();
        assert!(fetch(&bench.client(), &pinned, README).is_ok(), "{to}");
        assert!(bench.hub.requests("GET", "/tree/").len() > before, "it is asked for again");
        assert_eq!(fs::read_to_string(&listing).unwrap(), good);
        assert!(!victim.exists());
    }
    fs::remove_file(&listing).unwrap();
    symlink("/dev/zero", &listing).unwrap();
    assert_rows(fetch(&bench.offline(), &pinned, TRAIN));
    assert_rows(fetch(&bench.client(), &pinned, TRAIN));
    assert!(listing.symlink_metadata().unwrap().is_file());
}

#[test]
fn non_files_in_a_snapshot_are_not_read_and_loops_terminate() {
    let bench = Bench::new();
    bench.put_cached(TRAIN, &sha256(ROWS), ROWS);
    let snapshot = bench.cached("x").parent().unwrap().to_path_buf();
    for name in ["loop-1", "loop-2"] {
        symlink(".", snapshot.join(name)).unwrap();
    }
    symlink("/dev/zero", snapshot.join("zero.parquet")).unwrap();
    assert!(Command::new("mkfifo").arg(snapshot.join("fifo.parquet")).status().unwrap().success());
    let found = bench.offline().resolve(&dataset()).unwrap();
    assert_eq!(found.files.iter().map(|file| &*file.path).collect::<Vec<_>>(), [TRAIN]);
}

#[test]
fn a_git_lfs_pointer_in_place_of_a_file_is_recognized() {
    let bench = Bench::new();
    let pointer =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 50\n", sha256(ROWS));
    bench.put_cached(TRAIN, &sha256(ROWS), pointer.as_bytes());
    let error = fetch(&bench.offline(), &dataset(), TRAIN).unwrap_err();
    assert!(matches!(error, HubError::Pointer { .. }) && error.is_fixed_by_fetching(), "{error}");
    assert_rows(bench.fetch(TRAIN));
    assert_rows(fetch(&bench.offline(), &dataset(), TRAIN));
}

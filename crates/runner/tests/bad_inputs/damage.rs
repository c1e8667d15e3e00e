//! Changed bytes and truncated files: no reader may panic or hang.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device};
use peft_bench::results::Store;
use peft_bench::task;
use peft_bench::tokenizer::Tokenizer;
use peft_model::families;
use peft_model::random::keyed_rng;
use rand::Rng;

use crate::common::{Workspace, assert_success, files};
use crate::harness::{Case, check};

/// Damaged copies of every file; each is one more process or call.
const COPIES: u64 = 60;

const PARQUET: &[u8] = include_bytes!("../fixtures/parquet/written-snappy-dictionary.parquet");

/// A file with one byte changed, cut somewhere, or with a stretch of it doubled.
fn damaged(bytes: &[u8], copy: u64) -> Vec<u8> {
    let mut rng = keyed_rng(copy, "damage");
    let at = rng.random_range(0..bytes.len());
    match copy % 3 {
        0 => bytes
            .iter()
            .enumerate()
            .map(|(i, &b)| if i == at { b ^ (1 << (copy / 3 % 8)) } else { b })
            .collect(),
        1 => bytes[..at].to_vec(),
        _ => [&bytes[..at], &bytes[at / 2..]].concat(),
    }
}

/// Reads damaged copies of a file in its place; any result is fine, as long as there is one.
fn survives(path: &Path, read: impl Fn()) {
    let whole = fs::read(path).unwrap();
    for copy in 0..COPIES {
        fs::write(path, damaged(&whole, copy)).unwrap();
        let ended = catch_unwind(AssertUnwindSafe(&read));
        assert!(ended.is_ok(), "{}: copy {copy} panics", path.display());
    }
    fs::write(path, whole).unwrap();
}

#[test]
fn damaged_models_do_not_panic() {
    let w = Workspace::new();
    let folder = w.path("model");
    for name in ["config.json", "model.safetensors"] {
        survives(&folder.join(name), || drop(families::load(&folder, &Device::flex(), DType::F32)));
    }
    let path = folder.join("tokenizer.json");
    survives(&path, || drop(Tokenizer::from_bytes(&fs::read(&path).unwrap(), &path, 1, 24)));
}

#[test]
fn damaged_tasks_do_not_panic() {
    let w = Workspace::new();
    let path = w.path("tiny.toml");
    survives(&path, || drop(task::find(path.to_str().unwrap())));
}

#[test]
fn damaged_results_do_not_panic() {
    let w = Workspace::new();
    assert_success(&w.train("lora", &["--seed", "1", "--steps", "2", "--out", "out"]));
    let store = Store::open(&w.path("out")).unwrap();
    let cell = files(&w.path("out/cells")).remove(0);
    let path: PathBuf = w.path("out/cells").join(&cell);
    survives(&path, || drop(store.read(cell.trim_end_matches(".parquet"))));
}

#[test]
fn damaged_files_are_refused_or_survived_by_the_program() {
    let train = "run tiny-suite.toml --method lora --seed 1 --steps 1 --out out";
    let targets = [
        ("rows/train.csv", train),
        ("rows/train.parquet", train),
        ("tiny-suite.toml", train),
        ("recipe.toml", "pretrain recipe.toml --out out"),
        ("adapter/adapter.json", crate::adapters::SCORE),
        ("adapter/adapter.safetensors", crate::adapters::SCORE),
        ("pairs.jsonl", crate::adapters::SCORE),
    ];
    let cases = targets.into_iter().flat_map(|(file, command)| {
        (0..COPIES / 6).map(move |copy| {
            let case = Case::new(format!("{file}, damaged copy {copy}")).with(crate::adapters::write);
            let case = case.with(crate::recipes::write).command(command).may_succeed();
            let case = match file {
                "rows/train.parquet" => case.write(file, PARQUET).edit("tiny.toml", "rows/train.csv", file),
                _ => case,
            };
            case.with(move |w| w.write_bytes(file, &damaged(&fs::read(w.path(file)).unwrap(), copy)))
        })
    });
    check(cases.collect());
}

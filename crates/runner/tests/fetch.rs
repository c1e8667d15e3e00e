//! `peft-bench fetch` and what runs after it without a network, against the stand-in hub.

mod common;
mod standin;

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Workspace, assert_refused, assert_success, stderr, stdout};
use peft_bench::results::Store;
use polars::prelude::*;
use standin::{Fault, Standin};

const ROWS: &str = "datasets/o/rows";

/// Three files of the model and three splits, of which validation and test have the same content.
const DOWNLOADS: usize = 5;

/// The tiny task and the tiny model, on a hub.
fn on_the_hub() -> (Workspace, Standin) {
    let (workspace, hub) = (Workspace::new(), Standin::start());
    let files = ["config.json", "model.safetensors", "tokenizer.json"];
    let contents = files.map(|name| fs::read(workspace.path("model").join(name)).unwrap());
    let model: Vec<(&str, &[u8])> = files.into_iter().zip(contents.iter().map(Vec::as_slice)).collect();
    hub.put("models/o/tiny", "main", &model);
    for split in ["train", "validation", "test"] {
        let path = workspace.path(&format!("rows/{split}.csv"));
        let mut frame =
            CsvReadOptions::default().try_into_reader_with_file_path(Some(path)).unwrap().finish().unwrap();
        let mut bytes = Vec::new();
        ParquetWriter::new(&mut bytes).finish(&mut frame).unwrap();
        hub.put(ROWS, "main", &[(&format!("data/{split}-00000-of-00001.parquet"), &bytes)]);
    }
    let files =
        r#"files = { train = "rows/train.csv", validation = "rows/validation.csv", test = "rows/test.csv" }"#;
    workspace.edit("tiny.toml", files, "repo = \"o/rows\"");
    workspace.edit("tiny-suite.toml", "model = \"model\"", "model = \"o/tiny\"");
    (workspace, hub)
}

fn online(workspace: &Workspace, hub: &Standin, arguments: &[&str]) -> Command {
    let mut command = workspace.command(arguments);
    command.env("HF_HUB_OFFLINE", "0").env("HF_ENDPOINT", &hub.endpoint);
    command
}

#[test]
fn what_was_fetched_runs_without_a_network() {
    let (workspace, hub) = on_the_hub();
    let offline = workspace.run(&["run", "tiny-suite.toml", "--out", "out"]);
    assert_refused(&offline, &["o/tiny", "not in the cache", "peft-bench fetch"]);

    let fetched = online(&workspace, &hub, &["fetch", "tiny-suite.toml"]).output().unwrap();
    assert_success(&fetched);
    let commit = hub.commit(ROWS, "main");
    assert!(stdout(&fetched).contains(&commit), "{}", stdout(&fetched));
    let downloads = hub.downloads().len();
    assert_eq!(downloads, DOWNLOADS);

    let again = online(&workspace, &hub, &["fetch", "tiny-suite.toml"]).output().unwrap();
    assert!(stdout(&again).contains("0.0 MiB were fetched"), "{}", stdout(&again));
    assert_eq!(hub.downloads().len(), downloads);

    assert_success(&workspace.run(&["run", "tiny-suite.toml", "--out", "out"]));
    let cell = common::files(&workspace.path("out/cells")).remove(0);
    let store = Store::open(&workspace.path("out")).unwrap();
    let record = store.read(cell.trim_end_matches(".parquet")).unwrap().unwrap();
    assert_eq!(record.dataset_commit.as_deref(), Some(commit.as_str()));
    assert_eq!(record.model_revision, hub.commit("models/o/tiny", "main"));
}

#[test]
fn a_run_falls_back_on_the_cache_when_the_hub_cannot_be_reached() {
    let (workspace, hub) = on_the_hub();
    assert_success(&online(&workspace, &hub, &["fetch", "tiny-suite.toml"]).output().unwrap());
    let mut command = workspace.command(&["run", "tiny-suite.toml", "--out", "out", "--steps", "2"]);
    let output =
        command.env("HF_HUB_OFFLINE", "0").env("HF_ENDPOINT", "http://127.0.0.1:1").output().unwrap();
    assert_success(&output);
    let warnings = stderr(&output).matches("going on with what the cache has").count();
    assert_eq!(warnings, 1, "one warning is enough: {}", stderr(&output));
}

#[test]
fn two_processes_fetch_at_once() {
    let (workspace, hub) = on_the_hub();
    hub.spoil("GET", "/store/", 2, Fault::Stall(10, Duration::from_millis(300)));
    let start = || {
        let mut command = online(&workspace, &hub, &["fetch", "tiny-suite.toml"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let processes = [start(), start()];
    for process in processes {
        assert_success(&process.wait_with_output().unwrap());
    }
    assert_eq!(hub.downloads().len(), DOWNLOADS, "each file once");
    assert_success(&workspace.run(&["run", "tiny-suite.toml", "--out", "out", "--steps", "2"]));
}

#[test]
fn one_missing_dataset_does_not_keep_the_others_from_being_fetched() {
    let (workspace, hub) = on_the_hub();
    workspace.write("gone.toml", &workspace.read("tiny.toml").replace("o/rows", "o/gone"));
    let tasks = ["fetch", "tiny-suite.toml", "--task", "gone.toml", "--task", "tiny.toml"];
    let output = online(&workspace, &hub, &tasks).output().unwrap();
    assert_refused(&output, &["gone", "o/gone", "no such repository"]);
    assert_eq!(hub.downloads().len(), DOWNLOADS);
}

//! Non-files and files of other kinds where a file is expected.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::common::Workspace;
use crate::harness::{Case, check};

const LFS_POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22e\
                           adbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";

/// A kind of file, and how to make one at a path that is free.
type Kind = (&'static str, fn(&Path));

const KINDS: [Kind; 10] = [
    ("missing", |_| {}),
    ("empty", |path| fs::write(path, "").unwrap()),
    ("a folder", |path| fs::create_dir(path).unwrap()),
    ("a FIFO", |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success())),
    ("a link to an endless device", |path| symlink("/dev/zero", path).unwrap()),
    ("a link to nowhere", |path| symlink("nowhere", path).unwrap()),
    ("a link to itself", |path| symlink(path, path).unwrap()),
    ("a Git LFS pointer", |path| fs::write(path, LFS_POINTER).unwrap()),
    ("UTF-16", |path| fs::write(path, utf16("{\"a\": [1, 2]}\n")).unwrap()),
    ("64 MiB of one line", |path| File::create(path).unwrap().set_len(64 << 20).unwrap()),
];

fn utf16(text: &str) -> Vec<u8> {
    "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

/// Puts each kind of file in the place of one.
fn each_kind<'a>(file: &'a str, command: &'a str, prepare: fn(&Workspace)) -> Vec<Case<'a>> {
    let name = Path::new(file).file_name().unwrap().to_str().unwrap();
    let kinds = KINDS.into_iter();
    kinds
        .map(|(kind, make)| {
            let case = Case::new(format!("{file} is {kind}")).with(prepare).with(move |w| {
                let path = w.path(file);
                let _ = fs::remove_file(&path);
                make(&path);
            });
            let case = if command.is_empty() { case } else { case.command(command) };
            case.says(&[name])
        })
        .collect()
}

fn nothing(_: &Workspace) {}

#[test]
fn non_files_in_a_model_folder_are_named() {
    for file in ["model/config.json", "model/tokenizer.json", "model/model.safetensors"] {
        check(each_kind(file, "", nothing));
    }
}

#[test]
fn non_files_in_place_of_tasks_suites_and_recipes_are_named() {
    for file in ["tiny.toml", "tiny-suite.toml"] {
        check(each_kind(file, "", nothing));
    }
    check(each_kind("recipe.toml", "pretrain recipe.toml --out out", crate::recipes::write));
}

#[test]
fn data_files_of_other_formats_are_named() {
    check(each_kind("rows/train.csv", "", nothing));
    fn other(w: &Workspace, ending: &str) {
        w.edit("tiny.toml", "rows/test.csv", &format!("rows/test.{ending}"));
    }
    check(each_kind("rows/test.tsv", "", |w| other(w, "tsv")));
    check(each_kind("rows/test.jsonl", "", |w| other(w, "jsonl")));
    check(each_kind("rows/test.parquet", "", |w| other(w, "parquet")));
}

#[test]
fn non_files_as_command_inputs_are_named() {
    // Nothing to score is no mistake.
    let inputs =
        |command| each_kind("in.jsonl", command, nothing).into_iter().map(Case::may_succeed).collect();
    check(inputs("score --model model --input in.jsonl --output out.jsonl"));
    check(inputs("metric accuracy --input in.jsonl"));
}

#[test]
fn non_files_in_an_adapter_folder_are_named() {
    for file in ["adapter/adapter.json", "adapter/adapter.safetensors"] {
        check(each_kind(file, crate::adapters::SCORE, crate::adapters::write));
    }
}

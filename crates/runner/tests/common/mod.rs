//! A workspace in a temporary folder: a tiny random T5, its tokenizer, and a task from local files.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use burn::tensor::{DType, Device};
use peft_model::Configuration;
use peft_model::t5::{T5Config, T5Configuration};
use serde_json::json;

pub(crate) struct Workspace {
    folder: tempfile::TempDir,
}

const WORDS: [&str; 24] = [
    "<pad>",
    "</s>",
    "<unk>",
    "0",
    "1",
    "2",
    "sentence:",
    "good",
    "bad",
    "film",
    "book",
    "the",
    "a",
    "was",
    "is",
    "very",
    "not",
    "red",
    "green",
    "blue",
    "one",
    "two",
    "three",
    "four",
];

impl Workspace {
    /// A model in `model/` and a sentiment-like task `tiny.toml` with train, validation and test files.
    pub(crate) fn new() -> Self {
        let workspace = Self { folder: tempfile::tempdir().unwrap() };
        workspace.write_model();
        workspace.write_task();
        workspace
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        self.write_bytes(name, text.as_bytes());
    }

    pub(crate) fn write_bytes(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Replaces text in a file; the text must occur.
    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "`{from}` is not in {name}");
        self.write(name, &text.replace(from, to));
    }

    /// Runs the program in this folder, isolated from the hub and from the user's settings.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The program with these arguments, ready to start.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_peft-bench"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("HF_HOME", self.path("hf-home"))
            .env("HF_HUB_OFFLINE", "1")
            .env("PEFT_BENCH_CACHE", self.path("tokens"))
            .env("PEFT_BENCH_JOBS", "1")
            .env_remove("HF_ENDPOINT")
            .env_remove("HF_HUB_CACHE")
            .env_remove("HF_HUB_DISABLE_IMPLICIT_TOKEN")
            .env_remove("HF_TOKEN")
            .env_remove("HF_TOKEN_PATH")
            .env_remove("HUGGINGFACE_HUB_CACHE")
            .env_remove("HUGGING_FACE_HUB_TOKEN")
            .env_remove("TRANSFORMERS_OFFLINE");
        command
    }

    /// Runs the tiny task for a few steps.
    pub(crate) fn train(&self, method: &str, more: &[&str]) -> Output {
        let mut arguments = vec!["run", "tiny-suite.toml", "--method", method];
        arguments.extend(more);
        self.run(&arguments)
    }

    fn write_model(&self) {
        let config = T5Config {
            vocab_size: WORDS.len(),
            d_model: 16,
            d_kv: 4,
            d_ff: 24,
            num_layers: 2,
            num_decoder_layers: Some(1),
            num_heads: 2,
            ..T5Config::t5_small()
        };
        let folder = self.path("model");
        fs::create_dir_all(&folder).unwrap();
        let configuration = T5Configuration::new(config).unwrap();
        configuration.random(1, &Device::flex(), DType::F32).save(&folder, DType::F32).unwrap();
        let vocabulary: serde_json::Map<String, serde_json::Value> =
            WORDS.iter().enumerate().map(|(id, word)| (word.to_string(), id.into())).collect();
        let special = |id: usize| {
            json!({"id": id, "content": WORDS[id], "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false, "special": true})
        };
        let tokenizer = json!({
            "version": "1.0", "truncation": null, "padding": null,
            "added_tokens": [special(0), special(1), special(2)],
            "normalizer": null,
            "pre_tokenizer": {"type": "WhitespaceSplit"},
            "post_processor": {"type": "TemplateProcessing",
                "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
                "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}},
            "decoder": null,
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"}
        });
        self.write("model/tokenizer.json", &tokenizer.to_string());
    }

    fn write_task(&self) {
        self.write(
            "tiny.toml",
            r#"
title = "Tiny"
group = "Tests"

[data]
files = { train = "rows/train.csv", validation = "rows/validation.csv", test = "rows/test.csv" }

[split]
rule = "official"

[text]
source = "sentence: {text}"

[labels]
words = ["0", "1"]

[metrics]
select = "accuracy"
also = ["f1"]
"#,
        );
        self.write(
            "tiny-suite.toml",
            r#"
title = "Tiny suite"
model = "model"
tasks = ["tiny.toml"]
seeds = [1, 2]

[training]
steps = 12
batch_size = 4
warmup_steps = 2
evaluate_every = 6
eval_batch_size = 8

[methods.lora]
rank = 2
alpha = 2.0
learning_rate = 0.01

[methods.prompt-tuning]
prompt.length = 3
"#,
        );
        for (name, count) in [("train", 40), ("validation", 12), ("test", 12)] {
            let mut csv = String::from("text,label\n");
            for i in 0..count {
                let (word, label) = if i % 3 == 0 { ("bad", 0) } else { ("good", 1) };
                let noun = ["film", "book", "red", "green"][i % 4];
                let tail = "very ".repeat(i % 5);
                csv.push_str(&format!("the {noun} was {tail}{word},{label}\n"));
            }
            self.write(&format!("rows/{name}.csv"), &csv);
        }
    }
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Asserts that the run was refused with exit code 2 and one message with all these parts.
pub(crate) fn assert_refused(output: &Output, parts: &[&str]) {
    let message = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{message}");
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    assert_eq!(message.matches("error:").count(), 1, "{message}");
}

pub(crate) fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}\n{}", stdout(output), stderr(output));
}

/// Names of the files in a folder, hidden ones included, sorted.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

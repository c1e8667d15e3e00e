//! Checks of a task's rows before training: tasks with meaningless scores are refused.

mod common;

use std::process::Output;

use common::{Workspace, assert_refused, assert_success, stderr};
use serde_json::{Value, json};

/// A workspace whose task has free-text answers in JSON lines.
struct Answers(Workspace);

impl Answers {
    fn new(metrics: &str) -> Self {
        let w = Workspace::new();
        w.write(
            "tiny.toml",
            &format!(
                "title = \"Tiny\"\ngroup = \"Tests\"\n\n[data.files]\ntrain = \"train.jsonl\"\n\
                 validation = \"validation.jsonl\"\ntest = \"test.jsonl\"\n\n[split]\nrule = \"official\"\n\n\
                 [text]\nsource = \"sentence: {{text}}\"\ntarget = \"{{answer}}\"\n\n[metrics]\n{metrics}\n"
            ),
        );
        let answers = Self(w);
        for file in ["train", "validation", "test"] {
            answers.write(file, &["good", "bad", "red film"], 10);
        }
        answers
    }

    /// Writes rows with these answers, many times over; the first is on line 1.
    fn write(&self, file: &str, answers: &[&str], times: usize) {
        let row = |answer: &&str| format!("{}\n", json!({"text": "the film was good", "answer": answer}));
        self.0.write(&format!("{file}.jsonl"), &answers.repeat(times).iter().map(row).collect::<String>());
    }

    fn run(&self, out: &str) -> Output {
        self.0.train("lora", &["--steps", "1", "--seed", "1", "--out", out])
    }

    fn refused(&self, parts: &[&str]) {
        assert_refused(&self.run("refused"), parts);
        assert!(!self.0.path("refused/cells").exists(), "nothing trains");
    }

    fn noted(&self, parts: &[&str]) {
        let output = self.run("out");
        assert_success(&output);
        let said = stderr(&output);
        let has_all =
            |line: &str| line.contains("note: tiny: ") && parts.iter().all(|part| line.contains(part));
        assert!(said.lines().any(has_all), "{parts:?} are in no note: {said}");
    }

    fn passes_without_note(&self) {
        let output = self.run("out");
        assert_success(&output);
        assert!(!stderr(&output).contains("note:"), "{}", stderr(&output));
    }
}

/// Replaces the model's tokenizer with one of single letters.
fn spell(w: &Workspace) {
    let mut tokenizer: Value = serde_json::from_str(&w.read("model/tokenizer.json")).unwrap();
    let letters = ('a'..='t').map(String::from);
    let pieces = ["<pad>", "</s>", "<unk>", "▁"].map(String::from).into_iter().chain(letters);
    let vocabulary: Vec<Value> = pieces.map(|piece| json!([piece, -1.0])).collect();
    tokenizer["model"] = json!({"type": "Unigram", "unk_id": 2, "vocab": vocabulary, "byte_fallback": false});
    let metaspace =
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
    tokenizer["pre_tokenizer"] = metaspace.clone();
    tokenizer["decoder"] = metaspace;
    w.write("model/tokenizer.json", &tokenizer.to_string());
}

#[test]
fn reachable_answers_pass_silently() {
    Answers::new("select = \"accuracy\"\nalso = [\"squad-f1\", \"exact-match\", \"matthews\"]")
        .passes_without_note();
}

#[test]
fn targets_that_the_tokenizer_cannot_encode_are_refused() {
    for metric in ["accuracy", "exact-match", "squad-f1"] {
        let task = Answers::new(&format!("select = \"{metric}\""));
        // Random guesses would score 100: both targets normalize to nothing.
        task.write("test", &["{", "}"], 20);
        task.refused(&[
            "tiny.toml",
            "`text.target`",
            "nothing is left of 40 of 40 test targets",
            "\"{\" (line 1)",
        ]);
        task.write("test", &["good", "bad", "😀"], 20);
        task.refused(&["`text.target`", "20 of 60 test targets", "\"😀\" (line 3) becomes \"\""]);
        task.write("test", &["good", "good {", "bad"], 20);
        task.refused(&["`text.target`", "\"good {\" (line 2) becomes \"good\", as does \"good\" (line 1)"]);
    }
    let task = Answers::new("select = \"accuracy\"");
    task.write("train", &["good", "\n"], 20);
    task.write("validation", &["good", "{\n"], 20);
    task.refused(&["`text.target`", "nothing is left of 20 of 40 validation targets"]);
}

#[test]
fn characters_that_targets_lose_are_counted() {
    let task = Answers::new("select = \"squad-f1\"");
    spell(&task.0);
    let answers: Vec<String> = (0..150).map(word).collect();
    let mut answers: Vec<&str> = answers.iter().map(String::as_str).collect();
    answers[7] = "a{b c";
    for file in ["train", "validation", "test"] {
        task.write(file, &answers, 1);
    }
    task.noted(&["1 of 150 test targets have characters", "\"a{b c\" (line 8) becomes \"ab c\""]);
    // One in a hundred may be lost, two may not.
    answers[9] = "{}";
    task.write("test", &answers, 1);
    task.noted(&["2 of 150 test targets have characters"]);
    answers[11] = "é";
    task.write("test", &answers, 1);
    task.refused(&["`text.target`", "nothing is left of 2 of 150 test targets", "\"{}\" (line 10)"]);
}

/// Different words of three letters.
fn word(number: usize) -> String {
    let letter = |place: usize| char::from(b'd' + (number / place % 6) as u8);
    [36, 6, 1].map(letter).iter().collect()
}

#[test]
fn hidden_labels_are_refused() {
    for metrics in ["select = \"pearson\"", "select = \"accuracy\"\nalso = [\"spearman\"]"] {
        let task = Answers::new(metrics);
        for file in ["train", "validation"] {
            task.write(file, &["0", "1"], 15);
        }
        task.write("test", &["2"], 12);
        task.refused(&["tiny.toml", "`split`", "every answer of the test split is `2`", "labels hidden"]);
    }
    // In every split, including training.
    let task = Answers::new("select = \"pearson\"");
    for file in ["train", "validation", "test"] {
        task.write(file, &["1"], 12);
    }
    task.refused(&[
        "tiny.toml",
        "`metrics`",
        "pearson",
        "perfect answers on the validation split 0.00",
        "`1`",
    ]);
    // A constant answer can be learned.
    let task = Answers::new("select = \"accuracy\"");
    task.write("test", &["good"], 30);
    task.noted(&["every answer of the test split is `good`"]);
}

#[test]
fn answers_that_normalize_to_nothing_are_reported() {
    let task = Answers::new("select = \"squad-f1\"");
    task.write("test", &["a", "good", "the"], 10);
    task.noted(&[
        "squad-f1",
        "perfect answers on the test split 33.33",
        "20 of its 30 answers, such as `a` (line 1)",
    ]);
    task.write("test", &["a", "the"], 15);
    task.refused(&[
        "tiny.toml",
        "`metrics`",
        "squad-f1",
        "perfect answers on the test split 0.00",
        "30 answers",
    ]);
    // Here, an empty answer scores as well.
    let task = Answers::new("select = \"exact-match\"");
    task.write("test", &["a", "good", "the"], 10);
    task.noted(&["exact-match", "an empty answer for right on 20 of 30 test rows", "`a` (line 1)"]);
    task.write("test", &["a", "the"], 15);
    task.refused(&[
        "tiny.toml",
        "`metrics`",
        "exact-match",
        "an empty answer for right on 30 of 30 test rows",
    ]);
    // For additional metrics it is only reported.
    let task = Answers::new("select = \"accuracy\"\nalso = [\"squad-f1\"]");
    task.write("test", &["a", "the"], 15);
    task.noted(&["squad-f1", "perfect answers on the test split 0.00"]);
}

#[test]
fn labels_that_a_metric_cannot_distinguish_are_refused() {
    let w = Workspace::new();
    w.edit("tiny.toml", "[\"0\", \"1\"]", "[\"the film\", \"a film\"]");
    w.edit("tiny.toml", "select = \"accuracy\"\nalso = [\"f1\"]", "select = \"exact-match\"");
    assert_refused(
        &w.train("lora", &[]),
        &["tiny.toml", "`metrics`", "exact-match takes the labels `the film` and `a film` for the same"],
    );
}

#[test]
fn declared_classes_without_rows_lower_what_can_be_reached() {
    let w = Workspace::new();
    w.edit("tiny.toml", "[\"0\", \"1\"]", "[\"0\", \"1\", \"2\"]");
    w.edit("tiny.toml", "also = [\"f1\"]", "also = [\"macro-f1\"]");
    let output = w.train("lora", &["--steps", "1", "--out", "out"]);
    assert_success(&output);
    let said = stderr(&output);
    assert!(said.contains("macro-f1 gives perfect answers on the test split 66.67"), "{said}");
    assert!(said.contains("no row has 1 of them, such as `2`"), "{said}");
}

#[test]
fn a_small_test_split_gives_a_warning() {
    let w = Workspace::new();
    let warning = "warning: tiny: the test split has only 12 rows, so that one of them is worth 8.3 points";
    let said = |w: &Workspace| {
        let output = w.train("lora", &["--steps", "1", "--seed", "1", "--out", "out"]);
        assert_success(&output);
        stderr(&output)
    };
    assert!(said(&w).contains(warning));
    let rows = w.read("rows/train.csv");
    w.write("rows/test.csv", &rows.lines().take(31).map(|line| format!("{line}\n")).collect::<String>());
    assert!(!said(&w).contains("warning"));
}

#[test]
fn a_limit_that_truncates_most_rows_gets_a_suggestion() {
    let said = |limit: usize| {
        let w = Workspace::new();
        w.write("rows/test.csv", &w.read("rows/train.csv"));
        let limits = format!("also = [\"f1\"]\n\n[limits]\nsource_tokens = {limit}");
        w.edit("tiny.toml", "also = [\"f1\"]", &limits);
        let output = w.train("lora", &["--steps", "1", "--seed", "1", "--out", "out"]);
        assert_success(&output);
        stderr(&output)
    };
    // Sources have 6 to 10 tokens.
    let (few, most) = (said(9), said(5));
    assert!(few.contains("8 of 40 test sources are longer than 9 tokens and were cut\n"), "{few}");
    assert!(most.contains("40 of 40 test sources are longer than 5 tokens and were cut; "), "{most}");
    assert!(most.contains("with `limits.source_tokens = 10` few would be"), "{most}");
}

#[test]
fn several_labels_per_row_are_refused_plainly() {
    let w = Workspace::new();
    w.edit("tiny.toml", "rows/train.csv", "rows/train.jsonl");
    w.write(
        "rows/train.jsonl",
        "{\"text\": \"good\", \"label\": [0]}\n{\"text\": \"bad\", \"label\": [0, 1]}\n",
    );
    assert_refused(
        &w.train("lora", &[]),
        &[
            "tiny.toml",
            "train.jsonl, line 1",
            "column `label` holds a list",
            "multi-label tasks are not supported",
        ],
    );
}

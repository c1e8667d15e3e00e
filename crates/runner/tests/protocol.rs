//! The reference's training protocol: batches, evaluations, selection, few-shot rows.

mod common;

use common::{Workspace, assert_refused, assert_success, files, stderr};
use peft_bench::results::{Record, Store};

/// Runs a method of the tiny suite into a folder, with other training settings.
fn records(w: &Workspace, out: &str, training: &str) -> Vec<Record> {
    let suite = w.read("tiny-suite.toml").replace("eval_batch_size = 8", training);
    w.write("changed.toml", &suite);
    assert_success(&w.run(&["run", "changed.toml", "--method", "lora", "--out", out]));
    let store = Store::open(&w.path(out)).unwrap();
    let cells = files(&w.path(out).join("cells"));
    let read = |name: &String| store.read(name.trim_end_matches(".parquet")).unwrap().unwrap();
    let mut records: Vec<Record> = cells.iter().map(read).collect();
    records.sort_by_key(|record| record.seed);
    records
}

#[test]
fn evaluations_happen_each_epoch_and_after_the_last_step() {
    let w = Workspace::new();
    w.edit("tiny-suite.toml", "evaluate_every = 6", "evaluate_every = \"epoch\"");
    // 40 rows: 10 steps of 4 rows.
    let updates: Vec<u64> =
        records(&w, "steps", "")[0].validation_curve.iter().map(|(step, _)| *step).collect();
    assert_eq!(updates, [10, 12]);
    w.edit("tiny-suite.toml", "steps = 12", "epochs = 2");
    let updates: Vec<u64> =
        records(&w, "epochs", "")[0].validation_curve.iter().map(|(step, _)| *step).collect();
    assert_eq!(updates, [10, 20]);
}

#[test]
fn the_mean_of_the_tasks_metrics_selects_if_the_suite_asks_for_it() {
    let w = Workspace::new();
    w.edit("tiny.toml", "also = [\"f1\"]", "also = [\"f1\"]\naverage = [\"accuracy\", \"f1\"]");
    for record in records(&w, "average", "selection = \"average\"") {
        assert_eq!(record.selection_metric, "mean of accuracy and f1");
        let scores: serde_json::Value = serde_json::from_str(&record.validation_scores).unwrap();
        let mean = (scores["accuracy"].as_f64().unwrap() + scores["f1"].as_f64().unwrap()) / 2.0;
        assert_eq!(record.selection_score, Some(mean));
        let best = record.validation_curve.iter().map(|(_, score)| *score).fold(f64::MIN, f64::max);
        assert_eq!(best, mean);
        let first = record.validation_curve.iter().find(|(_, score)| *score == best).unwrap().0;
        assert_eq!(record.best_step, Some(first), "the first of equals");
    }
    assert!(records(&w, "first", "").iter().all(|record| record.selection_metric == "accuracy"));
}

#[test]
fn every_protocol_setting_changes_the_cell() {
    let w = Workspace::new();
    let base = records(&w, "base", "");
    for (i, setting) in [
        "batching = \"bucketed\"",
        "accumulation = 2",
        "selection = \"average\"",
        "task_prefix = true",
        "epsilon = 1e-8",
        "max_gradient_norm = 0.5",
        "eval_batch_size = 3",
    ]
    .into_iter()
    .enumerate()
    {
        for record in records(&w, &format!("out-{i}"), setting) {
            assert!(base.iter().all(|other| other.cell != record.cell), "{setting}");
        }
    }
}

#[test]
fn settings_that_change_arithmetic_change_the_losses() {
    let w = Workspace::new();
    w.edit("tiny-suite.toml", "learning_rate = 0.01", "learning_rate = 0.3");
    let losses = |out: &str, setting: &str| -> Vec<_> {
        records(&w, out, setting).into_iter().map(|record| record.losses).collect()
    };
    let base = losses("base", "");
    assert_ne!(base[0], base[1], "seeds differ");
    for (i, setting) in
        ["batching = \"bucketed\"", "max_gradient_norm = 1e-6", "epsilon = 1.0", "task_prefix = true"]
            .into_iter()
            .enumerate()
    {
        let changed = losses(&format!("out-{i}"), setting);
        assert!(base.iter().zip(&changed).all(|(a, b)| a != b), "{setting}: {base:?} {changed:?}");
    }
}

#[test]
fn accumulated_batches_are_the_rows_of_the_whole_batch() {
    let w = Workspace::new();
    w.edit("model/config.json", "\"dropout_rate\": 0.1", "\"dropout_rate\": 0.0");
    let (whole, halves) = (records(&w, "whole", ""), records(&w, "halves", "accumulation = 2"));
    for (whole, halves) in whole.iter().zip(&halves) {
        for ((_, a), (_, b)) in whole.losses.iter().zip(&halves.losses) {
            assert!((a - b).abs() < 1e-4 * a, "{:?} {:?}", whole.losses, halves.losses);
        }
    }
}

#[test]
fn the_size_of_evaluation_batches_changes_no_score() {
    let w = Workspace::new();
    let scores = |out: &str, setting: &str| -> Vec<_> {
        records(&w, out, setting).into_iter().map(|r| (r.test_scores, r.validation_curve)).collect()
    };
    assert_eq!(scores("one", "eval_batch_size = 1"), scores("all", "eval_batch_size = 100"));
}

#[test]
fn the_task_prefix_is_part_of_the_recorded_specification() {
    let w = Workspace::new();
    w.edit("tiny.toml", "[text]", "[text]\nname = \"the\"");
    for (out, setting, source) in
        [("with", "task_prefix = true", "the sentence: {text}"), ("without", "", "sentence: {text}")]
    {
        let spec: serde_json::Value = serde_json::from_str(&records(&w, out, setting)[0].task_spec).unwrap();
        assert_eq!(spec["text"]["source"], source);
    }
}

/// The tiny task with three classes.
fn three_classes() -> Workspace {
    let w = Workspace::new();
    w.edit("tiny.toml", "[\"0\", \"1\"]", "[\"0\", \"1\", \"2\"]");
    w.edit("tiny.toml", "also = [\"f1\"]", "");
    let rows: String = (0..40).map(|i| format!("the film was {i},{}\n", i % 3)).collect();
    w.write("rows/train.csv", &format!("text,label\n{rows}"));
    w
}

#[test]
fn few_shot_rows_follow_the_suites_rule() {
    let w = three_classes();
    w.edit("tiny-suite.toml", "seeds = [1, 2]", "seeds = [1, 2]\nshots = [8]");
    let base = w.read("tiny-suite.toml");
    let mut cells = Vec::new();
    // Two of each class, and no remainder.
    for (rule, rows) in [("", 6), ("shots_rule = \"reference\"", 6), ("shots_rule = \"balanced\"", 8)] {
        w.write("tiny-suite.toml", &base.replace("shots = [8]", &format!("shots = [8]\n{rule}")));
        let out = format!("out-{}", cells.len());
        let records = records(&w, &out, "");
        assert!(records.iter().all(|record| record.train_rows == rows), "{rule}");
        let run = w.run(&["run", "tiny-suite.toml", "--method", "lora", "--out", &out]);
        assert_eq!(stderr(&run).contains("of 8 shots the reference's rule chooses only 6 rows"), rows == 6);
        cells.push(records[0].cell.clone());
    }
    assert_eq!(cells[0], cells[1], "the reference's rule is the default");
    assert_ne!(cells[1], cells[2]);
}

#[test]
fn epochs_count_the_chosen_rows() {
    let w = three_classes();
    w.edit("tiny-suite.toml", "seeds = [1, 2]", "seeds = [1]\nshots = [9]");
    w.edit("tiny-suite.toml", "steps = 12", "epochs = 3");
    w.edit("tiny-suite.toml", "evaluate_every = 6", "evaluate_every = \"epoch\"");
    let updates = |out: &str| -> Vec<u64> {
        records(&w, out, "")[0].validation_curve.iter().map(|(step, _)| *step).collect()
    };
    assert_eq!(updates("nine"), [3, 6, 9], "9 rows in batches of 4");
    w.edit("tiny-suite.toml", "shots = [9]", "shots = [11]");
    assert_eq!(updates("eleven"), [3, 6, 9], "9 of 11 rows");
    w.edit("tiny-suite.toml", "shots = [11]", "shots = [5]");
    assert_eq!(updates("five"), [1, 2, 3], "3 of 5 rows");
}

#[test]
fn seeds_that_differ_by_two_to_the_32_train_on_other_rows() {
    let w = Workspace::new();
    w.edit("tiny-suite.toml", "seeds = [1, 2]", "seeds = [1, 4294967297]\nshots = [4]");
    let records = records(&w, "out", "");
    assert_ne!(records[0].losses, records[1].losses);
}

#[test]
fn what_cannot_be_trained_is_refused_before_anything_trains() {
    let cases: [(&str, &str, &[&str]); 9] = [
        ("seeds = [1, 2]", "seeds = [1]\nshots = [2]", &["`shots`", "2", "tiny", "balanced"]),
        ("seeds = [1, 2]", "seeds = [1]\nshots_rule = \"reference\"", &["`shots_rule`", "`shots`"]),
        ("seeds = [1, 2]", "seeds = [1]\nshots = [4]\nshots_rule = \"numpy\"", &["numpy", "balanced"]),
        ("steps = 12", "epochs = 1000000000", &["tiny-suite.toml", "`training.epochs`", "1000000000"]),
        ("evaluate_every = 6", "evaluate_every = \"epochs\"", &["`evaluate_every`", "\"epoch\""]),
        ("evaluate_every = 6", "evaluate_every = 0", &["`training.evaluate_every`", "0"]),
        ("steps = 12", "steps = 12\nbatching = \"sorted\"", &["`batching`", "random", "bucketed"]),
        ("steps = 12", "steps = 12\nselection = \"last\"", &["`selection`", "first", "average"]),
        ("steps = 12", "steps = 12\ntask_prefix = \"cola\"", &["`task_prefix`", "boolean"]),
    ];
    for (from, to, parts) in cases {
        let w = three_classes();
        w.edit("tiny-suite.toml", from, to);
        assert_refused(&w.run(&["run", "tiny-suite.toml", "--out", "out"]), parts);
        assert!(files(&w.path("out/cells")).is_empty(), "{to}");
    }
    for (from, to, part) in [
        ("[text]", "[text]\nname = \" \"", "`text.name`"),
        ("select =", "average = [\"accuracy\", \"accuracy\"]\nselect =", "`metrics.average`"),
        ("select =", "average = [\"pearsn\"]\nselect =", "pearson"),
    ] {
        let w = Workspace::new();
        w.edit("tiny.toml", from, to);
        assert_refused(&w.run(&["run", "tiny-suite.toml", "--out", "out"]), &["tiny.toml", part]);
    }
}

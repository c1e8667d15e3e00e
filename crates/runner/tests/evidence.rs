//! What is kept of a cell beside its score: predictions item by item, curves, and scores that can be added later.

mod common;

use std::fs;

use common::{Workspace, assert_refused, assert_success, files, stdout};
use peft_bench::metric::Metric;
use peft_bench::results::{Record, SPLITS, Store, of_split};
use peft_bench::task::Role;
use polars::prelude::*;

fn records(w: &Workspace, out: &str) -> (Store, Vec<Record>) {
    let store = Store::open(&w.path(out)).unwrap();
    let records = store.records().unwrap();
    (store, records)
}

/// One of a cell's curves out of `curves.csv`.
fn csv_curve(w: &Workspace, record: &Record, name: &str) -> Vec<(u64, f64)> {
    let text = w.read("curves.csv");
    let own = format!(",{},{},{name},", record.seed, record.cell);
    let points = text.lines().filter_map(|line| line.split_once(&own)).map(|(_, point)| point);
    points
        .map(|point| point.split_once(',').unwrap())
        .map(|(s, v)| (s.parse().unwrap(), v.parse().unwrap()))
        .collect()
}

#[test]
fn predictions_give_the_recorded_scores_and_curves_are_whole() {
    let w = Workspace::new();
    assert_success(&w.run(&["run", "tiny-suite.toml", "--out", "out"]));
    assert_success(&w.run(&["report", "out", "--curves", "curves.csv"]));
    let (store, records) = records(&w, "out");
    assert_eq!(records.len(), 4);
    assert_eq!(files(&w.path("out/items")).len(), 1, "all cells answer the same items");
    for record in &records {
        let evidence = record.evidence.as_ref().unwrap();
        let items = store.items(evidence.items.as_ref().unwrap()).unwrap().unwrap();
        let predictions = store.predictions(&record.cell).unwrap().unwrap();
        for (split, scores) in SPLITS.into_iter().zip([record.validation_scores(), record.test_scores()]) {
            let answers = of_split(&items, &predictions, split).unwrap().answers();
            assert_eq!(answers.len(), 12);
            for metric in [Metric::Accuracy, Metric::F1] {
                let found = metric.score(&answers, None).unwrap();
                assert!((found - scores[metric.name()]).abs() < 1e-9, "{metric} on {}", split.name());
            }
        }
        let right = predictions.column("right").unwrap().bool().unwrap().sum().unwrap();
        let scores = predictions.column("score_accuracy").unwrap().f64().unwrap().sum().unwrap();
        assert_eq!(f64::from(right) * 100.0, scores);
        // A distribution over labels: no two of them have more than all probability.
        let sum = |label: &str| predictions.column(label).unwrap().f32().unwrap().to_vec();
        for (a, b) in sum("log_probability_0").into_iter().zip(sum("log_probability_1")) {
            let total = a.unwrap().exp() + b.unwrap().exp();
            assert!(total > 0.0 && total <= 1.0 + 1e-5, "{total}");
        }
        let steps: Vec<u64> = record.losses.iter().map(|(step, _)| *step).collect();
        assert_eq!(evidence.gradient_norms.iter().map(|(step, _)| *step).collect::<Vec<_>>(), steps);
        assert!(evidence.gradient_norms.iter().all(|(_, norm)| *norm > 0.0));
        assert_eq!(evidence.schedule.len(), steps.len());
        assert!(evidence.real_tokens > 0 && evidence.real_tokens <= evidence.padded_tokens);
        assert!(evidence.examples_per_second > 0.0 && evidence.weights.starts_with("sha256:"));
        let last: std::collections::BTreeMap<String, f64> =
            serde_json::from_str(&evidence.last_test_scores).unwrap();
        assert!(last.contains_key("accuracy"));
        assert_eq!(csv_curve(&w, record, "loss"), record.losses);
        assert_eq!(csv_curve(&w, record, "gradient_norm"), evidence.gradient_norms);
        if record.best_step == Some(12) {
            assert_eq!(last["accuracy"], record.test_scores()["accuracy"]);
        }
    }
}

#[test]
fn the_most_probable_label_is_mostly_what_is_generated() {
    let w = Workspace::new();
    assert_success(&w.run(&["run", "tiny-suite.toml", "--out", "out", "--method", "lora"]));
    let (store, records) = records(&w, "out");
    for record in records {
        let frame = store.predictions(&record.cell).unwrap().unwrap();
        let label = |name: &str| frame.column(name).unwrap().f32().unwrap().to_vec();
        let generated: Vec<String> = frame
            .column("prediction")
            .unwrap()
            .str()
            .unwrap()
            .iter()
            .map(|text| text.unwrap().to_string())
            .collect();
        let (zeros, ones) = (label("log_probability_0"), label("log_probability_1"));
        for ((zero, one), generated) in zeros.into_iter().zip(ones).zip(generated) {
            // Greedy decoding of one-token labels takes the most probable token.
            if generated == "0" || generated == "1" {
                assert_eq!(generated == "1", one > zero, "{zero:?} {one:?} {generated}");
            }
        }
    }
}

#[test]
fn metrics_are_added_without_training_and_false_predictions_are_refused() {
    let w = Workspace::new();
    assert_success(&w.train("lora", &["--out", "out"]));
    let output = w.run(&["rescore", "out", "--metric", "matthews"]);
    assert_success(&output);
    assert!(stdout(&output).contains("2 cells rescored (matthews added)"), "{}", stdout(&output));
    let again = w.run(&["rescore", "out", "--metric", "matthews"]);
    assert!(stdout(&again).contains("0 cells rescored, 2 unchanged"), "{}", stdout(&again));
    let (store, records) = records(&w, "out");
    for record in &records {
        let items = store.items(record.evidence.as_ref().unwrap().items.as_ref().unwrap()).unwrap().unwrap();
        let answers = of_split(&items, &store.predictions(&record.cell).unwrap().unwrap(), Role::Test)
            .unwrap()
            .answers();
        let expected = Metric::Matthews.score(&answers, None).unwrap();
        assert!((record.test_scores()["matthews"] - expected).abs() < 1e-9);
    }
    assert_refused(&w.run(&["rescore", "out", "--metric", "matthew"]), &["did you mean `matthews`?"]);
    assert_refused(&w.run(&["rescore", "out", "--task", "other"]), &["--task other"]);
    assert_refused(
        &w.run(&["rescore", "out", "--metric", "pearson", "--metric", "squad-f1", "--task", "no"]),
        &["--task no"],
    );

    // Another cell's answers in this one's place.
    let (one, other) = (&records[0], &records[1]);
    let frame = store.predictions(&other.cell).unwrap().unwrap();
    let flipped: StringChunked = frame
        .column("prediction")
        .unwrap()
        .str()
        .unwrap()
        .iter()
        .map(|text| Some(if text == Some("1") { "0" } else { "1" }))
        .collect();
    let mut false_frame = frame.clone();
    false_frame.with_column(flipped.with_name("prediction".into()).into_series().into_column()).unwrap();
    store.write_table(&format!("predictions/{}.parquet", one.cell), false_frame).unwrap();
    assert_refused(&w.run(&["rescore", "out", "--metric", "macro-f1"]), &["its record says"]);

    let path = w.path(&format!("out/predictions/{}.parquet", one.cell));
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let output = w.run(&["rescore", "out", "--metric", "macro-f1"]);
    assert_success(&output);
    assert!(stdout(&output).contains("1 without predictions"), "{}", stdout(&output));
}

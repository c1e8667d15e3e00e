//! Metrics against scikit-learn, scipy and the definitions in fixtures/metrics/make.py, by their properties, and
//! through the command line.

mod common;

use common::{Workspace, assert_refused, assert_success, stdout};
use peft_bench::metric::{Answer, Metric, MetricError, RowProblem};
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use std::collections::BTreeMap;

const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Case {
    name: String,
    scores: BTreeMap<Metric, f64>,
    /// Macro-F1 for declarations of the classes.
    #[serde(rename = "macro-f1")]
    by_classes: Vec<(Option<Vec<String>>, f64)>,
    rows: Vec<(String, Vec<String>, Option<String>)>,
}

fn answer(prediction: &str, targets: &[&str], group: Option<&str>) -> Answer {
    Answer {
        prediction: prediction.into(),
        targets: targets.iter().map(|target| target.to_string()).collect(),
        group: group.map(Into::into),
    }
}

#[test]
fn scores_agree_with_the_reference() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("fixtures/metrics/cases.json")).unwrap();
    let mut worst: BTreeMap<Metric, (f64, usize)> = BTreeMap::new();
    for case in cases {
        let rows = case.rows.into_iter();
        let answers: Vec<Answer> =
            rows.map(|(prediction, targets, group)| Answer { prediction, targets, group }).collect();
        let plain = case.scores.into_iter().map(|(metric, expected)| (metric, None, expected));
        let by_classes = case.by_classes.into_iter();
        let by_classes = by_classes.map(|(classes, expected)| (Metric::MacroF1, classes, expected));
        for (metric, classes, expected) in plain.chain(by_classes) {
            let score = metric.score(&answers, classes.as_deref()).unwrap();
            let error = (score - expected).abs();
            assert!(
                error < TOLERANCE * expected.abs().max(1.0),
                "{}: {metric} over {classes:?} is {score}, expected {expected}",
                case.name
            );
            let (largest, count) = worst.entry(metric).or_default();
            (*largest, *count) = (largest.max(error), *count + 1);
        }
    }
    for metric in Metric::ALL {
        let (error, count) = worst[&metric];
        println!("{metric:22} {count:3} cases, largest error {error:.1e}");
    }
}

/// Rows that every metric accepts: groups in order, labels as text, occasionally an invalid prediction.
fn random_answers(rng: &mut impl Rng) -> Vec<Answer> {
    let count = rng.random_range(2..60);
    (0..count)
        .map(|row| {
            let prediction = ["0", "1", "1", "x", ""].choose(rng).unwrap();
            let target = ["0", "1"].choose(rng).unwrap();
            answer(prediction, &[target], Some(&format!("q{}", row / 3)))
        })
        .collect()
}

/// Calls `check` with many random row sets.
fn for_many(check: impl Fn(Vec<Answer>, &mut ChaCha8Rng)) {
    for seed in 0..300 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        check(random_answers(&mut rng), &mut rng);
    }
}

/// The score without declared classes.
fn score(metric: Metric, answers: &[Answer]) -> f64 {
    metric.score(answers, None).unwrap()
}

fn assert_same(metric: Metric, a: &[Answer], b: &[Answer]) {
    let (a, b) = (score(metric, a), score(metric, b));
    assert!((a - b).abs() < TOLERANCE, "{metric}: {a} and {b}");
}

/// The rows with every label replaced.
fn relabeled(answers: &[Answer], label: impl Fn(&str) -> String) -> Vec<Answer> {
    let answers = answers.iter().cloned();
    answers
        .map(|answer| Answer {
            prediction: label(&answer.prediction),
            targets: answer.targets.iter().map(|target| label(target)).collect(),
            ..answer
        })
        .collect()
}

/// The rows with predictions and targets exchanged.
fn exchanged(answers: &[Answer]) -> Vec<Answer> {
    let answers = answers.iter().cloned();
    answers
        .map(|answer| {
            let [target] = answer.targets.try_into().unwrap();
            Answer { prediction: target, targets: vec![answer.prediction], ..answer }
        })
        .collect()
}

#[test]
fn scores_stay_within_their_bounds() {
    for_many(|answers, _| {
        for metric in Metric::ALL {
            let lowest = match metric {
                Metric::Matthews | Metric::Pearson | Metric::Spearman => -100.0,
                _ => 0.0,
            };
            let score = score(metric, &answers);
            let highest = if metric.is_error() { f64::MAX } else { 100.0 };
            assert!((lowest..=highest).contains(&score), "{metric}: {score}");
        }
    });
}

#[test]
fn the_order_of_rows_does_not_matter() {
    for_many(|mut answers, rng| {
        let original = answers.clone();
        // ReCoRD's scores look at the first row of each group, so groups move as blocks.
        let mut blocks: Vec<&[Answer]> = original.chunk_by(|a, b| a.group == b.group).collect();
        blocks.shuffle(rng);
        for metric in [Metric::RecordExactMatch, Metric::RecordF1] {
            assert_same(metric, &original, &blocks.concat());
        }
        answers.shuffle(rng);
        for metric in Metric::ALL {
            if !matches!(metric, Metric::RecordExactMatch | Metric::RecordF1) {
                assert_same(metric, &original, &answers);
            }
        }
    });
}

#[test]
fn right_predictions_score_100_and_have_no_error() {
    for_many(|mut answers, _| {
        answers.push(answer("", &["0"], Some("a")));
        answers.push(answer("", &["1"], Some("b")));
        for answer in &mut answers {
            answer.prediction = answer.targets[0].clone();
        }
        for metric in Metric::ALL {
            let (score, best) = (score(metric, &answers), if metric.is_error() { 0.0 } else { 100.0 });
            assert!((score - best).abs() < TOLERANCE, "{metric}: {score}");
        }
    });
}

#[test]
fn predictions_and_targets_are_interchangeable() {
    for_many(|answers, _| {
        for metric in
            [Metric::Accuracy, Metric::Matthews, Metric::ExactMatch, Metric::ExactMatchFirst, Metric::SquadF1]
        {
            assert_same(metric, &answers, &exchanged(&answers));
        }
        let valid = relabeled(&answers, |label| if label == "1" { "1".into() } else { "0".into() });
        for metric in [
            Metric::F1,
            Metric::MultircF1m,
            Metric::MultircExactMatch,
            Metric::Pearson,
            Metric::Spearman,
            Metric::MeanAbsoluteError,
            Metric::RootMeanSquaredError,
        ] {
            assert_same(metric, &valid, &exchanged(&valid));
        }
    });
}

#[test]
fn labels_are_only_names() {
    let renamed = |label: &str| match label {
        "0" => "no".into(),
        "1" => "yes, indeed".into(),
        other => format!("{other}0"),
    };
    for_many(|answers, _| {
        for metric in [Metric::Accuracy, Metric::MacroF1, Metric::Matthews] {
            assert_same(metric, &answers, &relabeled(&answers, renamed));
        }
    });
}

#[test]
fn correlations_ignore_scale_and_ranks_ignore_shape() {
    for_many(|answers, rng| {
        let drawn: Vec<(f64, f64)> = answers.iter().map(|_| (rng.random(), rng.random())).collect();
        let rows = |predicted: fn(f64) -> f64| -> Vec<Answer> {
            let rows = drawn.iter();
            rows.map(|&(p, t)| answer(&predicted(p).to_string(), &[&t.to_string()], None)).collect()
        };
        let plain = rows(|p| p);
        assert_same(Metric::Pearson, &plain, &rows(|p| 7.0 * p - 3.0));
        assert_same(Metric::Spearman, &plain, &rows(|p| 7.0 * p - 3.0));
        assert_same(Metric::Spearman, &plain, &rows(f64::exp));
        for metric in [Metric::Pearson, Metric::Spearman] {
            let reversed = score(metric, &rows(|p| -p));
            assert!((score(metric, &plain) + reversed).abs() < TOLERANCE, "{metric}");
        }
    });
}

#[test]
fn errors_have_the_units_of_the_targets_and_the_root_mean_squared_one_is_no_smaller() {
    for_many(|answers, rng| {
        let drawn: Vec<(f64, f64)> = answers.iter().map(|_| (rng.random(), rng.random())).collect();
        let rows = |factor: f64| -> Vec<Answer> {
            let rows = drawn.iter().map(|(p, t)| (p * factor, t * factor));
            rows.map(|(p, t)| answer(&p.to_string(), &[&t.to_string()], None)).collect()
        };
        let errors = [Metric::MeanAbsoluteError, Metric::RootMeanSquaredError];
        for metric in errors {
            let (small, large) = (score(metric, &rows(1.0)), score(metric, &rows(1000.0)));
            assert!((1000.0 * small - large).abs() < TOLERANCE * large, "{metric}: {small} and {large}");
        }
        let [absolute, squared] = errors.map(|metric| score(metric, &answers));
        assert!(absolute <= squared + TOLERANCE, "{absolute} and {squared}");
    });
}

#[test]
fn more_accepted_answers_never_lower_a_score() {
    for_many(|answers, rng| {
        let mut generous = answers.clone();
        for answer in &mut generous {
            answer.targets.push(["0", "1", "x", "y z"].choose(rng).unwrap().to_string());
        }
        for metric in [Metric::ExactMatch, Metric::SquadF1, Metric::RecordExactMatch, Metric::RecordF1] {
            assert!(score(metric, &generous) >= score(metric, &answers) - TOLERANCE, "{metric}");
        }
        for metric in [Metric::ExactMatchFirst, Metric::SquadF1First] {
            assert_same(metric, &answers, &generous);
        }
    });
}

#[test]
fn names_round_trip() {
    for (at, metric) in Metric::ALL.into_iter().enumerate() {
        assert_eq!(metric as usize, at);
        assert_eq!(metric.to_string().parse::<Metric>().unwrap(), metric);
        let json = serde_json::to_string(&metric).unwrap();
        assert_eq!(json, format!("\"{metric}\""));
        assert_eq!(serde_json::from_str::<Metric>(&json).unwrap(), metric);
    }
    assert_eq!(Metric::RootMeanSquaredError as usize + 1, Metric::ALL.len());
}

#[test]
fn unknown_names_are_explained() {
    for (name, nearest) in [("acuracy", "accuracy"), ("Squad_F1", "squad-f1"), ("pearsonr", "pearson")] {
        let message = name.parse::<Metric>().unwrap_err().to_string();
        assert!(message.contains(&format!("`{name}`, did you mean `{nearest}`?")), "{message}");
        assert!(Metric::ALL.iter().all(|metric| message.contains(metric.name())), "{message}");
    }
    let message = serde_json::from_str::<Metric>("\"zzz\"").unwrap_err().to_string();
    assert!(message.starts_with("unknown metric `zzz`; known metrics: accuracy, f1,"), "{message}");
}

#[test]
fn macro_f1_averages_over_the_declared_classes() {
    let rows = |pairs: &[(&str, &str)]| -> Vec<Answer> {
        pairs.iter().map(|(prediction, target)| answer(prediction, &[target], None)).collect()
    };
    let classes = ["0", "1", "2"].map(String::from);
    let score = |answers: &[Answer]| Metric::MacroF1.score(answers, Some(&classes)).unwrap();
    // Class 2 has no row: 2/3, 2/3 and 0.
    let absent = rows(&[("0", "0"), ("1", "1"), ("0", "1")]);
    assert!((score(&absent) - 400.0 / 9.0).abs() < TOLERANCE);
    // Class 2 is only predicted, and no class has the prediction `x`.
    let predicted = rows(&[("0", "0"), ("1", "1"), ("2", "1"), ("x", "0")]);
    assert!((score(&predicted) - 400.0 / 9.0).abs() < TOLERANCE);
    let error = Metric::MacroF1.score(&rows(&[("0", "0"), ("3", "3")]), Some(&classes)).unwrap_err();
    assert_eq!(error.to_string(), "row 2 has the target `3`, which is not one of the classes `0`, `1`, `2`");
    for metric in Metric::ALL.into_iter().filter(|metric| !metric.uses_classes()) {
        let grouped = [answer("1", &["1"], Some("q")), answer("1", &["0"], Some("q"))];
        assert_eq!(metric.score(&grouped, Some(&classes)), metric.score(&grouped, None), "{metric}");
    }
}

#[test]
fn rows_that_cannot_be_scored_are_named() {
    let good = answer("1", &["1"], Some("q"));
    let fails = |metric: Metric, bad: Answer| match metric.score(&[good.clone(), bad], None).unwrap_err() {
        MetricError::Row { row: 1, problem } => problem,
        other => panic!("{metric}: {other}"),
    };
    for metric in Metric::ALL {
        assert_eq!(metric.score(&[], None).unwrap_err(), MetricError::Empty);
        assert_eq!(fails(metric, answer("1", &[], Some("q"))), RowProblem::NoTarget);
    }
    for metric in [
        Metric::Accuracy,
        Metric::F1,
        Metric::MacroF1,
        Metric::Matthews,
        Metric::Pearson,
        Metric::Spearman,
        Metric::MultircF1a,
        Metric::MultircF1m,
        Metric::MultircExactMatch,
        Metric::MeanAbsoluteError,
        Metric::RootMeanSquaredError,
    ] {
        let problem = fails(metric, answer("1", &["1", "0"], Some("q")));
        assert_eq!(problem, RowProblem::SeveralTargets { found: 2 });
    }
    for metric in [Metric::F1, Metric::MultircF1a, Metric::MultircF1m, Metric::MultircExactMatch] {
        let problem = fails(metric, answer("1", &["2"], Some("q")));
        assert_eq!(problem, RowProblem::NotBinary { target: "2".into() });
    }
    for metric in [Metric::Pearson, Metric::Spearman, Metric::MeanAbsoluteError, Metric::RootMeanSquaredError]
    {
        for target in ["", "3,5", "nan", "inf"] {
            let problem = fails(metric, answer("1", &[target], None));
            assert_eq!(problem, RowProblem::NotANumber { target: target.into() });
        }
    }
    for metric in [Metric::MultircF1m, Metric::MultircExactMatch, Metric::RecordExactMatch, Metric::RecordF1]
    {
        assert_eq!(fails(metric, answer("1", &["1"], None)), RowProblem::NoGroup);
    }
    let bad = answer("1", &["3,5"], None);
    let message = Metric::Pearson.score(&[good, bad], None).unwrap_err().to_string();
    assert_eq!(message, "row 2 has the target `3,5`; this metric needs a finite number");
}

#[test]
fn existing_predictions_are_scored() {
    let w = Workspace::new();
    w.write(
        "pairs.jsonl",
        "{\"prediction\": \"1\", \"target\": \"1\"}\n{\"prediction\": \"0\", \"target\": \"1\"}\n\
         {\"prediction\": \"The cat!\", \"target\": [\"dog\", \"cat\"]}\n",
    );
    let score = |name: &str| w.run(&["metric", name, "--input", "pairs.jsonl"]);
    let exact = score("exact-match");
    assert_success(&exact);
    let value: f64 = stdout(&exact).trim().parse().unwrap();
    assert!((value - 200.0 / 3.0).abs() < 1e-9);
    assert_refused(&score("exact-mach"), &["did you mean `exact-match`"]);
    assert_refused(&score("record-f1"), &["pairs.jsonl", "group"]);
    w.write("pairs.jsonl", "{\"prediction\": \"1\", \"target\": \"1\"}\n{\"prediction\": \"0\"}\n");
    assert_refused(&score("accuracy"), &["pairs.jsonl, line 2", "target"]);
}

/// What the command line gives for rows of a prediction and a target each.
fn scored(metric: &str, rows: &[(&str, &str)], labels: &str) -> std::process::Output {
    let w = Workspace::new();
    let line =
        |(prediction, target)| serde_json::json!({"prediction": prediction, "target": target}).to_string();
    w.write("pairs.jsonl", &rows.iter().copied().map(line).collect::<Vec<_>>().join("\n"));
    w.run(&["metric", metric, "--input", "pairs.jsonl", "--labels", labels])
}

#[test]
fn the_command_line_declares_the_classes() {
    let absent = [("0", "0"), ("1", "1"), ("0", "1")];
    let predicted = [("0", "0"), ("1", "1"), ("2", "1"), ("x", "0")];
    let words = [("no", "no"), ("New York", "New York"), ("no", "New York")];
    for (rows, labels, expected) in [
        (&absent[..], "0,1,2", 400.0 / 9.0),
        (&absent, "2, 1 ,0", 400.0 / 9.0),
        (&absent, "0,1", 200.0 / 3.0),
        (&predicted, "0,1,2", 400.0 / 9.0),
        (&words, "no,New York,yes", 400.0 / 9.0),
    ] {
        let output = scored("macro-f1", rows, labels);
        assert_success(&output);
        let score: f64 = stdout(&output).trim().parse().unwrap();
        assert!((score - expected).abs() < TOLERANCE, "{rows:?} over {labels}: {score}");
    }
}

#[test]
fn classes_that_do_not_fit_are_refused() {
    let rows = [("0", "0"), ("1", "1"), ("0", "3")];
    let refused = |metric: &str, labels: &str, parts: &[&str]| {
        assert_refused(&scored(metric, &rows, labels), parts);
    };
    refused("macro-f1", "0,1,2", &["pairs.jsonl, line 3", "the target `3`", "`0`, `1`, `2`"]);
    refused("macro-f1", "0,1,0", &["--labels 0,1,0", "class `0` is listed twice"]);
    refused("macro-f1", "0,,1", &["--labels 0,,1", "a class name is empty"]);
    for metric in Metric::ALL.into_iter().filter(|metric| !metric.uses_classes()) {
        refused(metric.name(), "0,1,2,3", &["--labels is only for macro-f1", metric.name()]);
    }
}

#[test]
fn rows_are_named_by_their_lines() {
    let w = Workspace::new();
    w.write(
        "pairs.jsonl",
        "\n{\"prediction\": \"1\", \"target\": \"1\"}\n\n{\"prediction\": \"0\", \"target\": [\"0\", \"1\"]}\n",
    );
    let score = |metric| w.run(&["metric", metric, "--input", "pairs.jsonl"]);
    assert_refused(&score("accuracy"), &["pairs.jsonl, line 4", "2 targets", "exactly one"]);
    assert_refused(&score("record-f1"), &["pairs.jsonl, line 2", "no group"]);
}

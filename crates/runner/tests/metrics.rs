//! Metrics against scikit-learn, scipy and the definitions in fixtures/metrics/make.py, and by their properties.

use peft_bench::metric::{Answer, Metric, MetricError};
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
        for (metric, expected) in case.scores {
            let score = metric.score(&answers).unwrap();
            let error = (score - expected).abs();
            assert!(error < TOLERANCE, "{}: {metric} is {score}, expected {expected}", case.name);
            let (largest, count) = worst.entry(metric).or_default();
            (*largest, *count) = (largest.max(error), *count + 1);
        }
    }
    for metric in Metric::ALL {
        let (error, count) = worst[&metric];
        println!("{metric:22} {count:3} cases, largest error {error:.1e}");
    }
}

/// Rows that every metric takes: groups in order, labels as text, now and then an invalid prediction.
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

fn assert_same(metric: Metric, a: &[Answer], b: &[Answer]) {
    let (a, b) = (metric.score(a).unwrap(), metric.score(b).unwrap());
    assert!((a - b).abs() < TOLERANCE, "{metric}: {a} and {b}");
}

/// The rows with every label replaced.
fn relabelled(answers: &[Answer], label: impl Fn(&str) -> String) -> Vec<Answer> {
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
            let score = metric.score(&answers).unwrap();
            assert!((lowest..=100.0).contains(&score), "{metric}: {score}");
        }
    });
}

#[test]
fn the_order_of_rows_is_no_matter() {
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
fn right_predictions_score_100() {
    for_many(|mut answers, _| {
        answers.push(answer("", &["0"], Some("a")));
        answers.push(answer("", &["1"], Some("b")));
        for answer in &mut answers {
            answer.prediction = answer.targets[0].clone();
        }
        for metric in Metric::ALL {
            let score = metric.score(&answers).unwrap();
            assert!((score - 100.0).abs() < TOLERANCE, "{metric}: {score}");
        }
    });
}

#[test]
fn predictions_and_targets_exchange() {
    for_many(|answers, _| {
        for metric in
            [Metric::Accuracy, Metric::Matthews, Metric::ExactMatch, Metric::ExactMatchFirst, Metric::SquadF1]
        {
            assert_same(metric, &answers, &exchanged(&answers));
        }
        let valid = relabelled(&answers, |label| if label == "1" { "1".into() } else { "0".into() });
        for metric in [Metric::F1, Metric::MultircExactMatch, Metric::Pearson, Metric::Spearman] {
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
            assert_same(metric, &answers, &relabelled(&answers, renamed));
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
            let reversed = metric.score(&rows(|p| -p)).unwrap();
            assert!((metric.score(&plain).unwrap() + reversed).abs() < TOLERANCE, "{metric}");
        }
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
            assert!(
                metric.score(&generous).unwrap() >= metric.score(&answers).unwrap() - TOLERANCE,
                "{metric}"
            );
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
    assert_eq!(Metric::MultircExactMatch as usize + 1, Metric::ALL.len());
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
fn rows_that_cannot_be_scored_are_named() {
    let good = answer("1", &["1"], Some("q"));
    let fails = |metric: Metric, bad: Answer| metric.score(&[good.clone(), bad]).unwrap_err();
    for metric in Metric::ALL {
        assert_eq!(metric.score(&[]).unwrap_err(), MetricError::Empty);
        assert_eq!(fails(metric, answer("1", &[], Some("q"))), MetricError::NoTarget { row: 1 });
    }
    for metric in [
        Metric::Accuracy,
        Metric::F1,
        Metric::MacroF1,
        Metric::Matthews,
        Metric::Pearson,
        Metric::Spearman,
        Metric::MultircF1a,
        Metric::MultircExactMatch,
    ] {
        let error = fails(metric, answer("1", &["1", "0"], Some("q")));
        assert_eq!(error, MetricError::SeveralTargets { row: 1, found: 2 });
    }
    for metric in [Metric::F1, Metric::MultircF1a, Metric::MultircExactMatch] {
        let error = fails(metric, answer("1", &["2"], Some("q")));
        assert_eq!(error, MetricError::NotBinary { row: 1, target: "2".into() });
    }
    for metric in [Metric::Pearson, Metric::Spearman] {
        for target in ["", "3,5", "nan", "inf"] {
            let error = fails(metric, answer("1", &[target], None));
            assert_eq!(error, MetricError::NotANumber { row: 1, target: target.into() });
        }
    }
    for metric in [Metric::MultircExactMatch, Metric::RecordExactMatch, Metric::RecordF1] {
        assert_eq!(fails(metric, answer("1", &["1"], None)), MetricError::NoGroup { row: 1 });
    }
    let message = fails(Metric::Pearson, answer("1", &["3,5"], None)).to_string();
    assert_eq!(message, "row 1 (from 0) has the target `3,5`; a correlation needs a finite number");
}

//! Sweeps: trials on the validation split, and the chosen settings with fresh seeds.

mod common;

use std::collections::BTreeMap;

use common::{Workspace, assert_refused, assert_success, files, stderr, stdout};
use peft_bench::results::{Record, Store};
use serde_json::Value;

const SWEEP: &str = "[sweep]\nseeds = [7, 8]\n\n[sweep.lora]\nlearning_rate = [0.1, 0.001]\n\n\
                     [sweep.prompt-tuning]\nprompt.length = [2, 4]\n";

/// The tiny suite with this sweep.
fn workspace(sweep: &str) -> Workspace {
    let w = Workspace::new();
    w.write("tiny-suite.toml", &format!("{}\n{sweep}", w.read("tiny-suite.toml")));
    w
}

fn records(w: &Workspace, out: &str) -> Vec<Record> {
    Store::read_only(&w.path(out)).unwrap().records().unwrap()
}

fn roster(w: &Workspace, out: &str, suite: &str) -> Value {
    serde_json::from_str(&w.read(&format!("{out}/suites/{suite}.json"))).unwrap()
}

/// A method's setting in a record.
fn setting(record: &Record) -> Value {
    let settings: Value = serde_json::from_str(&record.settings).unwrap();
    match record.method.starts_with("lora") {
        true => settings["learning_rate"].clone(),
        false => settings["prompt"]["length"].clone(),
    }
}

#[test]
fn the_best_trial_on_the_validation_split_runs_with_fresh_seeds() {
    let w = workspace(SWEEP);
    let run = w.run(&["run", "tiny-suite.toml", "--out", "out"]);
    assert_success(&run);
    let records = records(&w, "out");
    assert_eq!(records.len(), 2 * 2 * 2 + 2 * 2, "trials with seeds 7 and 8, then seeds 1 and 2");
    let sweep = &roster(&w, "out", "tiny-suite")["sweep"];
    assert_eq!(sweep["seeds"], serde_json::json!([7, 8]));
    let mut chosen = BTreeMap::new();
    for choice in sweep["choices"].as_array().unwrap() {
        let method = choice["method"].as_str().unwrap();
        let mut means = Vec::new();
        for trial in choice["trials"].as_array().unwrap() {
            let name = trial["name"].as_str().unwrap();
            let own: Vec<&Record> = records.iter().filter(|record| record.method == name).collect();
            assert_eq!(
                own.iter().map(|record| record.suite.as_str()).collect::<Vec<_>>(),
                ["tiny-suite-trials"; 2]
            );
            let mean = own.iter().map(|record| record.selection_score.unwrap()).sum::<f64>() / 2.0;
            assert_eq!(trial["score"].as_f64(), Some(mean), "{name}");
            means.push((mean, setting(own[0])));
        }
        let best = means.iter().map(|(mean, _)| *mean).fold(f64::NEG_INFINITY, f64::max);
        let first = means.iter().position(|(mean, _)| *mean == best).unwrap();
        assert_eq!(choice["chosen"].as_u64(), Some(first as u64), "{choice:#}");
        chosen.insert(method.to_string(), means[first].1.clone());
    }
    for (method, chosen) in &chosen {
        let own: Vec<&Record> = records.iter().filter(|record| record.method == *method).collect();
        assert_eq!(own.len(), 2);
        assert!(
            own.iter().all(|record| [1, 2].contains(&record.seed) && setting(record) == *chosen),
            "{method}"
        );
    }
    assert_eq!(chosen.len(), 2);
    let parts = [
        "sweep: the best mean over seeds on the validation split",
        "lora on Tiny: learning_rate = ",
        "lora [learning_rate = 0.001]",
    ];
    for part in parts {
        assert!(stdout(&run).contains(part), "`{part}` is not in: {}", stdout(&run));
    }

    let again = w.run(&["run", "tiny-suite.toml", "--out", "out"]);
    assert_success(&again);
    assert_eq!(stdout(&again), stdout(&run));
    assert!(!stderr(&again).contains("12 steps"), "{}", stderr(&again));
    let report = w.run(&["report", "out"]);
    assert_success(&report);
    for part in ["Tiny suite: mean", "Tiny suite, trials of the sweep: mean", parts[0]] {
        assert!(stdout(&report).contains(part), "`{part}` is not in: {}", stdout(&report));
    }
    assert!(!stdout(&report).contains("earlier settings"), "{}", stdout(&report));
}

#[test]
fn a_part_of_a_suite_keeps_the_choices_of_the_rest() {
    let w = workspace(SWEEP);
    for method in ["lora", "prompt-tuning"] {
        assert_success(&w.train(method, &["--out", "out", "--steps", "2", "--seed", "1"]));
    }
    let choices = roster(&w, "out", "tiny-suite")["sweep"]["choices"].clone();
    let methods: Vec<&str> =
        choices.as_array().unwrap().iter().map(|choice| choice["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["prompt-tuning", "lora"]);
}

#[test]
fn a_trial_that_diverges_is_not_chosen() {
    let w = workspace(&SWEEP.replace("[0.1, 0.001]", "[1e38, 0.001]"));
    let run = w.run(&["run", "tiny-suite.toml", "--out", "out", "--steps", "30"]);
    assert_success(&run);
    assert!(stdout(&run).contains("learning_rate = 0.001, with accuracy"), "{}", stdout(&run));
    assert!(stdout(&run).contains(": diverged)"), "{}", stdout(&run));
    let own = records(&w, "out").into_iter().filter(|record| record.method == "lora");
    assert!(own.map(|record| setting(&record)).all(|rate| rate == 0.001));
}

#[test]
fn a_method_all_of_whose_trials_diverge_does_not_run() {
    let w = workspace(&SWEEP.replace("[0.1, 0.001]", "[1e38, 2e38]"));
    let run = w.run(&["run", "tiny-suite.toml", "--out", "out", "--steps", "30"]);
    assert_eq!(run.status.code(), Some(1), "{}", stderr(&run));
    assert!(stderr(&run).contains("error: sweep: lora on Tiny: none can be chosen"), "{}", stderr(&run));
    let of = |method: &str| records(&w, "out").iter().filter(|record| record.method == method).count();
    assert_eq!((of("lora"), of("prompt-tuning")), (0, 2));
    let alone = w.train("lora", &["--out", "alone", "--steps", "30"]);
    assert_eq!(alone.status.code(), Some(1), "{}", stderr(&alone));
    assert_eq!(files(&w.path("alone/cells")).len(), 4, "the trials");
}

#[test]
fn sweeps_that_would_mislead_are_refused() {
    let run = ["run", "tiny-suite.toml"];
    for (from, to, parts) in [
        (
            "[0.1, 0.001]",
            "[0.1, 0.01, 0.001]",
            &["`sweep.lora` has 3 trials", "`sweep.prompt-tuning` has 2", "sweep.trials"][..],
        ),
        ("seeds = [7, 8]", "seeds = [7, 2]", &["`sweep.seeds` and `seeds` both have 2"]),
        ("seeds = [7, 8]", "seeds = [7, 7]", &["seed 7", "twice"]),
        ("seeds = [7, 8]", "seeds = []", &["`sweep.seeds` is empty"]),
        ("seeds = [7, 8]", "", &["tiny-suite.toml", "seeds"]),
        ("seeds = [7, 8]", "seeds = [7, 8]\ntrials = 3", &["`sweep.trials` is 3", "2 settings"]),
        ("seeds = [7, 8]", "seeds = [7, 8]\ntrails = 3", &["`sweep.trails`", "methods are"]),
        ("[sweep.lora]", "[sweep.lorra]", &["`sweep.lorra`", "did you mean `lora`?"]),
        ("[sweep.lora]\nlearning_rate = [0.1, 0.001]", "", &["`sweep.lora` is missing"]),
        ("[0.1, 0.001]", "0.1", &["`sweep.lora.learning_rate` is 0.1", "list"]),
        ("[0.1, 0.001]", "[]", &["`sweep.lora.learning_rate` is an empty list"]),
        ("[0.1, 0.001]", "[0.1, 0.1]", &["`sweep.lora.learning_rate` has 0.1 twice"]),
        ("learning_rate = [0.1, 0.001]", "", &["`sweep.lora` has no settings"]),
        (
            "learning_rate = [0.1, 0.001]",
            "method = [\"full\", \"lora\"]",
            &["`sweep.lora.method` is no setting"],
        ),
        (
            "learning_rate = [0.1, 0.001]",
            "lerning_rate = [0.1, 0.001]",
            &["methods.lora [lerning_rate = 0.1]", "did you mean `learning_rate`?"],
        ),
        ("[0.1, 0.001]", "[0.1, -1.0]", &["methods.lora [learning_rate = -1.0]", "learning_rate"]),
        ("[sweep]", "[sweep]\nbudget = [3]", &["`sweep.budget`"]),
    ] {
        let w = workspace(&SWEEP.replace(from, to));
        assert_refused(&w.run(&run), parts);
        assert!(!w.path("results").exists(), "{to}");
    }
    let w = workspace(SWEEP);
    let set = |value: &str| w.run(&[&run[..], &["--set", value]].concat());
    assert_refused(
        &set("methods.lora.learning_rate=0.5"),
        &["--set methods.lora.learning_rate", "`sweep.lora.learning_rate`"],
    );
    assert_refused(&w.run(&[&run[..], &["--seed", "8"]].concat()), &["both have 8"]);
    assert_refused(&set("shots=[4, 8]"), &["`shots` has several"]);
}

#[test]
fn a_random_part_of_each_grid_makes_the_numbers_equal() {
    let sweep = SWEEP
        .replace("[0.1, 0.001]", "[0.1, 0.03, 0.01, 0.001]")
        .replace("seeds = [7, 8]", "seeds = [7]\ntrials = 2");
    let w = workspace(&sweep);
    assert_success(&w.run(&["run", "tiny-suite.toml", "--out", "out", "--steps", "2", "--seed", "1"]));
    let cells = roster(&w, "out", "tiny-suite-trials")["cells"].as_array().unwrap().len();
    assert_eq!(cells, 4, "two of each method");
}

#[test]
fn a_plan_lists_the_trials_and_counts_what_follows_them() {
    let w = workspace(SWEEP);
    let output = w.run(&["plan", "tiny-suite.toml", "--out", "out", "--json"]);
    assert_success(&output);
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&plan["cells"], &plan["cells_after_trials"]), (&8.into(), &4.into()), "{plan:#}");
    let text = common::stdout(&w.run(&["plan", "tiny-suite.toml", "--out", "out"]));
    assert!(text.contains("its trials choose on each task: 4 cells"), "{text}");
    assert!(!w.path("out").exists(), "a plan writes nothing");
}

#[test]
fn shards_share_the_trials_and_then_what_they_choose() {
    let w = workspace(SWEEP);
    assert_success(&w.run(&["run", "tiny-suite.toml", "--out", "all"]));
    let share = |shard: &str, out: &str| {
        let run = w.run(&["run", "tiny-suite.toml", "--shard", shard, "--out", out]);
        assert_success(&run);
        stderr(&run)
    };
    for (shard, out) in [("1/2", "first"), ("2/2", "second")] {
        let said = share(shard, out);
        assert!(said.contains("4 trials are left to other shards"), "{said}");
    }
    for shard in ["1/2", "2/2"] {
        let out = &format!("merged-{}", &shard[..1]);
        assert_success(&w.run(&["merge", "first", "second", "--out", out]));
        assert!(!share(shard, out).contains("left to other shards"));
    }
    assert_success(&w.run(&["merge", "merged-1", "merged-2", "--out", "merged"]));
    let scores = |out: &str| {
        let all = records(&w, out).into_iter();
        all.map(|record| (record.cell.clone(), (record.method.clone(), record.test_scores())))
            .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(scores("merged"), scores("all"));
    assert_eq!(roster(&w, "merged", "tiny-suite")["sweep"], roster(&w, "all", "tiny-suite")["sweep"]);
}

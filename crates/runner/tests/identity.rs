//! What is computed again and what is not: a result's identity is what decides it.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Output;

use burn::tensor::{DType, Device};
use peft_bench::data::TokenCache;
use peft_bench::grid::{self, Hardware, Library, Overrides, PlannedCell};
use peft_bench::hub::{Hub, HubSettings, Progress};
use peft_bench::model::ModelFiles;
use peft_bench::results::{Record, Store};
use peft_model::families;

use common::{Workspace, assert_refused, assert_success, files, stderr, stdout};

/// A workspace whose suite has LoRA alone.
fn workspace() -> Workspace {
    let w = Workspace::new();
    w.edit("tiny-suite.toml", "\n[methods.prompt-tuning]\nprompt.length = 3\n", "");
    w
}

/// Runs a suite, which must have nothing to compute.
fn run_of_nothing(w: &Workspace, suite: &str, what: &str) -> Output {
    let output = w.run(&["run", suite, "--out", "out"]);
    assert_success(&output);
    assert!(stderr(&output).contains(" 0 to run"), "{what}: {}", stderr(&output));
    assert_eq!(files(&w.path("out/cells")).len(), 2, "{what}");
    output
}

#[test]
fn other_words_and_places_compute_nothing_and_are_what_the_table_shows() {
    let w = workspace();
    assert_success(&w.run(&["run", "tiny-suite.toml", "--out", "out"]));
    let shows = |suite: &str, what: &str, new: &str, old: &str| {
        let table = stdout(&run_of_nothing(&w, suite, what));
        assert!(table.contains(new) && (old.is_empty() || !table.contains(old)), "{what}: {table}");
    };
    let edit = |file: &str, from: &str, to: &str, new: &str, old: &str| {
        w.edit(file, from, to);
        shows("tiny-suite.toml", to, new, old);
    };
    edit("tiny.toml", "title = \"Tiny\"", "title = \"Renamed\"", "Renamed", "Tiny\n");
    edit("tiny.toml", "group = \"Tests\"", "group = \"Examinations\"", "Examinations", "Tests");
    edit("tiny.toml", "[data]", "description = \"Short.\"\n[data]", "Renamed", "");
    let reference = "[metrics]\nreport = \"f1\"";
    edit("tiny.toml", "[metrics]", reference, "f1", "accuracy");
    edit("tiny.toml", "report = \"f1\"", "", "accuracy", "f1");
    edit("tiny.toml", "also = [\"f1\"]", "also = []", "accuracy", "");
    let reference = "[reference]\nmajority = 61.5\nceiling = 87.5\n[metrics]";
    edit("tiny.toml", "[metrics]", reference, "61.5", "");
    edit("tiny.toml", "majority = 61.5", "majority = 62.5 # counted", "62.5", "61.5");
    edit("tiny.toml", "[text]", "[text]\nname = \"without-prefix\"", "Renamed", "");
    edit("tiny-suite.toml", "steps = 12\nbatch_size = 4", "# Few.\nbatch_size = 4\nsteps = 12", "lora", "");
    edit("tiny-suite.toml", "title = \"Tiny suite\"", "title = \"Small suite\"", "Small suite", "Tiny suite");
    let renamed = "[methods.\"low rank\"]\nmethod = \"lora\"";
    edit("tiny-suite.toml", "[methods.lora]", renamed, " low rank ", " lora ");

    fs::rename(w.path("rows"), w.path("elsewhere")).unwrap();
    w.write("tiny.toml", &w.read("tiny.toml").replace("rows/", "elsewhere/"));
    fs::rename(w.path("elsewhere/test.csv"), w.path("elsewhere/other.csv")).unwrap();
    edit("tiny.toml", "elsewhere/test.csv", "elsewhere/other.csv", "Renamed", "");
    fs::rename(w.path("model"), w.path("another-model")).unwrap();
    edit("tiny-suite.toml", "model = \"model\"", "model = \"another-model\"", "low rank", "");
    fs::create_dir(w.path("tasks")).unwrap();
    fs::rename(w.path("elsewhere"), w.path("tasks/elsewhere")).unwrap();
    fs::rename(w.path("tiny.toml"), w.path("tasks/other-name.toml")).unwrap();
    edit("tiny-suite.toml", "\"tiny.toml\"", "\"tasks/other-name.toml\"", "Renamed", "");
    fs::rename(w.path("tiny-suite.toml"), w.path("another-suite.toml")).unwrap();
    shows("another-suite.toml", "another name of the suite", "Small suite", "");
}

#[test]
fn a_metric_that_a_result_lacks_is_missing_with_a_note_that_says_how_to_get_it() {
    let w = workspace();
    let run = ["run", "tiny-suite.toml", "--out", "out"];
    assert_success(&w.run(&run));
    w.edit("tiny.toml", "[metrics]", "[metrics]\nreport = \"matthews\"");
    let table = stdout(&run_of_nothing(&w, "tiny-suite.toml", "metrics.report"));
    let line = table.lines().find(|line| line.starts_with(" lora")).unwrap();
    assert!(line.contains(" - ") && table.contains("matthews"), "{table}");
    let note = table.lines().find(|line| line.contains("no matthews")).unwrap();
    assert!(note.starts_with("note: lora on Tiny, seeds 1, 2: ") && note.contains("remove cells/"), "{note}");
    assert_eq!(
        stdout(&w.run(&["report", "out"])).lines().find(|line| line.contains("no matthews")),
        Some(note)
    );

    for name in files(&w.path("out/cells")) {
        assert!(note.contains(&name), "{note}");
        fs::remove_file(w.path("out/cells").join(name)).unwrap();
    }
    let again = w.run(&run);
    assert_success(&again);
    assert!(stderr(&again).contains("2 to run") && !stdout(&again).contains("note:"), "{}", stdout(&again));
}

#[test]
fn two_tasks_that_differ_in_words_alone_train_once_and_are_told_under_both() {
    let w = workspace();
    w.write("second.toml", &w.read("tiny.toml").replace("\"Tiny\"", "\"Second\""));
    w.edit("tiny-suite.toml", "[\"tiny.toml\"]", "[\"tiny.toml\", \"second.toml\"]");
    let run = w.run(&["run", "tiny-suite.toml", "--out", "out"]);
    assert_success(&run);
    assert!(stderr(&run).contains("4/4 lora on Second, seed 2"), "{}", stderr(&run));
    assert!(["Tiny", "Second"].iter().all(|title| stdout(&run).contains(title)), "{}", stdout(&run));
    run_of_nothing(&w, "tiny-suite.toml", "again");
}

/// The cells of the workspace's suite, for which no weights are loaded.
fn resolved(w: &Workspace, overrides: &Overrides) -> Vec<PlannedCell> {
    cells_of(w, w.path("tiny-suite.toml").to_str().unwrap(), overrides)
}

fn cells_of(w: &Workspace, suite: &str, overrides: &Overrides) -> Vec<PlannedCell> {
    let suite = grid::find(suite).unwrap().with(overrides).unwrap();
    let plan = grid::plan(suite).unwrap();
    let hub = Hub::new(HubSettings::new("http://127.0.0.1:1", w.path("hub"), Progress::Silent));
    let model = ModelFiles::find(&plan.suite.model, &hub).unwrap();
    let tokens = TokenCache::none();
    let library = Library { hub: &hub, tokenizer: &model.tokenizer, tokens: &tokens };
    grid::resolve(plan, &model, library, Hardware::default()).unwrap().cells()
}

fn ids(w: &Workspace) -> BTreeSet<String> {
    resolved(w, &Overrides::default()).into_iter().map(|cell| cell.id).collect()
}

#[test]
fn cells_keep_the_identities_that_earlier_programs_gave_them() {
    let overrides = Overrides {
        tasks: vec!["pocket-sense".into()],
        methods: ["bitfit", "lora"].map(String::from).into(),
        seeds: vec![1],
        steps: Some(1),
        set: vec!["training.eval_batch_size=200".into()],
        ..Overrides::default()
    };
    let cells = cells_of(&Workspace::new(), "pocket", &overrides);
    let mut ids: Vec<&str> = cells.iter().map(|cell| cell.id.as_str()).collect();
    ids.sort_unstable();
    // Of a program without limits and seeds of splits: where these are not used, nothing is computed again.
    assert_eq!(ids, ["8ad8bc0ee6d96221", "fab710c0437e2c04"]);
}

#[test]
fn whatever_decides_the_result_makes_other_cells() {
    let same_words = ids(&workspace());
    assert_eq!(same_words.len(), 2);
    assert_eq!(ids(&workspace()), same_words, "another folder");
    for (file, from, to) in [
        ("rows/train.csv", "bad", "good"),
        ("rows/validation.csv", "bad", "good"),
        ("rows/test.csv", "red", "blue"),
        ("tiny.toml", "rule = \"official\"", "rule = \"halve-validation\""),
        ("tiny.toml", "sentence: {text}", "{text}"),
        ("tiny.toml", "[\"0\", \"1\"]", "[\"1\", \"0\"]"),
        ("tiny.toml", "[metrics]", "[limits]\nsource_tokens = 5\n[metrics]"),
        ("tiny.toml", "[metrics]", "[probes]\nbare = \"{text}\"\n[metrics]"),
        ("tiny.toml", "select = \"accuracy\"", "select = \"macro-f1\""),
        ("model/config.json", "\"num_decoder_layers\": 1", "\"num_decoder_layers\": 2"),
        ("model/tokenizer.json", "WhitespaceSplit", "Whitespace"),
        ("tiny-suite.toml", "[methods.lora]", "[methods.lora]\nmethod = \"adapter\"\nbottleneck = 2"),
        ("tiny-suite.toml", "rank = 2", "rank = 3"),
        ("tiny-suite.toml", "learning_rate = 0.01", "learning_rate = 0.02"),
        ("tiny-suite.toml", "steps = 12", "steps = 13"),
        ("tiny-suite.toml", "steps = 12", "epochs = 2"),
        ("tiny-suite.toml", "batch_size = 4", "batch_size = 2"),
        ("tiny-suite.toml", "warmup_steps = 2", "warmup_steps = 1"),
        ("tiny-suite.toml", "evaluate_every = 6", "evaluate_every = 4"),
        ("tiny-suite.toml", "[training]", "[training]\nbatching = \"bucketed\""),
        ("tiny-suite.toml", "[training]", "[training]\ntask_prefix = true"),
        ("tiny-suite.toml", "[training]", "[training]\nepsilon = 1e-8"),
        ("tiny-suite.toml", "seeds = [1, 2]", "seeds = [3, 4294967297]"),
        ("tiny-suite.toml", "seeds = [1, 2]", "seeds = [1, 2]\nshots = [8]"),
    ] {
        let w = workspace();
        w.edit(file, from, to);
        if file == "tiny-suite.toml" && to.contains("adapter") {
            w.edit(file, "rank = 2\nalpha = 2.0\n", "");
        }
        assert!(ids(&w).is_disjoint(&same_words), "{file}: {to}");
    }
    let w = workspace();
    let config = families::configuration(&w.path("model")).unwrap();
    config.random(2, &Device::flex(), DType::F32).save(&w.path("model"), DType::F32).unwrap();
    assert!(ids(&w).is_disjoint(&same_words), "other weights");
    let w = workspace();
    w.edit("tiny-suite.toml", "model = \"model\"", "model = \"model@random\"");
    assert!(ids(&w).is_disjoint(&same_words), "weights drawn at random");
    w.edit("tiny-suite.toml", "seeds = [1, 2]", "seeds = [1, 2]\nshots = [8]");
    let few = ids(&w);
    w.edit("tiny-suite.toml", "shots = [8]", "shots = [8]\nshots_rule = \"balanced\"");
    assert!(ids(&w).is_disjoint(&few), "the rule that chooses few rows");
}

#[test]
fn the_seed_of_a_training_changes_no_split_and_that_of_splits_only_those_that_are_drawn() {
    let w = workspace();
    let with = |assignment: &str| {
        let overrides = Overrides { set: vec![assignment.into()], ..Overrides::default() };
        resolved(&w, &overrides).into_iter().map(|cell| cell.id).collect::<BTreeSet<_>>()
    };
    let refused = w.train("lora", &["--set", "split_seed=7"]);
    assert_refused(&refused, &["`split_seed` would change nothing"]);
    w.edit("tiny.toml", "rule = \"official\"", "rule = \"halve-validation\"");
    let own = ids(&w);
    assert_eq!(with("split_seed=42"), own, "the task's own");
    assert!(with("split_seed=7").is_disjoint(&own));
    let of_suite = with("split_seed=7");
    w.edit("tiny-suite.toml", "seeds = [1, 2]", "seeds = [1, 2]\nsplit_seed = 7");
    assert_eq!(ids(&w), of_suite);
    w.edit("tiny-suite.toml", "split_seed = 7", "");
    w.edit("tiny.toml", "rule = \"halve-validation\"", "rule = \"halve-validation\"\nseed = 7");
    assert_eq!(ids(&w), of_suite);

    // Trained with other seeds, on the same rows; with another split, on others.
    let run = |out: &str, more: &[&str]| {
        assert_success(&w.train("lora", &[&["--out", out, "--steps", "1"], more].concat()));
        Store::read_only(&w.path(out)).unwrap().records().unwrap()
    };
    let records = run("out", &["--seed", "1", "--seed", "9"]);
    assert!(records.len() == 2 && records[0].kind == records[1].kind && records[0].seed != records[1].seed);
    let other = run("out", &["--seed", "1", "--set", "split_seed=8"]);
    let table = stdout(&w.run(&["report", "out"]));
    assert!(other.len() == 3 && table.contains("lora (steps = 1, split_seed = 8)"), "{table}");
}

#[test]
fn seeds_that_differ_by_two_to_the_32_are_different_seeds() {
    let w = workspace();
    w.edit("tiny-suite.toml", "seeds = [1, 2]", "seeds = [1, 4294967297]");
    for (out, few) in [("all", &[][..]), ("few", &["--set", "shots=[8]"])] {
        assert_success(&w.run(&[&["run", "tiny-suite.toml", "--out", out], few].concat()));
        let records = Store::read_only(&w.path(out)).unwrap().records().unwrap();
        let [one, other] = &records[..] else { panic!("{} records", records.len()) };
        assert_eq!(BTreeSet::from([one.seed, other.seed]), BTreeSet::from([1, 4_294_967_297]));
        assert_ne!(one.losses, other.losses, "{out}");
    }
}

/// A results folder that the program wrote before records had a format, as a copy.
fn old_results(w: &Workspace) {
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/results-2");
    for folder in ["cells", "suites"] {
        for name in files(&old.join(folder)) {
            w.write_bytes(&format!("out/{folder}/{name}"), &fs::read(old.join(folder).join(&name)).unwrap());
        }
    }
}

const EARLIER: &str = "note: 2 results are of an earlier version of the program";

#[test]
fn results_of_an_earlier_version_stay_readable_and_stand_beside_new_ones() {
    let w = workspace();
    old_results(&w);
    let report = w.run(&["report", "out"]);
    assert_success(&report);
    let text = stdout(&report);
    assert!(text.contains("7.1 ±0.2") && text.contains("51.5") && text.contains(EARLIER), "{text}");
    let records: Vec<Record> = Store::read_only(&w.path("out")).unwrap().records().unwrap();
    assert!(records.len() == 2 && records.iter().all(Record::is_outdated));

    let run = w.run(&["run", "tiny-suite.toml", "--out", "out"]);
    assert_success(&run);
    assert!(stderr(&run).contains(EARLIER) && stderr(&run).contains("2 to run"), "{}", stderr(&run));
    let text = stdout(&run);
    assert!(text.contains("7.1 ±0.2") && text.contains(" bitfit ") && text.contains(" lora "), "{text}");
    assert_eq!(files(&w.path("out/cells")).len(), 4, "nothing is set aside");
}

#[test]
fn results_of_an_earlier_version_are_not_averaged_with_those_of_this_one() {
    let w = workspace();
    old_results(&w);
    let suite = "title = \"Old\"\nmodel = \"pocket\"\ntasks = [\"pocket-sense\"]\nseeds = [1]\n[methods.bitfit]\n\
                 [training]\nsteps = 1\nevaluate_every = 1\n";
    w.write("tiny-suite.toml", suite);
    let run = w.run(&["run", "tiny-suite.toml", "--out", "out"]);
    assert_success(&run);
    let text = stdout(&run);
    let old = text.lines().find(|line| line.contains("bitfit (earlier version)")).unwrap();
    assert!(old.contains("7.1 ±0.2") && text.lines().any(|line| line.starts_with(" bitfit  ")), "{text}");
}

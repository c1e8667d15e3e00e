//! Methods that start from what other trainings made, and cells that start from an adapter.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use common::{Workspace, assert_refused, assert_success, files, stderr, stdout};
use insta::assert_snapshot;
use peft_bench::results::{Record, Role, Store};
use safetensors::SafeTensors;
use serde_json::Value;
use sha2::{Digest, Sha256};

const SUITE: &str = r#"
title = "Stages"
model = "model"
tasks = ["tiny.toml", "second.toml"]
seeds = [1, 2]

[training]
steps = 4
batch_size = 4
warmup_steps = 1
evaluate_every = 2
eval_batch_size = 8

[source]
steps = 6

[methods.spot]
prompt.length = 3
sources = ["other.toml"]
"#;

const ATTEMPT_AND_MPT: &str = r#"
[methods.attempt]
prompt.length = 3
bottleneck = 2
sources = ["other.toml", "second.toml"]

[methods.mpt]
prompt.length = 3
sources = ["other.toml", "second.toml"]

[methods.mpt-fit]
method = "mpt"
prompt.length = 3
sources = ["other.toml", "second.toml"]
source_stage = "rank-one-fit"
"#;

/// The tiny task under three names, and a suite of methods with sources.
fn workspace(more: &str) -> Workspace {
    let w = Workspace::new();
    let tiny = w.read("tiny.toml");
    for (name, title, word) in [("second", "Second", "red"), ("other", "Other", "blue")] {
        let text = tiny.replace("\"Tiny\"", &format!("\"{title}\""));
        w.write(&format!("{name}.toml"), &text.replace("sentence: {text}", &format!("{word} {{text}}")));
    }
    w.write("stages.toml", &format!("{SUITE}{more}"));
    w
}

fn run(w: &Workspace, more: &[&str]) -> std::process::Output {
    w.run(&[&["run", "stages.toml", "--out", "out"], more].concat())
}

fn plan(w: &Workspace, more: &[&str]) -> String {
    let output = w.run(&[&["plan", "stages.toml", "--out", "out"], more].concat());
    assert_success(&output);
    stdout(&output).lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn plan_json(w: &Workspace, more: &[&str]) -> Value {
    serde_json::from_str(&plan(w, &[&["--json"], more].concat())).unwrap()
}

/// The results in a folder: those of the suite, and those that they start from.
fn results(w: &Workspace, out: &str) -> (Vec<Record>, Vec<Record>) {
    let records = Store::read_only(&w.path(out)).unwrap().records().unwrap();
    records.into_iter().partition(|record| record.suite == "stages")
}

fn ids(w: &Workspace, out: &str) -> BTreeSet<String> {
    files(&w.path(&format!("{out}/cells"))).into_iter().collect()
}

fn tensors(w: &Workspace, out: &str, cell: &str) -> PathBuf {
    w.path(&format!("{out}/adapters/{cell}/adapter.safetensors"))
}

/// A tensor of a trained adapter.
fn tensor(w: &Workspace, out: &str, cell: &str, name: &str) -> Vec<f32> {
    let bytes = fs::read(tensors(w, out, cell)).unwrap();
    let all = SafeTensors::deserialize(&bytes).unwrap();
    let values = all.tensor(name).unwrap().data().chunks_exact(4);
    values.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

fn sha256(path: PathBuf) -> String {
    Sha256::digest(fs::read(path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_source_trains_once_and_every_target_starts_from_it() {
    let w = workspace("");
    let first = run(&w, &[]);
    assert_success(&first);
    let (targets, sources) = results(&w, "out");
    assert_eq!((targets.len(), sources.len()), (4, 1), "two tasks, two seeds, one source");
    let source = &sources[0];
    assert_eq!((source.task.as_str(), source.seed, source.best_step), ("other", 42, source.best_step));
    assert_eq!((source.suite.as_str(), source.method.as_str()), ("", "prompt-tuning (source)"));
    let training: Value = serde_json::from_str(&source.training).unwrap();
    assert_eq!((&training["steps"], &training["batch_size"]), (&6.into(), &4.into()));
    for target in &targets {
        let [origin] = &target.started_from[..] else { panic!("{:?}", target.started_from) };
        let cell = Some(source.cell.clone());
        assert_eq!((origin.role, &origin.cell, origin.seed), (Role::Source, &cell, Some(42)));
        assert_eq!(origin.title(), "prompt-tuning on other");
        assert_eq!(origin.sha256, sha256(tensors(&w, "out", &source.cell)));
    }
    assert!(source.started_from.is_empty());

    // Tables are of the suite alone; where it started is told beside them.
    assert!(!stdout(&first).contains("prompt-tuning"), "{}", stdout(&first));
    assert!(stderr(&first).contains("prompt-tuning (source) on Other, seed 42"), "{}", stderr(&first));
    let report = w.run(&["report", "out"]);
    assert_success(&report);
    assert!(!stdout(&report).contains("prompt-tuning"), "{}", stdout(&report));
    let page = w.read("out/report.html");
    let told = format!("spot on Tiny: prompt-tuning on other, seed 42 (cell {}", source.cell);
    assert!(page.contains("started from") && page.contains(&told), "{told}");

    let before = ids(&w, "out");
    let again = run(&w, &[]);
    assert_success(&again);
    assert!(stderr(&again).contains("5 cells, 5 already done, 0 to run"), "{}", stderr(&again));
    // Nor is a source trained again that nothing waits for.
    fs::remove_file(w.path(&format!("out/cells/{}.parquet", source.cell))).unwrap();
    let again = run(&w, &[]);
    assert!(stderr(&again).contains("4 cells, 4 already done, 0 to run"), "{}", stderr(&again));
    assert_eq!(stdout(&again), stdout(&first));
    // A new target asks for it again, which comes out the same.
    assert_success(&run(&w, &["--seed", "3"]));
    assert!(ids(&w, "out").is_superset(&before));
    let (targets, _) = results(&w, "out");
    assert!(targets.iter().all(|target| target.started_from == targets[0].started_from));
}

#[test]
fn targets_start_where_their_sources_ended() {
    let w = workspace(ATTEMPT_AND_MPT);
    // So little that nothing moves.
    let still = |name: &str| format!("methods.{name}.prompt.learning_rate=1e-30");
    let mut settings = ["spot", "attempt", "mpt", "mpt-fit"].map(still).to_vec();
    settings.extend(["mpt", "mpt-fit"].map(|name| format!("methods.{name}.learning_rate=1e-30")));
    let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    assert_success(&run(&w, &settings));
    let (targets, sources) = results(&w, "out");
    assert_eq!((targets.len(), sources.len()), (16, 3), "methods that ask for the same source share it");
    let prompt = |task: &str| {
        let source = sources.iter().find(|source| source.task == task).unwrap();
        (source.cell.clone(), tensor(&w, "out", &source.cell, "prompt"))
    };
    let (other, second) = (prompt("other"), prompt("second"));
    assert_ne!(other.1, second.1);
    let mixture = sources.iter().find(|source| source.task == "other+second").unwrap();
    let taught_by: Vec<_> = mixture.started_from.iter().map(|origin| origin.cell.clone().unwrap()).collect();
    assert_eq!(taught_by, [other.0.clone(), second.0.clone()], "each task has its teacher");
    let of_mixture = |name: &str| tensor(&w, "out", &mixture.cell, name);
    assert_eq!(of_mixture("teacher_prompts"), [other.1.clone(), second.1.clone()].concat());
    assert_eq!(mixture.train_rows, 80);
    for target in targets {
        let origins: Vec<&String> =
            target.started_from.iter().filter_map(|origin| origin.cell.as_ref()).collect();
        let own = |name: &str| tensor(&w, "out", &target.cell, name);
        match target.method.as_str() {
            "spot" => {
                assert_eq!(origins, [&other.0]);
                assert_eq!(own("prompt"), other.1);
            }
            "attempt" => {
                assert_eq!(origins, [&other.0, &second.0]);
                assert_eq!(own("source_prompts"), [other.1.clone(), second.1.clone()].concat());
            }
            "mpt" => {
                assert_eq!(origins, [&mixture.cell]);
                assert_eq!(own("prompt"), of_mixture("prompt"));
                for name in ["position_factor", "feature_factor"] {
                    let [first, second] = of_mixture(name)
                        .chunks(own(name).len())
                        .map(<[f32]>::to_vec)
                        .collect::<Vec<_>>()
                        .try_into()
                        .unwrap();
                    let means = first.iter().zip(&second).map(|(a, b)| (a + b) / 2.0);
                    assert!(
                        own(name).iter().zip(means).all(|(own, mean)| (own - mean).abs() < 1e-6),
                        "{name}"
                    );
                    assert_ne!(first, second, "tasks have factors of their own");
                }
            }
            _ => {
                assert_eq!(origins, [&other.0, &second.0]);
                let (shared, position, feature) =
                    (own("prompt"), own("position_factor"), own("feature_factor"));
                // Between the two, as the mean is.
                let distance = |to: &[f32]| {
                    let at = |i: usize| shared[i] * position[i / 16] * feature[i % 16] - to[i];
                    (0..to.len()).map(|i| at(i).powi(2)).sum::<f32>().sqrt()
                };
                let apart: f32 =
                    other.1.iter().zip(&second.1).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
                assert!(distance(&other.1) < apart && distance(&second.1) < apart);
            }
        }
    }
}

#[test]
fn a_plan_shows_sources_and_what_starts_from_them() {
    let w = workspace(ATTEMPT_AND_MPT);
    assert_snapshot!("plan", plan(&w, &[]));
    let json = plan_json(&w, &[]);
    let rows = json["tasks"].as_array().unwrap();
    let sources: Vec<&Value> = rows.iter().filter(|row| row["is_source"] == true).collect();
    assert_eq!((json["cells"].as_u64(), sources.len()), (Some(19), 3));
    let of = |method: &str| &rows.iter().find(|row| row["method"] == method).unwrap()["sources"];
    assert_eq!(*of("mpt"), serde_json::json!([sources[2]["cell"]]));
    let prompts = serde_json::json!([sources[0]["cell"], sources[1]["cell"]]);
    assert_eq!((of("mpt-fit"), of("mpt-source (source)")), (&prompts, &prompts));
    assert_success(&run(&w, &["--method", "spot"]));
    let json = plan_json(&w, &["--method", "spot"]);
    assert_eq!((&json["cells"], &json["done"]), (&5.into(), &5.into()));
    let estimate = plan_json(&w, &["--estimate"]);
    let timed =
        estimate["tasks"].as_array().unwrap().iter().filter(|row| row["estimate"]["seconds"].is_f64());
    assert_eq!(timed.count(), 11);
}

#[test]
fn the_settings_of_a_source_make_other_targets_and_its_name_does_not() {
    let w = workspace("");
    let targets = |more: &[&str]| {
        let json = plan_json(&w, more);
        json["tasks"].as_array().unwrap().iter().map(|row| row["sources"].to_string()).collect::<Vec<_>>()
    };
    let own = targets(&[]);
    for change in ["source.steps=7", "source.seed=7", "methods.spot.source_prompt.learning_rate=0.1"] {
        assert_ne!(targets(&["--set", change]), own, "{change}");
    }
    assert_eq!(targets(&["--set", "methods.spot.prompt.learning_rate=0.1", "--seed", "9"]), own);
    w.write("copy.toml", &w.read("other.toml"));
    w.edit("stages.toml", "other.toml", "copy.toml");
    assert_eq!(targets(&[]), own);
    assert_success(&run(&w, &["--seed", "1", "--task", "tiny.toml"]));
    let before = ids(&w, "out");
    w.edit("stages.toml", "copy.toml", "other.toml");
    assert_success(&run(&w, &["--seed", "1", "--task", "tiny.toml"]));
    assert_eq!(ids(&w, "out"), before);
    assert_success(&run(&w, &["--seed", "1", "--task", "tiny.toml", "--set", "source.steps=7"]));
    assert_eq!(ids(&w, "out").len(), 4, "another source, and another target of it");
    let steps = run(&w, &["--seed", "1", "--task", "tiny.toml", "--steps", "2"]);
    assert_success(&steps);
    let (_, sources) = results(&w, "out");
    let steps = |record: &Record| serde_json::from_str::<Value>(&record.training).unwrap()["steps"].as_u64();
    let steps: BTreeSet<Option<u64>> = sources.iter().map(steps).collect();
    assert_eq!(steps, [Some(2), Some(6), Some(7)].into(), "--steps is for sources too");
}

#[test]
fn a_source_trains_on_all_rows_whatever_the_shots_of_its_targets() {
    let w = workspace("");
    assert_success(&run(&w, &["--set", "shots=[4, 8]", "--seed", "1", "--task", "tiny.toml"]));
    let (targets, sources) = results(&w, "out");
    assert_eq!((targets.len(), sources.len()), (2, 1));
    assert_eq!(sources[0].train_rows, 40);
}

#[test]
fn a_source_that_is_an_ordinary_cell_too_is_one_cell_and_in_the_table() {
    let w = workspace("\n[methods.prompt-tuning]\nprompt.length = 3\n");
    w.edit("stages.toml", "[source]\nsteps = 6\n", "");
    w.edit("stages.toml", "\"second.toml\"]", "\"other.toml\"]");
    let output = run(&w, &["--seed", "42"]);
    assert_success(&output);
    assert_eq!(ids(&w, "out").len(), 4, "{}", stderr(&output));
    assert!(stdout(&output).contains("prompt-tuning"), "{}", stdout(&output));
    assert!(!stdout(&output).contains("(source)"), "{}", stdout(&output));
}

#[test]
fn a_source_that_diverges_fails_what_starts_from_it_by_name_and_nothing_else() {
    let w = workspace("\n[methods.lora]\nrank = 2\n");
    w.edit("stages.toml", "[source]\nsteps = 6", "[source]\nsteps = 30");
    let spoiled = ["--set", "methods.spot.source_prompt.learning_rate=1e38"];
    for _ in 0..2 {
        let output = run(&w, &spoiled);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let told = "error: spot on tiny does not run: its source prompt-tuning on other, seed 42 (cell ";
        assert!(stderr(&output).contains(told), "{}", stderr(&output));
        assert!(stderr(&output).contains("spot on second does not run"), "{}", stderr(&output));
        assert!(stderr(&output).contains("diverged: the loss was"), "{}", stderr(&output));
        assert!(stdout(&output).contains("missing: 4 of 8 cells: spot on Tiny"), "{}", stdout(&output));
    }
    let (targets, sources) = results(&w, "out");
    assert!(targets.iter().all(|target| target.method == "lora"));
    assert_eq!((targets.len(), sources.len()), (4, 1));
    // With another source it runs.
    let output = run(&w, &[]);
    assert_success(&output);
    assert_eq!(results(&w, "out").0.len(), 8);
}

#[test]
fn an_adapter_that_is_gone_or_of_another_cell_fails_what_starts_from_it() {
    let w = workspace("");
    assert_success(&run(&w, &["--seed", "1", "--task", "tiny.toml"]));
    let (targets, sources) = results(&w, "out");
    let [source, target] = [&sources[0], &targets[0]].map(|record| w.path("out/adapters").join(&record.cell));
    fs::rename(&source, w.path("aside")).unwrap();
    let output = run(&w, &["--seed", "2", "--task", "tiny.toml"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let hint = format!("remove cells/{}.parquet to train it again", sources[0].cell);
    assert!(stderr(&output).contains(&hint), "{}", stderr(&output));
    fs::create_dir(&source).unwrap();
    for name in files(&target) {
        fs::copy(target.join(&name), source.join(&name)).unwrap();
    }
    let output = run(&w, &["--seed", "2", "--task", "tiny.toml"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains(&format!("is of cell {}", targets[0].cell)), "{}", stderr(&output));
}

#[test]
fn shards_have_the_sources_of_their_cells_and_merge() {
    let w = workspace("");
    assert_success(&run(&w, &[]));
    let all = ids(&w, "out");
    let mut seen = BTreeSet::new();
    for shard in ["1/2", "2/2"] {
        let out = format!("shard-{}", &shard[..1]);
        assert_success(&w.run(&["run", "stages.toml", "--shard", shard, "--out", &out]));
        assert_eq!(ids(&w, &out).len(), 3, "two targets and what they start from");
        seen.extend(ids(&w, &out));
    }
    assert_eq!(seen, all);
    assert_success(&w.run(&["merge", "shard-1", "shard-2", "--out", "merged"]));
    assert_eq!(ids(&w, "merged"), all);
    assert_success(&w.run(&["merge", "out", "merged", "--out", "both"]));
}

#[test]
fn a_shard_has_the_sources_of_its_sources() {
    let w = workspace(ATTEMPT_AND_MPT);
    for shard in ["1/4", "2/4", "3/4", "4/4"] {
        let out = format!("shard-{}", &shard[..1]);
        let output = w.run(&["run", "stages.toml", "--method", "mpt", "--shard", shard, "--out", &out]);
        assert_success(&output);
        assert_eq!(ids(&w, &out).len(), 4, "a target, the mixture, and two prompts");
    }
    // What is done needs its sources no more.
    let done = w.run(&["run", "stages.toml", "--method", "mpt", "--shard", "1/4", "--out", "shard-1"]);
    assert!(stderr(&done).contains("4 already done, 0 to run"), "{}", stderr(&done));
}

#[test]
fn any_method_trains_on_a_mixture() {
    let w = workspace("\n[methods.hyperformer]\nreduction = 4\ntasks = 2\n");
    w.edit("stages.toml", "sources = [\"other.toml\"]", "sources = [\"other.toml+second.toml\"]");
    let mixed = ["--task", "tiny.toml+second.toml", "--seed", "1"];
    assert_success(&run(&w, &mixed));
    let (targets, sources) = results(&w, "out");
    assert_eq!((targets.len(), sources.len()), (2, 1));
    assert_eq!(sources[0].task, "other+second");
    for target in &targets {
        assert_eq!((target.task.as_str(), target.task_title.as_str()), ("tiny+second", "Tiny + Second"));
        assert_eq!((target.metric.as_str(), target.train_rows, target.test_rows), ("exact-match", 80, 24));
    }
    let tasks = run(&w, &["--method", "hyperformer", "--task", "tiny.toml"]);
    assert_refused(&tasks, &["`hyperformer` tells 2 tasks apart", "`tiny` is a single one"]);
    let adapter = targets.iter().find(|target| target.method == "hyperformer").unwrap();
    let adapter = format!("out/adapters/{}", adapter.cell);
    let score = |lines: &str| {
        w.write("pairs.jsonl", lines);
        w.run(&["score", "--model", "model", "--adapter", &adapter, "--input", "pairs.jsonl"])
    };
    let line = |task: &str| format!("{{\"source\": \"a b\", \"target\": \"c\"{task}}}\n");
    let both = score(&(line(", \"task\": 0") + &line(", \"task\": 1")));
    assert_success(&both);
    let scores: Vec<Value> = stdout(&both).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_ne!(scores[0]["logprob"], scores[1]["logprob"]);
    for wrong in ["", ", \"task\": 2"] {
        let refused = score(&(line(", \"task\": 0") + &line(wrong)));
        assert_refused(&refused, &["pairs.jsonl, line 2", "tells 2 tasks apart", "from 0 to 1"]);
    }
    let twice = run(&w, &["--task", "tiny.toml+tiny.toml"]);
    assert_refused(&twice, &["has `tiny` twice"]);
    let tried = run(&w, &[&mixed[..], &["--limit", "8", "--method", "hyperformer"]].concat());
    assert_success(&tried);
    let limited = results(&w, "out").0.into_iter().find(|record| record.limit == Some(8)).unwrap();
    assert_eq!((limited.train_rows, limited.test_rows), (8, 8));
    let batches =
        run(&w, &[&mixed[..], &["--method", "hyperformer", "--set", "training.batching=tasks"]].concat());
    assert_success(&batches);
}

#[test]
fn processes_on_one_folder_share_sources() {
    let w = workspace(ATTEMPT_AND_MPT);
    let arguments = ["run", "stages.toml", "--out", "shared"];
    let mut children: Vec<_> = (0..3).map(|_| w.command(&arguments).spawn().unwrap()).collect();
    children.iter_mut().for_each(|child| assert!(child.wait().unwrap().success()));
    assert_success(&run(&w, &[]));
    assert_eq!(ids(&w, "shared"), ids(&w, "out"));
    for cell in ids(&w, "out") {
        let cell = cell.replace(".parquet", "");
        assert_eq!(sha256(tensors(&w, "shared", &cell)), sha256(tensors(&w, "out", &cell)), "{cell}");
    }
    assert!(!w.path("shared/state").exists());
}

#[test]
fn a_sweep_tries_settings_on_one_source() {
    let w = workspace("\n[sweep]\nseeds = [7]\n[sweep.spot]\nprompt.learning_rate = [0.1, 0.3]\n");
    assert_success(&run(&w, &["--task", "tiny.toml"]));
    let records = Store::read_only(&w.path("out")).unwrap().records().unwrap();
    let of = |suite: &str| records.iter().filter(|record| record.suite == suite).count();
    assert_eq!((of("stages-trials"), of("stages"), of("")), (2, 2, 1));
}

#[test]
fn sources_that_cannot_be_are_refused_by_name() {
    let w = workspace("\n[methods.lora]\nrank = 2\n");
    let set = |value: &str| run(&w, &["--set", value]);
    for (value, parts) in [
        ("methods.spot.sources=[\"nowhere\"]", &["methods.spot", "`sources`", "`nowhere`"][..]),
        ("methods.spot.sources=[\"mnli\", \"qqp\"]", &["`sources` has 2 tasks", "`mnli+qqp`"]),
        ("methods.spot.sources=[\"mnli+qqq\"]", &["methods.spot", "did you mean `qqp`"]),
        ("methods.spot.sources=[]", &["`sources` is empty"]),
        ("methods.spot.prompt.init=text", &["`init`"]),
        ("source.stepz=3", &["`stepz`", "did you mean `steps`?"]),
        ("source.steps=0", &["`source.steps` is 0"]),
        ("source.seed=-1", &["`source.seed` is -1"]),
        ("source=3", &["unknown setting `source`"]),
    ] {
        assert_refused(&set(value), parts);
    }
    let alone = run(&w, &["--method", "lora", "--set", "source.steps=3"]);
    assert_refused(&alone, &["no method that runs starts from a source"]);
    let mpt = run(&w, &["--method", "mpt-source"]);
    assert_refused(&mpt, &["`mpt-source` tells 6 tasks apart", "`tiny` is a single one"]);
    w.edit("stages.toml", "steps = 6", "steps = 6\nepochs = 1");
    assert_refused(&run(&w, &[]), &["stages.toml", "`source` has both"]);
    assert!(!w.path("out").exists());
}

#[test]
fn cells_start_from_an_adapter_of_their_method() {
    let w = workspace("\n[methods.lora]\nrank = 2\nlearning_rate = 0.01\n");
    let alone = ["--method", "lora", "--seed", "1", "--task", "tiny.toml"];
    assert_success(&run(&w, &alone));
    let first = results(&w, "out").0.remove(0);
    let path = format!("out/adapters/{}", first.cell);
    let still = ["--set", "methods.lora.learning_rate=1e-30"];
    for from in [first.cell.as_str(), &path] {
        let output = run(&w, &[&alone[..], &still, &["--init-from", from]].concat());
        assert_success(&output);
        assert!(stderr(&output).contains("`learning_rate` = 0.01"), "it differs: {}", stderr(&output));
    }
    let (records, _) = results(&w, "out");
    assert_eq!(records.len(), 2, "the adapter is part of what a cell is, and its name is not");
    let second = records.iter().find(|record| record.cell != first.cell).unwrap();
    let [origin] = &second.started_from[..] else { panic!("{:?}", second.started_from) };
    assert_eq!((origin.role, origin.cell.as_ref()), (Role::InitFrom, Some(&first.cell)));
    assert_eq!(origin.sha256, sha256(tensors(&w, "out", &first.cell)));
    let names = |cell: &str| {
        let bytes = fs::read(tensors(&w, "out", cell)).unwrap();
        SafeTensors::deserialize(&bytes).unwrap().names().into_iter().map(String::from).collect::<Vec<_>>()
    };
    for name in names(&first.cell) {
        let [before, after] = [&first, second].map(|record| tensor(&w, "out", &record.cell, &name));
        assert_eq!(before, after, "{name}");
    }

    // Python's peft would have written it so.
    assert_success(&w.run(&["export", &path, "--out", "exported"]));
    let output = run(&w, &[&alone[..], &still, &["--init-from", "exported"]].concat());
    assert_success(&output);
    let known = [&first.cell, &second.cell];
    let (records, _) = results(&w, "out");
    let third = records.iter().find(|record| !known.contains(&&record.cell)).unwrap();
    let [origin] = &third.started_from[..] else { panic!("{:?}", third.started_from) };
    assert_eq!((origin.role, &origin.cell), (Role::InitFrom, &None));
    for name in names(&first.cell) {
        assert_eq!(tensor(&w, "out", &first.cell, &name), tensor(&w, "out", &third.cell, &name), "{name}");
    }

    let init = |more: &[&str]| run(&w, &[&alone[..], more].concat());
    let from = ["--init-from", &path];
    assert_refused(
        &init(&[&from[..], &["--set", "methods.lora.rank=3"]].concat()),
        &["--init-from", "lora_A` is [2, 16]", "[3, 16]"],
    );
    assert_refused(&init(&[&from[..], &["--method", "bitfit"]].concat()), &["adapter of `lora`", "`bitfit`"]);
    assert_refused(&init(&["--init-from", "0123456789abcdef"]), &["--init-from 0123456789abcdef", "out"]);
    assert_refused(&init(&["--init-from", "rows"]), &["rows"]);
    assert_success(&run(&w, &["--method", "spot", "--seed", "1", "--task", "tiny.toml"]));
    let spot = results(&w, "out").0.into_iter().find(|record| record.method == "spot").unwrap();
    let output =
        run(&w, &["--method", "spot", "--seed", "1", "--task", "tiny.toml", "--init-from", &spot.cell]);
    assert_refused(&output, &["--init-from", "starts from its sources"]);
}

#[test]
fn the_source_most_similar_to_the_target_is_retrieved() {
    let w = workspace("");
    w.edit(
        "stages.toml",
        "sources = [\"other.toml\"]",
        "sources = [\"other.toml\", \"second.toml\"]\nretrieve = 1",
    );
    let still = ["--set", "methods.spot.prompt.learning_rate=1e-30", "--seed", "1"];
    assert_success(&run(&w, &still));
    let (targets, sources) = results(&w, "out");
    assert_eq!((targets.len(), sources.len()), (2, 3), "the prompt of a target that is a source is the same");
    let prompt = |task: &str| {
        let source = sources.iter().find(|source| source.task == task).unwrap();
        tensor(&w, "out", &source.cell, "prompt")
    };
    let mean =
        |prompt: &[f32]| -> Vec<f32> { (0..16).map(|at| prompt.iter().skip(at).step_by(16).sum()).collect() };
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let similarity = |a: &str, b: &str| {
        let (a, b) = (mean(&prompt(a)), mean(&prompt(b)));
        product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
    };
    for target in &targets {
        let trained_on: Vec<&str> =
            target.started_from.iter().map(|origin| origin.task.as_deref().unwrap()).collect();
        assert_eq!(trained_on, ["other", "second", &target.task]);
        let others = ["other", "second"].into_iter().filter(|task| *task != target.task);
        let nearest = others
            .max_by(|a, b| similarity(a, &target.task).total_cmp(&similarity(b, &target.task)))
            .unwrap();
        assert_eq!(tensor(&w, "out", &target.cell, "prompt"), prompt(nearest));
    }
    let lines = plan(&w, &["--seed", "1"]);
    assert!(lines.contains("spot on Tiny starts from prompt-tuning (source) on Other"), "{lines}");
    assert_refused(
        &run(&w, &["--set", "methods.spot.retrieve=3"]),
        &["`retrieve` is 3", "`sources` has 2 tasks"],
    );
}

const MULTI_TASK: &str = r#"
[methods.adapter]
bottleneck = 2

[methods.adapter-multi]
method = "adapter"
bottleneck = 2
train_on = "tiny.toml+second.toml"

[methods.hyperformer-multi]
method = "hyperformer"
reduction = 4
tasks = 2
train_on = "tiny.toml+second.toml"
"#;

/// The suite of methods that train once for several tasks.
fn multi_task(more: &str) -> Workspace {
    let w = workspace(&format!("{MULTI_TASK}{more}"));
    w.edit("stages.toml", "[methods.spot]\nprompt.length = 3\nsources = [\"other.toml\"]\n", "");
    w
}

/// What a cell answered to the test rows of a task, by the rows' texts.
fn answers(w: &Workspace, record: &Record, word: &str) -> Vec<(String, String)> {
    let store = Store::read_only(&w.path("out")).unwrap();
    let items = store.items(record.evidence.as_ref().unwrap().items.as_ref().unwrap()).unwrap().unwrap();
    let predictions = store.predictions(&record.cell).unwrap().unwrap();
    let text = |frame: &polars::prelude::DataFrame, column: &str| -> Vec<String> {
        frame.column(column).unwrap().str().unwrap().iter().map(|text| text.unwrap().into()).collect()
    };
    let rows = text(&items, "source").into_iter().zip(text(&predictions, "prediction"));
    let mut own: Vec<_> = rows.filter(|(source, _)| source.starts_with(word)).collect();
    own.sort();
    own
}

#[test]
fn one_training_on_several_tasks_is_scored_on_each() {
    let w = multi_task("");
    let output = run(&w, &[]);
    assert_success(&output);
    let (scored, trainings) = results(&w, "out");
    assert_eq!(
        (scored.len(), trainings.len()),
        (12, 4),
        "three methods, two tasks, two seeds; two trainings of each seed"
    );
    for record in &scored {
        assert_eq!((record.metric.as_str(), record.test_rows), ("accuracy", 12), "{}", record.method);
        let alone = scored.iter().find(|other| {
            (&*other.method, &other.task, other.seed) == ("adapter", &record.task, record.seed)
        });
        let items = |record: &Record| record.evidence.as_ref().unwrap().items.clone();
        assert_eq!(items(record), items(alone.unwrap()), "statistics pair the same items");
        let has_adapter = w.path(&format!("out/adapters/{}", record.cell)).exists();
        assert_eq!(has_adapter, record.method == "adapter");
        if record.method == "adapter" {
            continue;
        }
        let [origin] = &record.started_from[..] else { panic!("{:?}", record.started_from) };
        let training =
            trainings.iter().find(|training| Some(&training.cell) == origin.cell.as_ref()).unwrap();
        assert_eq!(
            (origin.role, training.task.as_str(), training.seed),
            (Role::Scored, "tiny+second", record.seed)
        );
        assert_eq!(
            (record.best_step, record.train_seconds),
            (training.best_step, training.train_seconds / 2.0)
        );
        assert_eq!(record.trainable_parameters, training.trainable_parameters);
        let word = if record.task == "tiny" { "sentence:" } else { "red" };
        let own = answers(&w, record, word);
        assert_eq!(own, answers(&w, training, word), "{} on {}", record.method, record.task);
        assert_eq!(own.len(), 24, "validation and test");
    }
    for training in &trainings {
        assert_eq!(training.selection_metric, "mean over tasks of accuracy; accuracy");
        let own = scored.iter().filter(|record| {
            record.started_from.iter().any(|origin| origin.cell.as_ref() == Some(&training.cell))
        });
        let selected: Vec<f64> = own.map(|record| record.selection_score.unwrap()).collect();
        assert_eq!(selected.len(), 2);
        assert!((training.selection_score.unwrap() - selected.iter().sum::<f64>() / 2.0).abs() < 1e-9);
    }
    let table = stdout(&output);
    assert!(!table.contains("earlier"), "seeds are of one kind: {table}");
    for part in ["adapter-multi", "Tiny", "Second", "note: adapter-multi was trained on tiny+second"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    assert!(!table.contains("Tiny + Second"), "{table}");

    // What is scored is scored again to the same answers, without training.
    let record = scored.iter().find(|record| record.method == "hyperformer-multi").unwrap();
    let path = w.path(&format!("out/cells/{}.parquet", record.cell));
    fs::remove_file(&path).unwrap();
    let again = run(&w, &[]);
    assert_success(&again);
    assert!(stderr(&again).contains("16 cells, 15 already done, 1 to run"), "{}", stderr(&again));
    let (scored_again, _) = results(&w, "out");
    let same = scored_again.iter().find(|other| other.cell == record.cell).unwrap();
    assert_eq!(
        (&same.test_scores, &same.validation_scores),
        (&record.test_scores, &record.validation_scores)
    );
    assert_success(&w.run(&["report", "out"]));

    let mut trained = Vec::new();
    for shard in ["1/2", "2/2"] {
        let out = format!("shard-{}", &shard[..1]);
        assert_success(&w.run(&["run", "stages.toml", "--shard", shard, "--out", &out]));
        trained.extend(results(&w, &out).1.into_iter().map(|training| training.cell));
    }
    assert_eq!(trained.len(), 4, "each training is in one shard, with all that it is scored on");
    assert_success(&w.run(&["merge", "shard-1", "shard-2", "--out", "merged"]));
    assert_eq!(ids(&w, "merged"), ids(&w, "out"));
}

#[test]
fn a_training_on_one_task_is_scored_on_others() {
    let w = multi_task("");
    w.edit(
        "stages.toml",
        "train_on = \"tiny.toml+second.toml\"\n\n[methods.h",
        "train_on = \"other.toml\"\n\n[methods.h",
    );
    assert_success(&run(&w, &["--method", "adapter-multi", "--seed", "1"]));
    let (scored, trainings) = results(&w, "out");
    assert_eq!((scored.len(), trainings.len(), trainings[0].task.as_str()), (2, 1, "other"));
    assert!(scored.iter().all(|record| record.train_seconds == trainings[0].train_seconds));
    let lines = plan(&w, &["--method", "adapter-multi", "--seed", "1"]);
    assert!(lines.contains("adapter-multi on Tiny, Second is trained as adapter-multi on Other"), "{lines}");
    let json = plan_json(&w, &["--method", "adapter-multi", "--seed", "1", "--estimate"]);
    let steps: Vec<&Value> =
        json["tasks"].as_array().unwrap().iter().map(|row| &row["estimate"]["steps"]).collect();
    assert_eq!(steps, [&Value::from(4), &0.into(), &0.into()], "{json}");
    let seconds = |row: &Value| row["estimate"]["seconds"].as_f64().unwrap();
    let sum: f64 = json["tasks"].as_array().unwrap().iter().map(seconds).sum();
    assert!((seconds(&json) - sum).abs() < 0.01, "what others start from takes its time, too: {json}");
}

#[test]
fn methods_with_sources_train_on_several_tasks() {
    let sources =
        "prompt.length = 3\nsources = [\"other.toml\"]\ntasks = 2\ntrain_on = \"tiny.toml+second.toml\"\n";
    let w = multi_task(&format!("\n[methods.attempt]\nbottleneck = 2\n{sources}\n[methods.mpt]\n{sources}"));
    assert_success(&run(&w, &["--method", "attempt", "--method", "mpt", "--seed", "1"]));
    let (scored, trained) = results(&w, "out");
    assert_eq!(scored.len(), 4);
    let mut of: Vec<(&str, &str)> = trained.iter().map(|record| (&*record.method, &*record.task)).collect();
    of.sort();
    let both = "tiny+second";
    let source = ("prompt-tuning (source)", "other");
    assert_eq!(of, [("attempt", both), ("mpt", both), ("mpt-source (source)", "other"), source]);
    let trained_on = |method: &str| trained.iter().find(|record| record.method == method).unwrap();
    let prompts = tensor(&w, "out", &trained_on("attempt").cell, "prompt");
    assert_eq!(prompts.len(), 2 * 3 * 16, "a prompt of each task");
    assert_eq!(tensor(&w, "out", &trained_on("mpt").cell, "feature_factor").len(), 2 * 16);
    for record in &scored {
        let [training, source] = &record.started_from[..] else { panic!("{:?}", record.started_from) };
        assert_eq!((training.role, source.role), (Role::Scored, Role::Source));
    }
    w.write(
        "published.csv",
        "task,group,metric,method,score,regime\ntiny,Tests,accuracy,mpt,50.0,transfer and multi-task\n\
         second,Tests,accuracy,attempt,50.0,single-task\n",
    );
    assert_success(&w.run(&["report", "out", "--compare", "published.csv"]));
    let page = w.read("out/report.html");
    for told in [
        "ours was trained on tiny+second",
        "published after single-task training, ours is after transfer and multi-task training",
        "ours starts from our own prompt-tuning on other",
    ] {
        assert!(page.contains(told), "{told}");
    }
    assert_eq!(page.matches("published after").count(), 1, "one regime is the same");
}

#[test]
fn what_a_training_on_other_rows_cannot_be_is_refused() {
    let w = multi_task("");
    let refused = |from: &str, to: &str, more: &[&str], parts: &[&str]| {
        let before = w.read("stages.toml");
        w.edit("stages.toml", from, to);
        assert_refused(&run(&w, more), parts);
        w.write("stages.toml", &before);
    };
    let key = "train_on = \"tiny.toml+second.toml\"";
    let end = &w.read("stages.toml");
    let with = |more: &str| format!("{end}{more}");
    refused(key, "train_on = 3", &[], &["stages.toml", "`train_on` is 3", "a task"]);
    refused(key, "train_on = \"tinny.toml\"", &[], &["methods.adapter-multi: `train_on`", "tinny.toml"]);
    refused(key, key, &["--set", "shots=[4]"], &["methods.adapter-multi: `train_on`", "no `shots`"]);
    refused(
        end,
        &with("\n[[for]]\ntasks = [\"second.toml\"]\ntraining = { steps = 3 }\n"),
        &[],
        &["a `[[for]]` sets `adapter-multi` on `second.toml`", "trains on `tiny.toml+second.toml`"],
    );
    refused(
        "tasks = [\"tiny.toml\", \"second.toml\"]",
        "tasks = [\"tiny.toml\", \"other.toml\"]",
        &["--method", "hyperformer-multi"],
        &["methods.hyperformer-multi: `train_on`", "`other` is none of the tasks that it tells apart"],
    );
    refused("tasks = 2", "tasks = 3", &[], &["`hyperformer-multi` tells 3 tasks apart", "a mixture of 2"]);
    let sweep = "\n[sweep]\nseeds = [9]\n\n[sweep.adapter-multi]\nbottleneck = [2, 3]\n";
    refused(end, &with(sweep), &["--method", "adapter-multi"], &["`train_on`", "no [sweep]"]);
}

#[test]
fn a_training_that_diverges_fails_what_is_scored_after_it_by_name() {
    let w = multi_task("");
    let spoiled = ["--set", "methods.adapter-multi.learning_rate=1e38", "--steps", "30", "--seed", "1"];
    let output = run(&w, &spoiled);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let told = "error: adapter-multi on tiny does not run: its source adapter on tiny+second, seed 1 (cell ";
    assert!(stderr(&output).contains(told), "{}", stderr(&output));
    assert_eq!(results(&w, "out").0.len(), 4, "the other methods are scored");
}

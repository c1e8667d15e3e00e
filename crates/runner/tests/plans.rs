//! `peft-bench plan`: what a run would compute, without computing it.

mod common;

use std::fs::File;

use common::{Workspace, assert_refused, assert_success, files, stderr, stdout};
use serde_json::Value;

fn json(w: &Workspace, more: &[&str]) -> Value {
    let output = w.run(&[&["plan", "tiny-suite.toml", "--out", "out", "--json"], more].concat());
    assert_success(&output);
    serde_json::from_str(&stdout(&output)).unwrap()
}

fn counts(value: &Value) -> [u64; 4] {
    ["cells", "done", "running", "missing"].map(|key| value[key].as_u64().unwrap())
}

#[test]
fn a_plan_tells_done_running_and_missing_cells_and_writes_nothing() {
    let w = Workspace::new();
    let plan = json(&w, &[]);
    assert_eq!(counts(&plan), [4, 0, 0, 4]);
    assert!(!w.path("out").exists());
    assert_success(&w.train("lora", &["--out", "out", "--seed", "1"]));
    let before = files(&w.path("out"));
    let more = json(&w, &["--method", "prompt-tuning", "--seed", "7"]);
    assert_eq!(counts(&more), [1, 0, 0, 1]);

    // Another process computes the cell that is missing next.
    let text = stdout(&w.run(&["plan", "tiny-suite.toml", "--out", "out"]));
    assert!(text.contains("Tiny suite: 4 cells: 1 done, 0 running, 3 missing, in out"), "{text}");
    assert_eq!(files(&w.path("out")), before);
    assert_success(&w.train("lora", &["--out", "other", "--seed", "2"]));
    let second = files(&w.path("other/cells")).remove(0).replace(".parquet", "");
    w.write(&format!("out/state/{second}.lock"), "process 7 on moon");
    let lock = File::open(w.path(&format!("out/state/{second}.lock"))).unwrap();
    lock.lock().unwrap();
    let plan = json(&w, &[]);
    assert_eq!(counts(&plan), [4, 1, 1, 2]);
    assert_eq!(counts(&plan["tasks"][0]), [2, 1, 1, 0], "{plan}");
    assert_eq!(counts(&plan["methods"][1]), [2, 0, 0, 2], "{plan}");
    assert_eq!(plan["methods"][1]["trainable_parameters"], 3 * 16);
    // The holder's death makes it a missing one.
    drop(lock);
    assert_eq!(counts(&json(&w, &[])), [4, 1, 0, 3]);
}

#[test]
fn a_plan_chooses_the_cells_that_a_run_with_its_options_computes() {
    let w = Workspace::new();
    for options in [
        &["--shard", "2/3"][..],
        &["--limit", "9", "--method", "lora"],
        &["--steps", "3", "--set", "methods.lora.rank=1"],
        &["--set", "shots=[8]", "--seed", "5"],
    ] {
        let plan = json(&w, options);
        assert_success(&w.run(&[&["run", "tiny-suite.toml", "--out", "out"], options].concat()));
        let [cells, done, _, missing] = counts(&plan);
        assert!(cells > 0 && done == 0 && missing == cells, "{options:?}: {plan}");
        let after = counts(&json(&w, options));
        assert_eq!(after, [cells, cells, 0, 0], "{options:?}");
        std::fs::remove_dir_all(w.path("out")).unwrap();
    }
}

#[test]
fn a_plan_counts_the_rows_of_epochs_without_making_texts_of_them() {
    let w = Workspace::new();
    w.edit("tiny-suite.toml", "steps = 12", "epochs = 2");
    // Rows that become several examples, and a split that is drawn.
    let rows = |count: usize| -> String {
        let row = |i| {
            format!(
                "{{\"text\": \"the film {}\", \"label\": {}}}\n",
                "was ".repeat(i % 3),
                ["[0]", "[0, 1]", "[]"][i % 3]
            )
        };
        (0..count).map(row).collect()
    };
    w.write("rows/lists.jsonl", &rows(90));
    let spec = w.read("tiny.toml");
    let data = spec.find("[data]").unwrap();
    let task = "[data]\nfiles = { all = \"rows/lists.jsonl\" }\n[split]\nrule = \"random\"\nfrom = \"all\"\n\
                [text]\nsource = \"sentence: {text}\"\ntarget = \"{label}\"\nexpand = true\nempty = \"2\"\n\
                [metrics]\nselect = \"exact-match\"\n";
    for spec in [spec.clone(), format!("{}{task}", &spec[..data])] {
        w.write("tiny.toml", &spec);
        let plan = json(&w, &[]);
        assert_success(&w.run(&["run", "tiny-suite.toml", "--out", "out"]));
        assert_eq!((counts(&plan), counts(&json(&w, &[]))), ([4, 0, 0, 4], [4, 4, 0, 0]));
        std::fs::remove_dir_all(w.path("out")).unwrap();
    }
}

#[test]
fn a_plan_needs_no_weights() {
    let w = Workspace::new();
    std::fs::remove_file(w.path("model/model.safetensors")).unwrap();
    assert_eq!(counts(&json(&w, &[])), [4, 0, 0, 4]);
}

#[test]
fn a_plan_of_rows_that_are_not_there_tells_how_to_get_them() {
    let w = Workspace::new();
    let output = w.run(&["plan", "paper"]);
    assert_refused(&output, &["run `peft-bench fetch paper`"]);
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
}

#[test]
fn a_damaged_result_is_missing_and_stays_where_it_is() {
    let w = Workspace::new();
    assert_success(&w.train("lora", &["--out", "out", "--seed", "1"]));
    let name = format!("out/cells/{}", files(&w.path("out/cells"))[0]);
    let mut bytes = std::fs::read(w.path(&name)).unwrap();
    bytes[100] ^= 1;
    w.write_bytes(&name, &bytes);
    assert_eq!(counts(&json(&w, &[])), [4, 0, 0, 4]);
    assert_eq!(std::fs::read(w.path(&name)).unwrap(), bytes);
}

#[test]
fn estimates_cover_every_method_on_every_task_and_the_grid_on_several_devices() {
    let w = Workspace::new();
    let plan = json(&w, &["--estimate"]);
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value} in {plan}"));
    let mut sum = 0.0;
    for row in plan["tasks"].as_array().unwrap() {
        let own = &row["estimate"];
        assert_eq!(own["steps"], 12);
        assert!(number(&own["seconds"]) > 0.0 && number(&own["memory_bytes"]) > 0.0, "{own}");
        assert!(number(&own["flops"]) > 12.0 * number(&own["flops_per_step"]), "scoring counts: {own}");
        sum += 2.0 * number(&own["flops"]);
    }
    let total = &plan["estimate"];
    assert!((number(&total["flops"]) / sum - 1.0).abs() < 1e-9);
    assert_eq!(total["seconds"], total["seconds_left"]);
    // Operations do not depend on what was measured.
    let four = json(&w, &["--estimate", "--devices", "4"]);
    assert_eq!(four["estimate"]["flops"], total["flops"]);
    let largest = four["tasks"].as_array().unwrap().iter().map(|row| number(&row["estimate"]["seconds"]));
    let largest = largest.fold(0.0, f64::max);
    assert!((number(&four["estimate"]["seconds"]) / largest - 1.0).abs() < 1e-9, "a device for each cell");

    assert_success(&w.train("lora", &["--out", "out"]));
    let left = json(&w, &["--estimate"]);
    let [all, left] = ["seconds", "seconds_left"].map(|key| number(&left["estimate"][key]));
    assert!(left > 0.0 && left < all);
    let text = stdout(&w.run(&["plan", "tiny-suite.toml", "--out", "out", "--estimate"]));
    assert!(text.contains("estimate: ") && text.contains("per step"), "{text}");
}

#[test]
fn options_of_a_plan_are_checked() {
    let w = Workspace::new();
    assert_refused(&w.run(&["plan", "tiny-suite.toml", "--devices", "2"]), &["--estimate"]);
    assert_refused(&w.run(&["plan", "tiny-suite.toml", "--estimate", "--devices", "0"]), &["--devices"]);
    assert_refused(&w.run(&["plan", "nothing"]), &["nothing"]);
}

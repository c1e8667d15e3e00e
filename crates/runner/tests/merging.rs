//! `peft-bench merge`: results folders of several machines become one.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::{Workspace, assert_refused, assert_success, files, stderr, stdout};
use peft_bench::results::{CellStatus, FORMAT, Record, Store};

/// Two shards of the tiny suite in `a` and `b`.
fn workspace() -> Workspace {
    let w = Workspace::new();
    w.edit("tiny-suite.toml", "steps = 12", "steps = 2");
    for (out, shard) in [("a", "1/2"), ("b", "2/2")] {
        assert_success(&w.run(&["run", "tiny-suite.toml", "--shard", shard, "--out", out]));
    }
    w
}

/// Every file below a folder, with its bytes.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for name in files(folder) {
        let path = folder.join(&name);
        match path.is_dir() {
            true => all
                .extend(content(&path).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes))),
            false => {
                all.insert(name, fs::read(path).unwrap());
            }
        }
    }
    all
}

fn first(w: &Workspace, out: &str) -> String {
    files(&w.path(out).join("cells"))[0].replace(".parquet", "")
}

/// Changes a result, with a checksum that is right.
fn change(w: &Workspace, out: &str, change: impl FnOnce(&mut Record)) -> String {
    let (store, cell) = (Store::open(&w.path(out)).unwrap(), first(w, out));
    let mut record = store.read(&cell).unwrap().unwrap();
    change(&mut record);
    store.write(&record).unwrap();
    cell
}

#[test]
fn shards_of_two_machines_become_the_results_of_one() {
    let w = workspace();
    // What else belongs to a cell, whatever it is.
    let cell = first(&w, "a");
    w.write(&format!("a/predictions/{cell}.parquet"), "answers");
    w.write("a/predictions/not-a-cell.parquet", "x");
    let merge = w.run(&["merge", "a", "b", "--out", "both"]);
    assert_success(&merge);
    let text = stdout(&merge);
    assert!(text.contains("both: 4 cells, 4 of them new") && text.contains("Tiny suite"), "{text}");
    assert!(!text.contains("missing"), "{text}");
    let both = content(&w.path("both"));
    for out in ["a", "b"] {
        for (name, bytes) in content(&w.path(out)) {
            if ["cells/", "adapters/"].iter().any(|part| name.starts_with(part)) {
                assert_eq!(both[&name], bytes, "{name}");
            }
        }
    }
    assert_eq!(both[&format!("predictions/{cell}.parquet")], b"answers");
    assert!(!both.contains_key("predictions/not-a-cell.parquet"));
    assert!(both.contains_key("comparison.parquet") && both.contains_key("comparison.svg"));
    let run = w.run(&["run", "tiny-suite.toml", "--out", "both"]);
    assert!(stderr(&run).contains("4 already done, 0 to run"), "{}", stderr(&run));
}

#[test]
fn merging_again_changes_nothing_and_in_any_order() {
    let w = workspace();
    assert_success(&w.run(&["merge", "a", "b", "--out", "both"]));
    let before = content(&w.path("both"));
    for folders in [&["a", "b"][..], &["b", "a"], &["a"], &["both", "a"]] {
        let again = w.run(&[&["merge"], folders, &["--out", "both"]].concat());
        assert_success(&again);
        assert!(stdout(&again).contains("both: 4 cells, 0 of them new"), "{}", stdout(&again));
        let after = content(&w.path("both"));
        for (name, bytes) in &before {
            assert!(name.starts_with("suites/") || after[name] == *bytes, "{name} after {folders:?}");
        }
        assert_eq!(after.len(), before.len());
    }
}

#[test]
fn different_results_of_one_cell_are_refused_by_name_and_nothing_is_written() {
    type Change = fn(&mut Record);
    let changes: [(&str, Change); 6] = [
        ("`losses`", |r| r.losses[0].1 = f64::from_bits(r.losses[0].1.to_bits() ^ 1)),
        ("`validation_curve`", |r| r.validation_curve[0].1 += 1.0),
        ("`test_scores`", |r| r.test_scores = r.test_scores.replace("\"accuracy\":", "\"accuracy\":1")),
        ("`best_step`", |r| r.best_step = Some(77)),
        ("`status`", |r| r.status = CellStatus::Diverged("the loss was NaN by step 1".into())),
        ("`train_rows`", |r| r.train_rows += 1),
    ];
    let w = workspace();
    for (column, other) in changes {
        for name in files(&w.path("a")) {
            let from = w.path("a").join(&name);
            if from.is_dir() {
                for (inner, bytes) in content(&from) {
                    w.write_bytes(&format!("c/{name}/{inner}"), &bytes);
                }
            }
        }
        let cell = change(&w, "c", other);
        let merge = w.run(&["merge", "a", "b", "c", "--out", "all"]);
        assert_refused(&merge, &[&cell, column, " of a and of c differ", " on Tiny, seed "]);
        assert!(!w.path("all").exists(), "{column}");
        fs::remove_dir_all(w.path("c")).unwrap();
    }
    // A trained value.
    assert_success(&w.run(&["merge", "a", "--out", "c"]));
    let cell = first(&w, "c");
    let tensors = format!("adapters/{cell}/adapter.safetensors");
    let mut bytes = fs::read(w.path("c").join(&tensors)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    peft_bench::files::checksum::place(&bytes).unwrap();
    let place = peft_bench::files::checksum::place(&bytes).unwrap();
    bytes[place].fill(b'0');
    peft_bench::files::checksum::fill_in(&mut bytes);
    w.write_bytes(&format!("c/{tensors}"), &bytes);
    assert_refused(&w.run(&["merge", "a", "--out", "c"]), &[&cell, &tensors]);
    assert_eq!(fs::read(w.path("c").join(&tensors)).unwrap(), bytes);
}

#[test]
fn times_names_and_machines_may_differ() {
    let w = workspace();
    assert_success(&w.run(&["merge", "a", "--out", "c"]));
    let cell = change(&w, "c", |r| {
        (r.train_seconds, r.timestamp, r.cpu) = (1e6, "2020-01-01T00:00:00Z".into(), "abacus".into());
        (r.suite, r.method, r.task_title) = ("other".into(), "other".into(), "Other".into());
        r.test_scores = r.test_scores.replace('{', "{\"matthews\":1.0,");
    });
    let merge = w.run(&["merge", "a", "b", "--out", "c"]);
    assert_success(&merge);
    let record = Store::read_only(&w.path("c")).unwrap().read(&cell).unwrap().unwrap();
    assert_eq!(record.cpu, "abacus", "what is there stays");
}

#[test]
fn damaged_files_are_left_out_with_a_note_and_replaced_where_they_are_in_the_way() {
    let w = workspace();
    let cell = first(&w, "a");
    let damage = |name: &str| {
        let mut bytes = fs::read(w.path(name)).unwrap();
        let last = bytes.len() - 20;
        bytes[last] ^= 1;
        w.write_bytes(name, &bytes);
    };
    assert_success(&w.run(&["merge", "a", "b", "--out", "whole"]));
    damage(&format!("a/cells/{cell}.parquet"));
    let merge = w.run(&["merge", "a", "b", "--out", "both"]);
    assert_success(&merge);
    assert!(
        stderr(&merge).contains(&format!("note: the result a/cells/{cell}.parquet is left out")),
        "{}",
        stderr(&merge)
    );
    assert_eq!(files(&w.path("both/cells")).len(), 3);
    assert!(stdout(&merge).contains("missing: 1 of 4 cells"), "{}", stdout(&merge));

    // In the folder that gets them, too.
    damage(&format!("whole/cells/{cell}.parquet"));
    damage(&format!("whole/adapters/{cell}/adapter.safetensors"));
    assert_success(&w.run(&["run", "tiny-suite.toml", "--out", "fresh"]));
    let merge = w.run(&["merge", "fresh", "--out", "whole"]);
    assert_success(&merge);
    assert!(stdout(&merge).contains("whole: 4 cells, 1 of them new"), "{}", stdout(&merge));
    for name in [format!("cells/{cell}.parquet"), format!("adapters/{cell}/adapter.safetensors")] {
        assert_eq!(
            fs::read(w.path("whole").join(&name)).unwrap(),
            fs::read(w.path("fresh").join(&name)).unwrap()
        );
    }
}

#[test]
fn folders_of_a_newer_program_and_what_is_no_folder_are_refused() {
    let w = workspace();
    change(&w, "b", |r| r.format = FORMAT + 1);
    assert_refused(&w.run(&["merge", "a", "b", "--out", "both"]), &["b/cells/", "newer version", "update"]);
    assert!(!w.path("both").exists());
    assert_refused(&w.run(&["merge", "a", "nothing", "--out", "both"]), &["nothing holds no results"]);
    assert_refused(&w.run(&["merge", "a", "rows", "--out", "both"]), &["rows holds no results"]);
    assert_refused(&w.run(&["merge", "--out", "both"]), &["DIR"]);
    assert_refused(&w.run(&["merge", "a"]), &["--out"]);
    assert_refused(&w.run(&["merge", "a", "--out", "tiny.toml"]), &["tiny.toml"]);
}

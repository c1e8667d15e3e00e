//! Damaged results and adapters.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use peft_bench::results::Trained;
use peft_model::families;
use polars::prelude::*;

use crate::common::{Workspace, assert_refused, assert_success, files, stderr};
use crate::results::{cells, results};
use crate::signals;

fn frame(bytes: &[u8]) -> DataFrame {
    ParquetReader::new(Cursor::new(bytes)).finish().unwrap()
}

/// A table without a checksum, as other programs write it.
fn parquet(mut frame: DataFrame) -> Vec<u8> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame).unwrap();
    bytes
}

fn with_score(bytes: &[u8], score: f64) -> Vec<u8> {
    let mut frame = frame(bytes);
    frame.with_column(Column::new("score".into(), [score])).unwrap();
    parquet(frame)
}

type Damage = (&'static str, fn(&[u8]) -> Vec<u8>);

const DAMAGES: [Damage; 10] = [
    ("another score", |bytes| with_score(bytes, 99.9)),
    ("a score that is no number", |bytes| with_score(bytes, f64::NAN)),
    ("no rows", |bytes| parquet(frame(bytes).head(Some(0)))),
    ("two rows", |bytes| parquet(frame(bytes).vstack(&frame(bytes)).unwrap())),
    ("no checksum", |bytes| parquet(frame(bytes))),
    ("a column too few", |bytes| parquet(frame(bytes).drop("losses").unwrap())),
    ("a flipped bit", |bytes| {
        let mut bytes = bytes.to_vec();
        bytes[100] ^= 1;
        bytes
    }),
    ("half of it", |bytes| bytes[..bytes.len() / 2].to_vec()),
    ("nothing in it", |_| Vec::new()),
    ("text", |_| b"not a table".to_vec()),
];

#[test]
fn a_modified_result_is_set_aside_and_recomputed() {
    let w = Workspace::new();
    w.edit("tiny-suite.toml", "seeds = [1, 2]", "seeds = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]");
    let arguments = ["run", "tiny-suite.toml", "--method", "lora", "--out", "out"];
    assert_success(&w.run(&arguments));
    let undisturbed = results(&w, "out");
    let cells = cells(&w.path("out"));
    let path = |cell: &str| format!("out/cells/{cell}.parquet");
    let read = |cell: &str| fs::read(w.path(&path(cell))).unwrap();
    let (last, rest) = cells.split_last().unwrap();
    assert_eq!(rest.len(), DAMAGES.len());
    for ((what, damage), cell) in DAMAGES.iter().zip(rest) {
        let whole = read(cell);
        let damaged = damage(&whole);
        assert_ne!(damaged, whole, "{what}");
        w.write_bytes(&path(cell), &damaged);
    }
    // One of another seed, undamaged.
    let other = w.run(&["run", "tiny-suite.toml", "--method", "lora", "--out", "other", "--seed", "12"]);
    assert_success(&other);
    let other = fs::read_dir(w.path("other/cells")).unwrap().next().unwrap().unwrap().path();
    fs::copy(other, w.path(&path(last))).unwrap();

    // A report ignores it, and changes nothing.
    let before = files(&w.path("out/cells"));
    let report = w.run(&["report", "out"]);
    assert_success(&report);
    assert_eq!(stderr(&report).matches("is left out").count(), cells.len(), "{}", stderr(&report));
    assert_eq!(files(&w.path("out/cells")), before);

    let again = w.run(&arguments);
    assert_success(&again);
    for cell in &cells {
        let note = format!(
            "note: the result out/cells/{cell}.parquet is set aside as out/cells/{cell}.parquet.damaged-1"
        );
        assert_eq!(stderr(&again).matches(&note).count(), 1, "{}", stderr(&again));
        assert!(w.path(&format!("out/cells/{cell}.parquet.damaged-1")).exists());
    }
    assert!(stderr(&again).contains("11 runs"), "{}", stderr(&again));
    assert_eq!(results(&w, "out"), undisturbed);
}

#[test]
fn a_state_damaged_anywhere_is_set_aside_by_name_and_its_cells_are_recomputed() {
    let w = signals::workspace();
    assert_success(&w.run(&signals::arguments("undisturbed")));
    let undisturbed = results(&w, "undisturbed");
    signals::interrupted(&w, "out", libc::SIGINT, 130);
    let state = files(&w.path("out/state")).remove(0);
    let whole = fs::read(w.path(&format!("out/state/{state}"))).unwrap();
    let owner = whole.windows(5).position(|window| window == b"owner").unwrap();
    let places = [0, 9, owner, owner + 10, whole.len() / 2, whole.len() - 1];
    for (number, place) in places.into_iter().enumerate() {
        let out = format!("damaged-{number}");
        let mut damaged = whole.clone();
        damaged[place] ^= 4;
        w.write_bytes(&format!("{out}/state/{state}"), &damaged);
        let run = w.run(&signals::arguments(&out));
        assert_success(&run);
        let note = format!(
            "note: the training state {out}/state/{state} is set aside as {out}/state/{state}.damaged-1"
        );
        assert!(stderr(&run).contains(&note) && !stderr(&run).contains("resuming"), "{}", stderr(&run));
        assert_eq!(results(&w, &out), undisturbed, "byte {place}");
    }
}

#[test]
fn a_result_that_cannot_be_read_is_an_error() {
    let w = Workspace::new();
    let arguments = ["run", "tiny-suite.toml", "--method", "lora", "--out", "out"];
    assert_success(&w.run(&arguments));
    let path = w.path(&format!("out/cells/{}.parquet", cells(&w.path("out"))[0]));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_refused(&w.run(&arguments), &["cannot read", path.file_name().unwrap().to_str().unwrap()]);
    fs::remove_dir(&path).unwrap();
    let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: the path is a string that ends in NUL.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    assert_refused(&w.run(&arguments), &["cannot read", "not a regular file"]);
}

#[test]
fn an_adapter_with_any_byte_changed_is_refused() {
    let w = Workspace::new();
    assert_success(&w.train("prompt-tuning", &["--seed", "1", "--out", "out"]));
    let folder = w.path("out/adapters").join(&files(&w.path("out/adapters"))[0]);
    let config = families::configuration(&w.path("model")).unwrap();
    let load = || Trained::read(&folder, config.layout()).map(|_| ()).map_err(|problem| problem.to_string());
    load().unwrap();
    for name in files(&folder) {
        let path = folder.join(&name);
        let whole = fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 1 << (place % 8);
            fs::write(&path, changed).unwrap();
            let problem = load().expect_err(&format!("{name}, byte {place}"));
            assert!(problem.contains(&name), "{problem}");
        }
        fs::write(&path, whole).unwrap();
    }
    load().unwrap();

    w.write("pairs.jsonl", "{\"source\": \"sentence: the film was good\", \"target\": \"1\"}\n");
    let tensors = folder.join("adapter.safetensors");
    let mut changed = fs::read(&tensors).unwrap();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(&tensors, changed).unwrap();
    let score = |folder: &Path| {
        w.run(&["score", "--model", "model", "--input", "pairs.jsonl", "--adapter", folder.to_str().unwrap()])
    };
    assert_refused(&score(&folder), &["adapter.safetensors", "checksum"]);
}

#[test]
fn the_tensors_of_another_cell_are_refused() {
    let w = Workspace::new();
    assert_success(&w.train("lora", &["--out", "out"]));
    let cells = cells(&w.path("out"));
    let [one, other] = [0, 1].map(|i| w.path(&format!("out/adapters/{}/adapter.safetensors", cells[i])));
    fs::copy(other, one).unwrap();
    w.write("pairs.jsonl", "{\"source\": \"sentence: the film was good\", \"target\": \"1\"}\n");
    let adapter = format!("out/adapters/{}", cells[0]);
    let score = w.run(&["score", "--model", "model", "--input", "pairs.jsonl", "--adapter", &adapter]);
    assert_refused(&score, &["adapter.safetensors", &cells[0], &cells[1]]);
}

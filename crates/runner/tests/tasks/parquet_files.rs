//! Parquet; `make.py` next to the fixtures generates them and their expected values.

use std::fs;
use std::path::{Path, PathBuf};

use peft_bench::task::{Dialect, Rows, Template, Value};
use polars::prelude::{AnyValue, Column, DataFrame, DataType, ParquetWriter};
use serde_json::{Map, Value as Json};

use crate::rows::{cells, columns_of, labeled, targets};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parquet").join(name)
}

fn expected(key: &str) -> Map<String, Json> {
    let mut expected: Json =
        serde_json::from_str(&fs::read_to_string(fixture("expected.json")).unwrap()).unwrap();
    serde_json::from_value(expected[key].take()).unwrap()
}

fn read(file: &Path, columns: &[&str]) -> Result<Rows, String> {
    let columns: Vec<String> = columns.iter().map(|column| column.to_string()).collect();
    Rows::read(&[file.into()], &columns, Dialect::default()).map_err(|e| e.to_string())
}

/// A value in the format of `expected.json`.
fn written(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::List(values) => values.iter().map(written).collect(),
        Value::Record(fields) => fields.iter().map(|(name, value)| (name.clone(), written(value))).collect(),
        Value::Other(_) => "no text".into(),
        Value::Text(text) | Value::Digits(text) => text.as_str().into(),
        Value::Boolean(boolean) => boolean.to_string().into(),
        Value::Integer(integer) => integer.to_string().into(),
        Value::Number(number) => format!("{number:?}").into(),
    }
}

#[test]
fn columns_of_every_type_are_read_next_to_others_of_every_type() {
    for (column, expected) in expected("kinds") {
        let rows = read(&fixture("kinds.parquet"), &[&column]).unwrap();
        let values: Json = cells(&rows, &column).iter().map(written).collect();
        assert_eq!(values, expected, "{column}");
    }
}

#[test]
fn columns_without_text_are_refused_if_used() {
    let rows = read(&fixture("kinds.parquet"), &["date", "binary", "fixed_size_list", "string"]).unwrap();
    let render = |template: &str| Template::parse(template).unwrap().render(&rows.row(0));
    assert_eq!(render("{string}").unwrap(), "a");
    for (template, column, kind) in [
        ("{date}", "`date`", "`date`"),
        ("{binary}", "`binary`", "`binary`"),
        ("{date|pad-punctuation}", "`date`", "`date`"),
        ("{fixed_size_list}", "`fixed_size_list`", "a list"),
    ] {
        let problem = render(template).unwrap_err();
        assert!(problem.contains(column) && problem.contains(kind), "{problem}");
    }
}

#[test]
fn the_same_rows_are_read_however_they_were_stored() {
    let expected = expected("written");
    let names: Vec<&str> = expected.keys().map(String::as_str).collect();
    let ways = fs::read_dir(fixture("")).unwrap().map(|entry| entry.unwrap().path());
    let ways: Vec<PathBuf> = ways.filter(|path| path.to_string_lossy().contains("written-")).collect();
    assert!(ways.len() > 10);
    for way in ways {
        let rows = read(&way, &names).unwrap();
        for (column, expected) in &expected {
            let values: Json = cells(&rows, column).iter().map(written).collect();
            assert_eq!(&values, expected, "{}: {column}", way.display());
        }
    }
}

#[test]
fn damaged_files_are_refused_or_read_but_never_crash_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    for (name, key, masks) in [
        ("kinds.parquet", "kinds", &[0xff][..]),
        ("written-plain.parquet", "written", &[0x01, 0x80, 0xff]),
        ("written-deltas.parquet", "written", &[0x01, 0x80, 0xff]),
        ("written-snappy-dictionary.parquet", "written", &[0x01, 0x80, 0xff]),
    ] {
        let (whole, columns) = (fs::read(fixture(name)).unwrap(), expected(key));
        let columns: Vec<&str> = columns.keys().map(String::as_str).collect();
        let mut refused = 0;
        let mut check = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            match read(&path, &columns) {
                Ok(rows) => assert!(rows.len() < 1000),
                Err(problem) => {
                    assert!(problem.contains("rows.parquet") && !problem.contains('\n'), "{problem}");
                    refused += 1;
                }
            }
        };
        for place in (0..whole.len()).step_by(7) {
            check(&whole[..place]);
            for mask in masks {
                let mut damaged = whole.clone();
                damaged[place] ^= *mask;
                check(&damaged);
            }
        }
        assert!(refused > whole.len() / 7, "{name}");
    }
}

/// One row as a Parquet file.
fn shard(columns: &[&Column]) -> Vec<u8> {
    let columns = columns.iter().map(|column| (*column).clone()).collect();
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut DataFrame::new(1, columns).unwrap()).unwrap();
    bytes
}

#[test]
fn shards_of_one_split_are_read_by_name() {
    let text = Column::new("text".into(), ["a"]);
    let label = |value: i64| Column::new("label".into(), [value]);
    let narrow = label(1).cast(&DataType::Int32).unwrap();
    let real = Column::new("label".into(), [1.0f32]);
    let empty = Column::new_empty("note".into(), &DataType::Null).extend_constant(AnyValue::Null, 1).unwrap();
    let note = Column::new("note".into(), ["x"]);
    let more = Column::new("more".into(), [3i64]);
    let whole = shard(&[&text, &label(i64::MAX), &empty]);
    let shards = [
        ("0.parquet", whole.clone()),
        ("1.parquet", shard(&[&narrow, &more, &note, &text])),
        ("2.parquet", shard(&[&note, &real, &text])),
    ];
    let rows = columns_of(&shards, &["text", "label", "note"], Dialect::default()).unwrap();
    assert_eq!(cells(&rows, "text"), ["a", "a", "a"].map(|text| Value::Text(text.into())));
    assert_eq!(cells(&rows, "label"), [Value::Integer(i64::MAX), Value::Integer(1), Value::Number(1.0)]);
    let note = Value::Text("x".into());
    assert_eq!(cells(&rows, "note"), [Value::Null, note.clone(), note]);
    assert!(rows.place(2).contains("2.parquet, row 1"), "{}", rows.place(2));

    let words = Column::new("label".into(), ["1"]);
    let other = [("0.parquet", whole.clone()), ("1.parquet", shard(&[&text, &words]))];
    let problem = columns_of(&other, &["text", "label"], Dialect::default()).unwrap_err();
    assert!(
        problem.contains("1.parquet") && problem.contains("`label` holds text, but a number"),
        "{problem}"
    );

    let lacking = [("0.parquet", whole), ("1.parquet", shard(&[&text]))];
    let rows = columns_of(&lacking, &["text", "label"], Dialect::default()).unwrap();
    let problem = targets(&labeled("[\"bad\", \"good\"]"), &rows).unwrap_err();
    assert!(problem.contains("`label`") && problem.contains("1.parquet"), "{problem}");
}

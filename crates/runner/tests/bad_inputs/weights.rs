//! Weights: safetensors, their index, PyTorch pickles.

use std::fs;

use serde_json::{Value, json};

use crate::common::Workspace;
use crate::harness::{Case, check};

const FILE: &str = "model/model.safetensors";

/// A file with this header, or with a header of this claimed length, followed by these bytes.
fn file(length: u64, header: &str, bytes: &[u8]) -> Vec<u8> {
    [&length.to_le_bytes(), header.as_bytes(), bytes].concat()
}

/// The file's parts: the header and the values behind it.
fn parts(w: &Workspace) -> (Value, Vec<u8>) {
    let bytes = fs::read(w.path(FILE)).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (serde_json::from_slice(&bytes[8..8 + length]).unwrap(), bytes[8 + length..].to_vec())
}

/// The weights with another header.
fn header(name: &str, change: impl Fn(&mut Value) + 'static) -> Case<'static> {
    let case = Case::new(format!("model.safetensors with {name}"));
    case.with(move |w| {
        let (mut header, values) = parts(w);
        change(&mut header);
        let text = header.to_string();
        w.write_bytes(FILE, &file(text.len() as u64, &text, &values));
    })
    .says(&["model.safetensors"])
}

const TENSOR: &str = "encoder.block.0.layer.0.SelfAttention.q.weight";

#[test]
fn inconsistent_headers_are_named() {
    let lengths = [0, 1, 100_000, 1 << 32, 1 << 63, u64::MAX];
    let cases = lengths.map(|length| {
        let case = Case::new(format!("model.safetensors with a header of {length} bytes"));
        case.write(FILE, file(length, "{}", &[])).says(&["model.safetensors"])
    });
    let texts = ["", "{", "[]", "nonsense", "{\"a\": 3}"].map(|text| {
        let case = Case::new(format!("model.safetensors with the header {text:?}"));
        case.write(FILE, file(text.len() as u64, text, &[0; 64])).says(&["model.safetensors"])
    });
    check(cases.into_iter().chain(texts).collect());
}

#[test]
fn tensors_that_do_not_fit_the_configuration_are_named() {
    check(vec![
        header("overlapping tensors", |h| h[TENSOR]["data_offsets"] = json!([0, 512])),
        header("offsets beyond the end", |h| {
            h[TENSOR]["data_offsets"] = json!([1u64 << 40, (1u64 << 40) + 512])
        }),
        header("offsets backwards", |h| h[TENSOR]["data_offsets"] = json!([512, 0])),
        header("negative offsets", |h| h[TENSOR]["data_offsets"] = json!([-512, 0])),
        header("a shape beyond counting", |h| h[TENSOR]["shape"] = json!([1u64 << 63, 1u64 << 63])),
        header("another shape", |h| h[TENSOR]["shape"] = json!([16, 8])).says(&[TENSOR]),
        header("one axis more", |h| h[TENSOR]["shape"] = json!([1, 8, 16])).says(&[TENSOR]),
        header("whole numbers", |h| h[TENSOR]["dtype"] = json!("I32")).says(&[TENSOR, "I32"]),
        header("an unknown type", |h| h[TENSOR]["dtype"] = json!("F31")),
        header("a tensor under another name", |h| {
            let tensor = h.as_object_mut().unwrap().remove(TENSOR).unwrap();
            h["other"] = tensor;
        })
        .says(&[TENSOR]),
    ]);
}

#[test]
fn files_that_end_early_or_late_are_named() {
    let resized = |name: &str, size: fn(usize) -> usize| {
        let case = Case::new(format!("model.safetensors {name}"));
        case.with(move |w| {
            let mut bytes = fs::read(w.path(FILE)).unwrap();
            bytes.resize(size(bytes.len()), 0);
            w.write_bytes(FILE, &bytes);
        })
        .says(&["model.safetensors"])
    };
    check(vec![
        resized("ends in its length", |_| 5),
        resized("ends in its header", |_| 40),
        resized("ends in its values", |size| size / 2),
        resized("lacks its last byte", |size| size - 1),
        resized("has more than its values", |size| size + 64),
    ]);
}

#[test]
fn non_finite_values_are_reported() {
    let not_a_number = |w: &Workspace| {
        let (header, mut values) = parts(w);
        for value in values.chunks_exact_mut(4) {
            value.copy_from_slice(&f32::NAN.to_le_bytes());
        }
        let text = header.to_string();
        w.write_bytes(FILE, &file(text.len() as u64, &text, &values));
        w.write("in.jsonl", "{\"source\": \"the film\", \"target\": \"1\"}\n");
    };
    let score = "score --model model --input in.jsonl";
    check(vec![Case::new("weights that are NaN").with(not_a_number).command(score)]);
}

#[test]
fn shards_that_do_not_fit_their_index_are_named() {
    let index = |text: &str| {
        let case = Case::new(format!("an index that is {text}"));
        case.write("model/model.safetensors.index.json", text).with(|w| {
            fs::rename(w.path(FILE), w.path("model/all.safetensors")).unwrap();
        })
    };
    let map = |shard: Value| index(&json!({"weight_map": {"shared.weight": shard}}).to_string());
    check(vec![
        index("{").says(&["model.safetensors.index.json"]),
        index("[]").says(&["model.safetensors.index.json"]),
        index("{\"weight_map\": 3}").says(&["model.safetensors.index.json"]),
        index("{\"weight_map\": {}}").says(&["model"]),
        map(json!("none.safetensors")).says(&["none.safetensors"]),
        map(json!("all.safetensors")).says(&["is missing"]),
        map(json!(3)).says(&["model.safetensors.index.json"]),
        map(json!("config.json")).says(&["config.json"]),
        map(json!("")).says(&["model"]),
        map(json!("../rows/train.csv")).says(&["train.csv"]),
    ]);
}

#[test]
fn malformed_pickles_are_named() {
    let texts: [&[u8]; 6] = [
        b"",
        b"not a zip",
        b"PK\x03\x04 cut off",
        b"\x80\x02cos\nsystem\n(S'true'\ntR.",
        b"<html><body>not found</body></html>",
        b"\x80\x02\x8a\x0a",
    ];
    let cases = texts.iter().map(|bytes| {
        let case = Case::new(format!("pytorch_model.bin is {:?}", String::from_utf8_lossy(bytes)));
        let case = case.write("model/pytorch_model.bin", *bytes).says(&["pytorch_model.bin"]);
        case.with(|w| fs::remove_file(w.path(FILE)).unwrap())
    });
    check(cases.collect());
}

//! Folders of trained adapters, and what is scored with them.

use std::fs;
use std::sync::OnceLock;

use peft_bench::files::checksum;
use serde_json::{Value, json};

use crate::common::{Workspace, assert_success, files};
use crate::harness::{Case, check};

pub(crate) const SCORE: &str = "score --model model --adapter adapter --input pairs.jsonl --output out.jsonl";

const CONFIG: &str = "adapter/adapter.json";
const TENSORS: &str = "adapter/adapter.safetensors";

/// Writes an adapter that was trained once, and a pair to score.
pub(crate) fn write(w: &Workspace) {
    static TRAINED: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    let [config, tensors] = TRAINED.get_or_init(|| {
        let w = Workspace::new();
        assert_success(&w.train("lora", &["--steps", "2", "--seed", "1", "--out", "out"]));
        let folder = w.path("out/adapters").join(&files(&w.path("out/adapters"))[0]);
        ["adapter.json", "adapter.safetensors"].map(|name| fs::read(folder.join(name)).unwrap())
    });
    w.write_bytes(CONFIG, config);
    w.write_bytes(TENSORS, tensors);
    w.write("pairs.jsonl", "{\"source\": \"sentence: the film was good\", \"target\": \"1\"}\n");
}

fn case(name: &str) -> Case<'static> {
    Case::new(format!("an adapter with {name}")).with(write).command(SCORE)
}

/// The adapter with another description, which has its checksum.
fn config(name: &str, change: impl Fn(&mut Value) + 'static) -> Case<'static> {
    case(name).with(move |w| {
        let mut config: Value = serde_json::from_str(&w.read(CONFIG)).unwrap();
        change(&mut config);
        config[checksum::KEY] = checksum::blank().into();
        let mut text = config.to_string().into_bytes();
        checksum::fill_in(&mut text);
        w.write_bytes(CONFIG, &text);
    })
}

/// The adapter with another header of its tensors.
fn header(name: &str, change: impl Fn(&mut Value) + 'static) -> Case<'static> {
    let case = case(name).with(move |w| {
        let bytes = fs::read(w.path(TENSORS)).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        change(&mut header);
        let text = header.to_string();
        let values = &bytes[8 + length..];
        w.write_bytes(TENSORS, &[&(text.len() as u64).to_le_bytes(), text.as_bytes(), values].concat());
    });
    case.says(&["adapter.safetensors"])
}

/// The first tensor's fields.
fn first(header: &mut Value) -> &mut Value {
    let tensors = header.as_object_mut().unwrap().iter_mut();
    tensors.filter(|(name, _)| *name != "__metadata__").map(|(_, tensor)| tensor).next().unwrap()
}

#[test]
fn descriptions_that_do_not_fit_are_named() {
    check(vec![
        config("no method", |c| c["method"] = Value::Null).says(&["adapter.json", "method"]),
        config("an unknown method", |c| c["method"] = json!("lorra")).says(&["adapter.json", "lorra"]),
        config("another method", |c| {
            c["method"] = json!("bitfit");
            c["settings"] = json!({});
        })
        .says(&["adapter.safetensors"]),
        config("an unknown setting", |c| c["settings"]["rnk"] = json!(3)).says(&["adapter.json", "rnk"]),
        config("another rank", |c| c["settings"]["rank"] = json!(3)).says(&["adapter.safetensors", "lora"]),
        config("a huge rank", |c| c["settings"]["rank"] = json!(1 << 24)).says(&["adapter"]),
        config("a negative rank", |c| c["settings"]["rank"] = json!(-1)).says(&["adapter.json", "rank"]),
        config("a list of settings", |c| c["settings"] = json!([])).says(&["adapter.json", "settings"]),
        config("a seed that is text", |c| c["seed"] = json!("x")).says(&["adapter.json", "seed"]),
        case("an edited seed").edit(CONFIG, "\"seed\": 1", "\"seed\": 2").says(&["adapter.json", "checksum"]),
        case("nonsense for a description").write(CONFIG, "nonsense").says(&["adapter.json"]),
    ]);
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    check(vec![
        header("another shape", |h| first(h)["shape"] = json!([1, 1])),
        header("another type", |h| first(h)["dtype"] = json!("I32")),
        header("offsets beyond the end", |h| {
            first(h)["data_offsets"] = json!([1u64 << 40, (1u64 << 40) + 4])
        }),
        header("no tensors", |h| *h = json!({})),
        case("half of its tensors").with(|w| {
            let bytes = fs::read(w.path(TENSORS)).unwrap();
            w.write_bytes(TENSORS, &bytes[..bytes.len() / 2]);
        }),
        case("tensors that are text").write(TENSORS, "nonsense").says(&["adapter.safetensors"]),
        case("a huge header").write(TENSORS, u64::MAX.to_le_bytes()).says(&["adapter.safetensors"]),
    ]);
}

#[test]
fn folders_without_an_adapter_are_named() {
    let score = |folder: &str| format!("score --model model --adapter {folder} --input pairs.jsonl");
    let rows = [
        ("nowhere", "nowhere"),
        ("pairs.jsonl", "pairs.jsonl"),
        ("model", "model"),
        ("/dev/null", "/dev/null"),
    ];
    check(
        rows.map(|(folder, part)| case(folder).command(&score(folder)).says(&[part])).into_iter().collect(),
    );
}

#[test]
fn malformed_pairs_are_named_with_their_line() {
    let deep = "[".repeat(100_000);
    let good = "{\"source\": \"the film\", \"target\": \"1\"}\n";
    let lines = [
        "{",
        "[]",
        "3",
        "null",
        "{}",
        "{\"source\": \"a\"}",
        "{\"source\": 3, \"target\": \"1\"}",
        "{\"source\": \"a\", \"target\": [\"1\"]}",
        "[\"a\", \"1\"]",
        "{\"source\": \"\\ud800\", \"target\": \"1\"}",
        &deep,
    ];
    let cases = lines.iter().map(|line| {
        let shown: String = line.chars().take(40).collect();
        let case =
            Case::new(format!("a pair that is {shown:?}")).command("score --model model --input pairs.jsonl");
        case.write("pairs.jsonl", format!("{good}\n{line}\n")).says(&["pairs.jsonl", "line 3"])
    });
    check(cases.collect());
}

#[test]
fn huge_texts_are_refused_before_allocation() {
    let long = |source: usize, target: usize| {
        let [source, target] = [source, target].map(|words| "good ".repeat(words));
        format!("{}\n", json!({"source": source, "target": target}))
    };
    let score = |more: &str| format!("score --model model --input pairs.jsonl {more}");
    check(vec![
        Case::new("a long target")
            .write("pairs.jsonl", long(3, 1 << 17))
            .command(&score("--max-new-tokens 1"))
            .says(&["pairs.jsonl", "target"]),
        Case::new("a long source")
            .write("pairs.jsonl", long(1 << 17, 3))
            .command(&score("--max-source-length 1000000 --max-new-tokens 1"))
            .says(&["pairs.jsonl", "--max-source-length"]),
        Case::new("a source length beyond any text")
            .write("pairs.jsonl", long(3, 3))
            .command(&score("--max-source-length 10000000"))
            .says(&["--max-source-length"])
            .usage(),
        Case::new("a long answer")
            .write("pairs.jsonl", long(3, 3))
            .command(&score("--max-new-tokens 100000000000"))
            .says(&["--max-new-tokens"])
            .usage(),
    ]);
}

#[test]
fn malformed_predictions_are_named_with_their_line() {
    let good = "{\"prediction\": \"1\", \"target\": \"1\"}\n";
    let lines = [
        "{",
        "[]",
        "3",
        "{}",
        "{\"prediction\": \"1\"}",
        "[\"1\", \"1\"]",
        "{\"prediction\": 1.5, \"target\": \"1\"}",
        "{\"prediction\": \"1\", \"target\": true}",
        "{\"prediction\": \"1\", \"target\": {}}",
    ];
    let input = |line: &str| {
        Case::new(format!("a prediction that is {line:?}")).write("p.jsonl", format!("{good}{line}\n"))
    };
    let cases = lines
        .iter()
        .map(|line| input(line).command("metric accuracy --input p.jsonl").says(&["p.jsonl", "line 2"]));
    let fits = [
        ("accuracy", "{\"prediction\": \"1\", \"target\": []}"),
        ("record-f1", "{\"prediction\": \"1\", \"target\": \"1\"}"),
        ("f1", "{\"prediction\": \"1\", \"target\": \"zebra\"}"),
        ("pearson", "{\"prediction\": \"1\", \"target\": \"zebra\"}"),
        ("pearson", "{\"prediction\": \"1\", \"target\": \"nan\"}"),
        ("pearson", "{\"prediction\": \"1\", \"target\": \"1e999\"}"),
    ];
    let fits = fits.map(|(metric, line)| {
        input(line).command(&format!("metric {metric} --input p.jsonl")).says(&["p.jsonl"])
    });
    let unknown = Case::new("an unknown metric")
        .command("metric acuracy --input p.jsonl")
        .says(&["acuracy", "accuracy"]);
    check(cases.chain(fits).chain([unknown]).collect());
}

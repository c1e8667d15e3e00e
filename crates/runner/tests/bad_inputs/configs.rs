//! `config.json`.

use serde_json::{Value, json};

use crate::common::Workspace;
use crate::harness::{Case, check};

const FILE: &str = "model/config.json";

/// Larger than any model, and much larger.
const HUGE: [u64; 2] = [1 << 34, 1_000_000_000_000_000_000];

fn edited(w: &Workspace, change: impl Fn(&mut Value)) {
    let mut config: Value = serde_json::from_str(&w.read(FILE)).unwrap();
    change(&mut config);
    w.write(FILE, &config.to_string());
}

fn with(key: &'static str, value: Value) -> Case<'static> {
    Case::new(format!("`{key}` is {value}")).with(move |w| edited(w, |config| config[key] = value.clone()))
}

const SIZES: [&str; 8] = [
    "vocab_size",
    "d_model",
    "d_kv",
    "d_ff",
    "num_layers",
    "num_decoder_layers",
    "num_heads",
    "relative_attention_num_buckets",
];

#[test]
fn invalid_sizes_are_named() {
    let bad = [json!(0), json!(-1), json!(1.5), json!("16"), json!([16]), json!({}), json!(true)];
    check(
        SIZES
            .iter()
            .flat_map(|&key| bad.iter().map(move |value| with(key, value.clone()).says(&[FILE, key])))
            .collect(),
    );
}

#[test]
fn huge_sizes_are_refused_before_allocation() {
    let sizes = SIZES.iter().flat_map(|&key| HUGE.map(|huge| with(key, json!(huge)).says(&["model"])));
    let random = SIZES.iter().map(|&key| {
        let case = with(key, json!(HUGE[0])).says(&["model"]);
        case.command("run tiny-suite.toml --method lora --model model@random --steps 1 --out out")
            .may_succeed()
    });
    check(sizes.chain(random).collect());
}

#[test]
fn other_invalid_fields_are_named() {
    let cases = [
        ("relative_attention_max_distance", vec![json!(0), json!(-5), json!("x")]),
        ("relative_attention_num_buckets", vec![json!(1)]),
        ("dropout_rate", vec![json!(-0.1), json!(1.0), json!("x"), json!([0.1])]),
        ("layer_norm_epsilon", vec![json!("x"), json!([])]),
        ("feed_forward_proj", vec![json!("tanh"), json!(""), json!(3), json!("gated-")]),
        ("tie_word_embeddings", vec![json!("yes"), json!(1.5)]),
        ("pad_token_id", vec![json!(-1), json!(24), json!(5_000_000_000u64), json!("1"), json!({})]),
        ("eos_token_id", vec![json!(-1), json!(24), json!("1"), json!(1.5)]),
        ("decoder_start_token_id", vec![json!(-1), json!(24), json!("0")]),
        ("model_type", vec![json!("bert"), json!("umt5")]),
    ];
    let rows = cases.into_iter();
    check(
        rows.flat_map(|(key, values)| {
            values.into_iter().map(move |value| with(key, value).says(&[FILE, key]))
        })
        .collect(),
    );
}

#[test]
fn fields_that_contradict_each_other_are_named() {
    check(vec![
        with("dense_act_fn", json!("silu")).says(&[FILE, "dense_act_fn"]),
        with("is_gated_act", json!(true)).says(&[FILE, "is_gated_act"]),
        with("d_ff", json!(32)).says(&["model.safetensors", "wi.weight"]),
        with("num_layers", json!(3)).says(&["model.safetensors", "block.2"]),
        with("d_model", json!(8)).says(&["model.safetensors", "shared.weight"]),
    ]);
}

#[test]
fn malformed_configurations_are_named() {
    let deep = "[".repeat(100_000);
    let texts = [
        "{",
        "[]",
        "3",
        "null",
        "\"text\"",
        "{}",
        "{\"d_model\": NaN}",
        "{\"d_model\": 1e999}",
        "{} {}",
        "\0\0\0",
        "<html><body>not found</body></html>",
        &deep,
    ];
    let cases = texts.iter().map(|text| {
        let shown: String = text.chars().take(30).collect();
        Case::new(format!("config.json is {shown:?}")).write(FILE, text.as_bytes()).says(&[FILE])
    });
    let cut = Case::new("config.json ends early").with(|w| {
        let text = w.read(FILE);
        w.write(FILE, &text[..text.len() / 2]);
    });
    check(cases.chain([cut.says(&[FILE])]).collect());
}

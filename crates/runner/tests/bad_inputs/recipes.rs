//! Recipes of pretraining.

use crate::common::Workspace;
use crate::harness::{Case, check};

const FILE: &str = "recipe.toml";

const RECIPE: &str = r#"
title = "tiny"
seed = 3

[tokenizer]
vocabulary = 300
sentinels = 10
passages = 50

[model]
d_model = 16
d_kv = 4
d_ff = 24
num_heads = 2
num_layers = 1
num_decoder_layers = 1
relative_attention_num_buckets = 8
relative_attention_max_distance = 16
local_attention = 4.0
dropout_rate = 0.1

[data]
source_tokens = 64
noise_density = 0.15
mean_span = 2.0
held_out = 2

[training]
batch_size = 8
pieces = 2
weight_decay = 0.01
dropout_rate = 0.0
evaluate_every = 20

[[phases]]
steps = 2
learning_rate = 1e-2
warmup_steps = 1
supervised = 0.5
mixture = { reasons = 0.3, verbalized = 0.5 }
"#;

/// Writes a recipe that works.
pub(crate) fn write(w: &Workspace) {
    w.write(FILE, RECIPE);
}

/// The recipe with another value of a key; where two tables have the key, in the given one.
fn value(table: &str, key: &str, value: &str) -> Case<'static> {
    let header = RECIPE.find(&format!("[{table}]")).unwrap_or(0);
    let start = header + RECIPE[header..].find(&format!("\n{key} = ")).unwrap() + 1;
    let end = start + RECIPE[start..].find('\n').unwrap();
    let text = format!("{}{key} = {value}{}", &RECIPE[..start], &RECIPE[end..]);
    let case = Case::new(format!("a recipe with {table}.{key} = {value}"));
    case.write(FILE, text).command("pretrain recipe.toml --out out").says(&[FILE, key])
}

const COUNTS: [(&str, &str); 18] = [
    ("tokenizer", "vocabulary"),
    ("tokenizer", "sentinels"),
    ("tokenizer", "passages"),
    ("model", "d_model"),
    ("model", "d_kv"),
    ("model", "d_ff"),
    ("model", "num_heads"),
    ("model", "num_layers"),
    ("model", "num_decoder_layers"),
    ("model", "relative_attention_num_buckets"),
    ("model", "relative_attention_max_distance"),
    ("data", "source_tokens"),
    ("data", "held_out"),
    ("training", "batch_size"),
    ("training", "pieces"),
    ("training", "evaluate_every"),
    ("phases", "steps"),
    ("phases", "warmup_steps"),
];

const NUMBERS: [(&str, &str); 8] = [
    ("model", "local_attention"),
    ("model", "dropout_rate"),
    ("data", "noise_density"),
    ("data", "mean_span"),
    ("training", "weight_decay"),
    ("training", "dropout_rate"),
    ("phases", "learning_rate"),
    ("phases", "supervised"),
];

#[test]
fn numbers_out_of_range_are_named() {
    let bad = ["-1", "\"x\"", "1e30", "9223372036854775807"];
    let counts = COUNTS.iter().flat_map(|(table, key)| bad.map(|bad| value(table, key, bad)));
    let zeros =
        COUNTS.iter().filter(|(_, key)| *key != "warmup_steps").map(|(table, key)| value(table, key, "0"));
    let numbers =
        NUMBERS.iter().flat_map(|(table, key)| ["\"x\"", "nan", "inf"].map(|bad| value(table, key, bad)));
    let negative = NUMBERS.iter().filter(|(_, key)| *key != "local_attention");
    let negative = negative.map(|(table, key)| value(table, key, "-0.5"));
    let others = [
        value("phases", "learning_rate", "0.0"),
        value("data", "mean_span", "0.0"),
        value("data", "noise_density", "1.5"),
        value("model", "dropout_rate", "1.0"),
        value("phases", "warmup_steps", "3"),
        value("phases", "mixture", "{ reasons = -1.0, verbalized = 0.5 }"),
        value("phases", "mixture", "{ reasons = 0.5, verbalized = nan }"),
        value("phases", "mixture", "{ reasons = 0.5 }"),
        value("tokenizer", "vocabulary", "20"),
        value("training", "pieces", "9"),
        value("", "seed", "-1"),
        value("", "seed", "1.5"),
    ];
    check(counts.chain(zeros).chain(numbers).chain(negative).chain(others).collect());
}

#[test]
fn huge_sizes_are_refused_before_allocation() {
    let sizes = ["vocabulary", "passages", "source_tokens", "warmup_steps", "evaluate_every"];
    let huge = COUNTS.iter().filter(|(_, key)| !sizes.contains(key) && *key != "steps");
    check(huge.map(|(table, key)| value(table, key, "16777216").may_succeed()).collect());
}

#[test]
fn invalid_titles_are_named() {
    let titles = ["", " ", "..", "/", "\\u001b[31m", "a\\nb", "a\\u0000b"];
    check(titles.map(|title| value("", "title", &format!("\"{title}\""))).into_iter().collect());
    let path = value("", "title", "\"../../escaped\"").command("pretrain recipe.toml").may_succeed();
    check(vec![path]);
}

#[test]
fn keys_that_are_missing_or_unknown_are_named() {
    let keys = COUNTS.iter().chain(&NUMBERS).map(|(_, key)| *key).chain(["title", "seed", "mixture"]);
    let missing = keys.map(|key| {
        let start = RECIPE.find(&format!("{key} = ")).unwrap();
        let end = start + RECIPE[start..].find('\n').unwrap();
        let case = Case::new(format!("a recipe without {key}")).command("pretrain recipe.toml --out out");
        case.write(FILE, format!("{}{}", &RECIPE[..start], &RECIPE[end..])).says(&[FILE, key])
    });
    let tables = ["[tokenizer]", "[model]", "[data]", "[training]", "[[phases]]"];
    let unknown = tables.iter().map(|table| {
        let text = RECIPE.replace(table, &format!("{table}\ncolor = 3"));
        let case = Case::new(format!("an unknown key in {table}")).command("pretrain recipe.toml --out out");
        case.write(FILE, text).says(&[FILE, "color"])
    });
    let (phased, _) = RECIPE.split_once("[[phases]]").unwrap();
    let none = Case::new("a recipe without phases").command("pretrain recipe.toml --out out");
    check(missing.chain(unknown).chain([none.write(FILE, phased).says(&[FILE, "phases"])]).collect());
}

#[test]
fn unsuitable_start_models_are_named() {
    let start = |name: &str| {
        let text =
            RECIPE.replace("seed = 3", &format!("seed = 3\nstart = {name:?}")).replace("= 4.0", "= 0.0");
        let case = Case::new(format!("a recipe that starts from {name:?}"));
        case.write(FILE, text).command("pretrain recipe.toml --out out").says(&["start"])
    };
    check(
        ["", "nowhere", "rows", "model", "owner/name", "/dev/null", "pocket", "../x"]
            .map(start)
            .into_iter()
            .collect(),
    );
    // The shape fits, but the tokenizer has no sentinels.
    let model = [
        ("num_layers = 1", "num_layers = 2"),
        ("relative_attention_num_buckets = 8", "relative_attention_num_buckets = 32"),
        ("relative_attention_max_distance = 16", "relative_attention_max_distance = 128"),
        ("seed = 3", "seed = 3\nstart = \"model\""),
        ("= 4.0", "= 0.0"),
    ];
    let text = model.iter().fold(RECIPE.to_string(), |text, (from, to)| text.replace(from, to));
    let case =
        Case::new("a start without sentinels").write(FILE, text).command("pretrain recipe.toml --out out");
    check(vec![case.says(&["tokenizer.sentinels", "model", "<extra_id_0>"])]);
}

#[test]
fn folders_that_cannot_be_written_are_named_before_training() {
    let out = |folder: &str| {
        let case = Case::new(format!("pretraining into {folder}")).with(write);
        case.command(&format!("pretrain recipe.toml --out {folder}")).says(&[folder])
    };
    let folders = ["tiny.toml", "/dev/null", "/proc/nothing", "tiny.toml/x", "/sys/nothing"];
    check(folders.map(out).into_iter().collect());
}

//! Suite files.

use peft_model::peft::{self, METHODS};
use serde_json::{Map, Value};

use crate::harness::{Case, check};

const FILE: &str = "tiny-suite.toml";

/// The suite with other training settings.
fn training(key: &str, value: &str) -> Case<'static> {
    let line = format!("{key} = {value}");
    let case = Case::new(format!("a suite with training.{line}"))
        .command("run tiny-suite.toml --method lora --out out");
    let (key, replaced) = (key.to_string(), line.clone());
    case.with(move |w| {
        let text = w.read(FILE);
        match text.lines().find(|line| line.starts_with(&format!("{key} "))) {
            Some(old) => w.edit(FILE, &format!("{old}\n"), &format!("{replaced}\n")),
            None => w.edit(FILE, "[training]\n", &format!("[training]\n{replaced}\n")),
        }
    })
    .says(&[FILE])
}

#[test]
fn training_settings_out_of_range_are_named() {
    let counts = ["steps", "epochs", "batch_size", "accumulation", "evaluate_every", "eval_batch_size"];
    let numbers = ["epsilon", "weight_decay", "max_gradient_norm"];
    let bad = ["-1", "nan", "inf", "\"x\"", "[]"];
    let both = counts.iter().chain(&numbers).chain(&["warmup_steps"]);
    let rows = both.flat_map(|key| bad.map(|value| training(key, value).says(&[key])));
    let counts = counts
        .iter()
        .flat_map(|key| ["0", "1.5", "9223372036854775807"].map(|v| training(key, v).says(&[key])));
    let zeros = ["epsilon", "max_gradient_norm"].map(|key| training(key, "0.0").says(&[key]));
    let beyond = [training("steps", "99999999999999999999"), training("stepz", "3").says(&["stepz"])];
    check(rows.chain(counts).chain(zeros).chain(beyond).collect());
}

#[test]
fn huge_training_settings_are_refused_or_harmless() {
    let keys = ["batch_size", "accumulation", "evaluate_every", "eval_batch_size", "warmup_steps"];
    check(keys.iter().map(|key| training(key, "1000000000").may_succeed()).collect());
}

/// What a method needs to fit the tiny model and its task.
const FITTING: [(&str, &str); 6] = [
    ("adapter-drop", "drop_layers = 1"),
    ("hyperformer", "reduction = 4"),
    ("spot", "sources = [\"tiny.toml\"]"),
    ("attempt", "sources = [\"tiny.toml\"]"),
    ("mpt", "sources = [\"tiny.toml\"]"),
    ("mpt-source", "sources = [\"tiny.toml\"]"),
];

/// A method with one setting, in place of the suite's methods.
fn setting(method: &'static str, key: &str, value: &str) -> Case<'static> {
    let case = Case::new(format!("a suite with methods.{method}.{key} = {value}"));
    let fitting = FITTING.iter().filter(|(name, fitting)| *name == method && !fitting.starts_with(key));
    let fitting: String = fitting.map(|(_, line)| format!("{line}\n")).collect();
    let lines = format!("[methods.{method}]\n{fitting}{key} = {value}\n");
    case.with(move |w| {
        let text = w.read(FILE);
        let (head, _) = text.split_once("[methods.lora]").unwrap();
        w.write(FILE, &format!("{head}{lines}"));
    })
    .command("run tiny-suite.toml --steps 1 --out out")
}

/// Every setting of every method, with its default.
fn settings() -> Vec<(&'static str, String, Value)> {
    let settings = |name: &'static str| {
        let settings = peft::build(name, &Map::new()).unwrap().settings;
        settings.into_iter().flat_map(flat).map(move |(key, value)| (name, key, value))
    };
    METHODS.iter().flat_map(|method| settings(method.name)).collect()
}

/// A setting, or those of a table, as `table.key`.
fn flat((key, value): (String, Value)) -> Vec<(String, Value)> {
    match value {
        Value::Object(inner) => inner.into_iter().map(|(k, v)| (format!("{key}.{k}"), v)).collect(),
        value => vec![(key, value)],
    }
}

#[test]
fn method_settings_of_another_kind_or_out_of_range_are_named() {
    let bad = |value: &Value| match value {
        Value::Number(n) if n.is_u64() => {
            vec!["-1", "1.5", "\"x\"", "9223372036854775807"]
        }
        Value::Number(_) => vec!["\"x\"", "nan", "inf"],
        Value::Bool(_) => vec!["\"x\"", "1"],
        Value::String(_) => vec!["3", "[]"],
        _ => vec!["\"x\"", "3", "[]", "[3]", "[\"x\"]", "{}"],
    };
    let rows = settings();
    let cases = rows.iter().flat_map(|(method, key, value)| {
        let row = move |bad| setting(method, key, bad).says(&[FILE, method, key]);
        bad(value).into_iter().map(row)
    });
    let unknown = METHODS.iter().map(|m| setting(m.name, "color", "3").says(&[FILE, m.name, "color"]));
    let rates = rows.iter().filter(|(_, key, _)| key.ends_with("learning_rate"));
    let rates =
        rates.flat_map(|(m, key, _)| ["0.0", "-1.0"].map(|bad| setting(m, key, bad).says(&[FILE, m, key])));
    check(cases.chain(unknown).chain(rates).collect());
}

#[test]
fn huge_method_settings_are_refused_before_allocation() {
    let rows = settings();
    let sizes = rows.iter().filter(|(.., value)| value.is_u64());
    let cases = sizes.flat_map(|(method, key, _)| {
        // A source prompt is as long as its targets', and is computed first.
        let named = if key == "prompt.length" { "prompt" } else { method };
        ["16777216", "1000000000"].map(|huge| setting(method, key, huge).says(&[named, key]))
    });
    check(cases.collect());
}

#[test]
fn keys_of_a_suite_that_are_wrong_are_named() {
    let rows = [
        ("title = \"Tiny suite\"", "title = 3", "title"),
        ("title = \"Tiny suite\"", "color = 3", "color"),
        ("model = \"model\"", "", "model"),
        ("model = \"model\"", "model = \"\"", "model"),
        ("model = \"model\"", "model = 3", "model"),
        ("model = \"model\"", "model = \"nowhere\"", "nowhere"),
        ("model = \"model\"", "model = \"../x/../y\"", "../x/../y"),
        ("model = \"model\"", "model = \"owner/name\"", "owner/name"),
        ("model = \"model\"", "model = \"@random\"", "@random"),
        ("tasks = [\"tiny.toml\"]", "tasks = []", "tasks"),
        ("tasks = [\"tiny.toml\"]", "tasks = \"tiny.toml\"", "tasks"),
        ("tasks = [\"tiny.toml\"]", "tasks = [\"\"]", "task"),
        ("tasks = [\"tiny.toml\"]", "tasks = [\"colla\"]", "colla"),
        ("tasks = [\"tiny.toml\"]", "tasks = [\"tiny.toml\", \"tiny.toml\"]", "tiny.toml"),
        ("tasks = [\"tiny.toml\"]", "tasks = [\"tiny.toml@x\"]", "tiny.toml"),
        ("seeds = [1, 2]", "seeds = []", "seed"),
        ("seeds = [1, 2]", "seeds = 3", "seeds"),
        ("seeds = [1, 2]", "seeds = [1, 1]", "seed"),
        ("seeds = [1, 2]", "seeds = [-1]", "seeds"),
        ("seeds = [1, 2]", "seeds = [1.5]", "seeds"),
        ("seeds = [1, 2]", "seeds = [99999999999999999999]", FILE),
        ("seeds = [1, 2]", "shots = [0]", "shots"),
        ("seeds = [1, 2]", "shots = [-1]", "shots"),
        ("seeds = [1, 2]", "shots = [8, 8]", "shots"),
        ("seeds = [1, 2]", "shots = [1000000000000]", "shots"),
        ("seeds = [1, 2]", "shots = [41]", "shots"),
        ("seeds = [1, 2]", "report = \"train\"", "report"),
        ("seeds = [1, 2]", "base = \"nothing\"", "nothing"),
        ("seeds = [1, 2]", "base = \"nothing.toml\"", "nothing.toml"),
        ("seeds = [1, 2]", "base = \"tiny-suite.toml\"", "base"),
        ("seeds = [1, 2]", "base = \"./tiny-suite.toml\"", "base"),
        ("seeds = [1, 2]", "base = 3", "base"),
        ("[methods.lora]", "[methods]\nlora = 3\n[methods.x]", "lora"),
        ("[methods.lora]", "[methods.lorra]", "lorra"),
        ("[methods.lora]", "[methods.lora]\nmethod = 3", "method"),
        ("[methods.lora]", "[methods.lora]\nmethod = \"lorra\"", "lorra"),
        ("[methods.lora]", "[[methods.lora]]", "methods"),
        ("[methods.lora]", "[[for]]\ncolor = 3\n[methods.lora]", "color"),
        ("[methods.lora]", "[[for]]\ntasks = [\"colla\"]\n[methods.lora]", "colla"),
        ("[methods.lora]", "[[for]]\nmethods = [\"lorra\"]\n[methods.lora]", "lorra"),
        ("[methods.lora]", "[[for]]\ntraining = { stepz = 3 }\n[methods.lora]", "stepz"),
        ("[methods.lora]", "[[for]]\ntraining = { steps = nan }\n[methods.lora]", "steps"),
        ("[methods.lora]", "[[for]]\nsettings = { rnk = 3 }\n[methods.lora]", "rnk"),
        ("[methods.lora]", "[for]\ntasks = []\n[methods.lora]", "for"),
    ];
    let cases = rows.iter().map(|(from, to, part)| {
        let case = Case::new(format!("a suite with {to:?}")).command("run tiny-suite.toml --out out");
        case.edit(FILE, *from, *to).says(&[part])
    });
    check(cases.collect());
}

#[test]
fn malformed_suites_are_named() {
    let texts = ["", "{}", "[", "title", "title = ", "[training", "\0", "a = 1\na = 1"];
    let deep = format!("a = {}", "[".repeat(50_000));
    let texts = texts.into_iter().chain([deep.as_str()]);
    let cases = texts.map(|text| {
        let shown: String = text.chars().take(20).collect();
        Case::new(format!("a suite that is {shown:?}")).write(FILE, text).says(&[FILE])
    });
    check(cases.collect());
}

#[test]
fn cyclic_bases_are_named() {
    let base = |file: &str| format!("base = {file:?}\n");
    let circle = Case::new("three suites in a circle")
        .write("a.toml", base("b.toml"))
        .write("b.toml", base("c.toml"))
        .write("c.toml", base("a.toml"))
        .command("run a.toml")
        .says(&["base", "a.toml"]);
    check(vec![circle]);
}

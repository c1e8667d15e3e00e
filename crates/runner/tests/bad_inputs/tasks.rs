//! Task files.

use crate::common::Workspace;
use crate::harness::{Case, check};

const FILE: &str = "tiny.toml";

/// Replaces a line that begins with a key.
fn set(w: &Workspace, key: &str, line: &str) {
    let text = w.read(FILE);
    let old = text.lines().find(|l| l.starts_with(key)).unwrap_or_else(|| panic!("no `{key}`"));
    w.edit(FILE, old, line);
}

fn line<'a>(key: &'a str, line: &'a str) -> Case<'a> {
    Case::new(format!("a task with {line:?} for `{key}`")).with(move |w| set(w, key, line)).says(&[FILE])
}

/// Adds lines at the end.
fn more<'a>(lines: &'a str) -> Case<'a> {
    let case = Case::new(format!("a task with {lines:?}"));
    case.with(move |w| w.write(FILE, &format!("{}\n{lines}\n", w.read(FILE)))).says(&[FILE])
}

#[test]
fn keys_that_are_missing_or_unknown_are_named() {
    let required = ["title", "group", "files", "rule", "source", "words", "select"];
    let missing = required.map(|key| line(key, ""));
    let tables = ["data", "split", "text", "labels", "metrics"];
    let unknown = tables.map(|table| {
        let case = Case::new(format!("an unknown key in [{table}]"));
        let header = format!("[{table}]\n");
        case.edit(FILE, header.clone(), format!("{header}color = 3\n")).says(&[FILE, "color"])
    });
    let more = ["[color]\na = 1", "[limits]\ncolor = 3", "[limits]\n[limits]"].map(more);
    check(missing.into_iter().chain(unknown).chain(more).collect());
}

#[test]
fn values_of_another_type_are_named() {
    let keys = ["title", "group", "files", "rule", "source", "words", "select", "also"];
    let values = ["3", "true", "-1.5", "nan", "1979-05-27", "{ a = 1 }", "[[]]"];
    let rows = keys.iter().flat_map(|&key| values.iter().map(move |value| (key, format!("{key} = {value}"))));
    let rows: Vec<(&str, String)> = rows.collect();
    check(rows.iter().map(|(key, text)| line(key, text).says(&[key])).collect());
}

#[test]
fn malformed_toml_is_named() {
    let texts = [
        "title",
        "title = ",
        "= 3",
        "[data",
        "title = \"open",
        "\"\"\"",
        "{}",
        "\u{0}",
        "title = 1\ntitle = 2",
    ];
    let cases = texts
        .iter()
        .map(|text| Case::new(format!("a task that is {text:?}")).write(FILE, *text).says(&[FILE]));
    let deep =
        Case::new("a task of nested lists").write(FILE, format!("a = {}", "[".repeat(50_000))).says(&[FILE]);
    check(cases.chain([deep]).collect());
}

#[test]
fn templates_that_cannot_be_filled_are_named() {
    let templates = [
        "",
        " ",
        "no column",
        "{",
        "}",
        "{}",
        "{ }",
        "{text",
        "text}",
        "{text}}",
        "{{text}",
        "{text|}",
        "{text|nothing}",
        "{text|pad-punctuation(}",
        "{text|replace(\\\"a)}",
        "{|pad-punctuation}",
        "{text.}",
        "{.text}",
        "{text..a}",
        "{nothing}",
        "{text.field}",
        "{text|pad-punctuation|nothing}",
    ];
    let rows: Vec<String> = templates.iter().map(|template| format!("source = \"{template}\"")).collect();
    let source = rows.iter().map(|row| line("source", row).says(&["text.source"]));
    let probes: Vec<String> =
        ["{", "{nothing}", "none"].iter().map(|template| format!("[probes]\nodd = \"{template}\"")).collect();
    let probes = probes.iter().map(|lines| more(lines).says(&["probes.odd"]));
    check(source.chain(probes).collect());
}

#[test]
fn errors_are_not_averaged_with_percentages() {
    let mixed = "also = [\"f1\"]\naverage = [\"accuracy\", \"mean-absolute-error\"]";
    let of_words = "words = [\"bad\", \"good\"]\n\n[metrics]\nselect = \"root-mean-squared-error\"";
    check(vec![
        line("also", mixed).says(&["metrics.average", "mean-absolute-error", "accuracy", "a percentage"]),
        line("also", "also = [\"multirc-f1m\"]").says(&["metrics.also", "multirc-f1m", "text.group"]),
        Case::new("an error over words".to_string())
            .edit(FILE, "words = [\"0\", \"1\"]\n\n[metrics]\nselect = \"accuracy\"", of_words)
            .says(&[FILE, "metrics.select", "`labels.words` to be numbers"]),
        more("[reference]\nmajority = 120.0\nceiling = 100.0")
            .says(&["reference.majority", "between 0 and 100"]),
        more("[reference]\nmajority = -1.0\nceiling = 0.0")
            .edit(FILE, "select = \"accuracy\"", "select = \"mean-absolute-error\"")
            .says(&["reference.majority", "from 0 up"]),
    ]);
}

#[test]
fn invalid_classes_are_named() {
    let words = [
        "[]",
        "[\"0\"]",
        "[\"0\", \"0\"]",
        "[\"0\", \"\"]",
        "[\"0\", \"zebra\"]",
        "[\"0\", 1]",
        "{}",
        "\"0\"",
    ];
    let rows: Vec<String> = words.iter().map(|words| format!("words = {words}")).collect();
    let cases = rows.iter().map(|row| line("words", row).says(&["labels"]));
    let column = more("[labels.more]").says(&["labels"]);
    let other = Case::new("a column of classes that is not there")
        .edit(FILE, "[labels]\n", "[labels]\ncolumn = \"nothing\"\n")
        .says(&[FILE, "nothing"]);
    let both = Case::new("classes and a target")
        .edit(FILE, "[text]\n", "[text]\ntarget = \"{label}\"\n")
        .says(&[FILE, "[labels]", "text.target"]);
    let neither = Case::new("neither classes nor a target")
        .edit(FILE, "[labels]\nwords = [\"0\", \"1\"]\n", "")
        .says(&[FILE, "[labels]", "text.target"]);
    check(cases.chain([column, other, both, neither]).collect());
}

#[test]
fn metrics_that_do_not_fit_are_named() {
    let metrics = ["", "accurracy", "record-f1", "multirc-exact-match", "ACCURACY", "accuracy "];
    let rows: Vec<String> = metrics.iter().map(|metric| format!("select = {metric:?}")).collect();
    let select = rows.iter().map(|row| line("select", row).says(&["metrics.select"]));
    let also = line("also", "also = [\"f1\", \"nothing\"]").says(&["metrics.also"]);
    let words = Case::new("a metric of numbers for words")
        .edit(FILE, "words = [\"0\", \"1\"]", "words = [\"good\", \"bad\"]")
        .edit(FILE, "select = \"accuracy\"", "select = \"pearson\"")
        .says(&[FILE, "metrics.select", "pearson"]);
    check(select.chain([also, words]).collect());
}

#[test]
fn limits_out_of_range_are_named() {
    let keys = ["source_tokens", "target_tokens"];
    let values = ["0", "1", "-1", "1.5", "\"x\"", "nan", "[]"];
    let rows = keys.iter().flat_map(|key| values.map(|value| (*key, format!("[limits]\n{key} = {value}"))));
    let rows: Vec<(&str, String)> = rows.collect();
    let bad = rows.iter().map(|(key, lines)| more(lines).says(&[key]));
    // No row is that long, so this limit is not a mistake.
    let huge = more("[limits]\nsource_tokens = 4611686018427387904").may_succeed();
    check(bad.chain([huge]).collect());
}

#[test]
fn huge_answers_are_refused_before_allocation() {
    let classes = "[labels]\nwords = [\"0\", \"1\"]\n";
    let free = |limit: &str| {
        let case = Case::new(format!("answers of {limit} tokens"));
        case.edit(FILE, classes, "").edit(FILE, "[text]\n", "[text]\ntarget = \"{label}\"\n").edit(
            FILE,
            "[split]\n",
            format!("[limits]\ntarget_tokens = {limit}\n\n[split]\n"),
        )
    };
    let huge = ["16777216", "1000000000000", "9223372036854775807"];
    check(huge.map(|limit| free(limit).says(&["limits.target_tokens"])).into_iter().collect());
}

#[test]
fn missing_data_is_named() {
    let files = |text: &str| format!("files = {text}");
    let rows = [
        files("{}"),
        files("{ train = \"rows/train.csv\" }"),
        files("{ train = \"\", validation = \"\", test = \"\" }"),
        files("{ train = \"rows\", validation = \"rows\", test = \"rows\" }"),
        files("{ train = \"rows/train.doc\", validation = \"rows/train.doc\", test = \"rows/train.doc\" }"),
        files("{ train = \"rows/train\", validation = \"rows/train\", test = \"rows/train\" }"),
        files("{ train = \"/dev/null\", validation = \"/dev/null\", test = \"/dev/null\" }"),
        files("{ train = \"../../../../nothing.csv\", validation = \"x.csv\", test = \"x.csv\" }"),
        "generated = \"nothing\"".to_string(),
        "repo = \"no such repo\"".to_string(),
        "repo = \"../../etc\"".to_string(),
        "repo = \"\"".to_string(),
        "repo = \"owner/name\"".to_string(),
        "repo = \"owner/name\"\nfiles = { train = \"rows/train.csv\" }".to_string(),
        "config = \"x\"\nfiles = { train = \"rows/train.csv\" }".to_string(),
    ];
    // The task file or what it names.
    let cases = rows.iter().map(|row| {
        let case = Case::new(format!("a task with {row:?}"));
        case.with(move |w| set(w, "files", row))
    });
    check(cases.collect());
}

#[test]
fn invalid_splits_are_named() {
    let rules = [
        "rule = \"none\"",
        "rule = \"random\"\nfrom = \"train\"\nvalidation = 0.9\ntest = 0.9",
        "rule = \"random\"\nfrom = \"train\"\nvalidation = -0.1",
        "rule = \"random\"\nfrom = \"train\"\nvalidation = nan",
        "rule = \"random\"\nfrom = \"train\"\nvalidation = 1e999",
        "rule = \"random\"\nfrom = \"nothing\"",
        "rule = \"hold-out\"\ntest = \"test\"\nheld_out = 0",
        "rule = \"hold-out\"\ntest = \"test\"\nheld_out = 40",
        "rule = \"hold-out\"\ntest = \"test\"\nheld_out = 9223372036854775807",
        "rule = \"hold-out\"\ntest = \"test\"\nheld_out = 5\nmax_train = 0",
        "rule = \"official\"\ntest = \"nothing\"",
        "rule = \"official\"\nheld_out = 3",
    ];
    check(rules.iter().map(|rule| line("rule", rule)).collect());
}

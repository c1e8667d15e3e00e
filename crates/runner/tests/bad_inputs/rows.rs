//! Data files.

use crate::common::Workspace;
use crate::harness::{Case, check};

/// The training rows as a file of another format.
fn rows(ending: &'static str, text: &str) -> Case<'static> {
    let shown: String = text.chars().take(60).collect();
    let (name, text) = (format!("train.{ending}"), text.to_string());
    Case::new(format!("{name} is {shown:?}"))
        .with(move |w: &Workspace| {
            w.edit("tiny.toml", "rows/train.csv", &format!("rows/train.{ending}"));
            w.write(&format!("rows/train.{ending}"), &text);
        })
        .says(&["train."])
}

#[test]
fn tables_with_malformed_lines_are_named() {
    let texts = [
        "text,label\n",
        "text\ngood\nbad\n",
        "text,label\ngood,1,2\nbad,0\n",
        "text,label\ngood\nbad,0\n",
        "text,label\n\"good,1\nbad,0\n",
        "text,label\n\"go\"od,1\nbad,0\n",
        "text,text\ngood,1\nbad,0\n",
        ",\ngood,1\n",
        "good,1\nbad,0\n",
        "text;label\ngood;1\nbad;0\n",
        "text,label\ngood,\nbad,0\n",
        "text,label\ngood,2\nbad,0\n",
        "text,label\ngood,-1\nbad,0\n",
        "text,label\ngood,1e400\nbad,0\n",
        "text,label\ngood,99999999999999999999999999\nbad,0\n",
        "text,label\ngood,yes\nbad,no\n",
        "text,label\rgood,1\rbad,0\r",
        "\n\n\n",
        "text,label\n\n\n",
    ];
    check(texts.iter().map(|text| rows("csv", text)).collect());
    let texts =
        ["text\tlabel\n", "text\tlabel\ngood\t1\t2\n", "text\tlabel\ngood\nbad\t0\n", "text,label\ngood,1\n"];
    check(texts.iter().map(|text| rows("tsv", text)).collect());
}

#[test]
fn malformed_json_lines_are_named() {
    let deep = format!("{}{}", "{\"text\":".repeat(100_000), "1");
    let lists = format!("{{\"text\": {}{}, \"label\": 1}}", "[".repeat(100_000), "]".repeat(100_000));
    let texts = [
        "[{\"text\": \"good\", \"label\": 1}]",
        "[\n{\"text\": \"good\", \"label\": 1}\n]",
        "{\"text\": \"good\", \"label\": 1",
        "{\"text\": \"good\", \"label\": 1}\n{\"text\": \"go",
        "{\"text\": \"good\"}\n",
        "{\"text\": \"good\", \"label\": [1]}\n",
        "{\"text\": \"good\", \"label\": {}}\n",
        "{\"text\": \"good\", \"label\": null}\n",
        "{\"text\": null, \"label\": 1}\n{\"text\": null, \"label\": 0}\n",
        "{\"text\": \"good\", \"label\": 1e400}\n",
        "{\"text\": \"good\", \"label\": NaN}\n",
        "{\"text\": \"good\", \"label\": 99999999999999999999999}\n",
        "{\"text\": \"good\", \"label\": 2}\n",
        "{\"text\": \"good\", \"label\": -1}\n",
        "3\n4\n",
        "null\n",
        "\"text\"\n",
        "{}\n",
        "{'text': 'good', 'label': 1}\n",
        "{\"text\": \"good\", \"label\": 1} {\"text\": \"bad\", \"label\": 0}\n",
        "{\"text\": \"\\ud800\", \"label\": 1}\n",
        &deep,
        &lists,
    ];
    check(texts.iter().map(|text| rows("jsonl", text)).collect());
}

#[test]
fn unusual_but_valid_values_are_accepted_or_refused() {
    let rows_of = |line: &str| format!("{{\"text\": \"bad\", \"label\": 0}}\n{line}\n").repeat(3);
    let lines = [
        "{\"text\": \"good\", \"text\": \"bad\", \"label\": 1}",
        "{\"text\": \"good\", \"label\": 1, \"more\": 1e300}",
        "{\"text\": \"good\", \"label\": 1, \"more\": [[[[]]]]}",
        "{\"text\": \"good\", \"label\": 1, \"more\": 18446744073709551615}",
        "{\"text\": \"good\\u0000bad\", \"label\": 1}",
        "{\"text\": \"\\u001b[31mgood\", \"label\": 1}",
        "{\"text\": 3, \"label\": 1}",
        "{\"text\": \"\", \"label\": 1}",
        "{\"text\": \"good\", \"label\": \"1\"}",
        "{\"text\": \"good\", \"label\": 1.0}",
        "{\"text\": \"good\", \"label\": true}",
        "{\"label\": 1, \"text\": \"good\"}",
    ];
    let long = format!("{{\"text\": \"{}\", \"label\": 1}}", "very ".repeat(1 << 17));
    let lines = lines.into_iter().chain([long.as_str()]);
    check(lines.map(|line| rows("jsonl", &rows_of(line)).may_succeed()).collect());
    let quoted = "text,label\n\"a \"\"b\"\"\",1\n\"c\nd\",0\n";
    let marked = "\u{feff}text,label\ngood,1\nbad,0\n";
    let windows = "text,label\r\ngood,1\r\nbad,0\r\n";
    check([quoted, marked, windows].into_iter().map(|text| rows("csv", text).may_succeed()).collect());
}

#[test]
fn bytes_that_are_not_utf_8_are_named() {
    let latin = Case::new("train.csv in Latin-1").write("rows/train.csv", b"text,label\ngr\xfcn,1\nbad,0\n");
    let nul = Case::new("train.csv with NUL").write("rows/train.csv", b"\0\0\0\0\0\0\0\0");
    check([latin, nul].map(|case| case.says(&["train.csv"])).into_iter().collect());
}

#[test]
fn malformed_parquet_files_are_named() {
    let texts = [
        "",
        "PAR1",
        "PAR1PAR1",
        "PAR1\u{0}\u{0}\u{0}\u{0}PAR1",
        "text,label\ngood,1\n",
        "{}",
        "PAR1____PAR1",
    ];
    check(texts.iter().map(|text| rows("parquet", text)).collect());
    let lengths = [0u32, 1, 1 << 20, u32::MAX];
    let footers = lengths.map(|length| {
        let bytes = [b"PAR1", &[0; 64][..], &length.to_le_bytes(), b"PAR1"].concat();
        rows("parquet", "").write("rows/train.parquet", bytes)
    });
    check(footers.into_iter().collect());
}

//! CSV, TSV and JSON lines.

use peft_bench::task::{Dialect, Quote, Template, Value};

use crate::rows::{cells, columns_of, labeled, rows_of, targets};

/// Text that a reader could misinterpret.
const AWKWARD: [&str; 16] = [
    "001",
    "1.510",
    "1e3",
    "true",
    "False",
    "null",
    "NaN",
    "2020-01-01",
    "say \"hi\"",
    "\"",
    "a, b",
    "\"a\", \"b\"",
    "5\" disk",
    " spaced  out ",
    "#1",
    "été\u{2028}…",
];

#[test]
fn text_is_read_literally() {
    let mut files = Vec::new();
    let lines = |line: &dyn Fn(&str) -> String| AWKWARD.map(line).concat();
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let plain = |text: &str| if text.contains(['"', ',']) { quoted(text) } else { text.to_string() };
    files.push(("csv", format!("text,n\n{}", lines(&|t| format!("{},1\n", quoted(t)))).into_bytes()));
    files.push(("csv", format!("text,n\r\n{}", lines(&|t| format!("{},1\r\n", plain(t)))).into_bytes()));
    files
        .push(("csv", format!("\u{feff}n,text\n{}", lines(&|t| format!("1,{}\n\n", plain(t)))).into_bytes()));
    files.push(("tsv", format!("text\tn\n{}", lines(&|t| format!("{t}\t1\n"))).into_bytes()));
    files.push(("tsv", format!("n\ttext{}", lines(&|t| format!("\r\n1\t{t}"))).into_bytes()));
    files.push(("jsonl", lines(&|t| format!("{}\n", serde_json::json!({"text": t, "n": 1}))).into_bytes()));
    for (number, (ending, bytes)) in files.into_iter().enumerate() {
        let rows = rows_of(&format!("rows.{ending}"), bytes).unwrap();
        let expected = AWKWARD.map(|text| Value::Text(text.into()));
        assert_eq!(cells(&rows, "text"), expected, "file {number}, {ending}");
    }
}

#[test]
fn cells_of_delimited_files_are_text_or_empty() {
    let rows = rows_of("rows.csv", "text,label\n\"two\nlines\",01\n\"\",\n").unwrap();
    let text = |text: &str| Value::Text(text.into());
    assert_eq!(cells(&rows, "text"), [text("two\nlines"), text("")]);
    assert_eq!(cells(&rows, "label"), [text("01"), Value::Null]);
    let template = Template::parse("{text} {label|one-decimal}").unwrap();
    assert_eq!(template.render(&rows.row(0)).unwrap(), "two\nlines 1.0");
}

#[test]
fn malformed_files_are_refused_with_the_line() {
    let cases: [(&str, &[u8], &[&str]); 23] = [
        ("rows.csv", b"text,label\na,1\nb,2,3\n", &["line 3", "3 field", "header has 2"]),
        ("rows.csv", b"text,label\n\"a\nb\",1\nc\n", &["line 4", "1 field", "header has 2"]),
        ("rows.csv", b"text,label\na,1\n\"b,2\nc,3\n", &["line 3", "quote", "never closed"]),
        ("rows.csv", b"text,label\n\"a\" b,1\n", &["line 2", "` b`", "closing quote", "`quote = \"none\"`"]),
        ("rows.csv", b"text,label\na,1\n\xff,2\n", &["line 3", "UTF-8"]),
        ("rows.csv", b"", &["empty", "names"]),
        ("rows.csv", b"text,text\na,b\n", &["line 1", "two columns", "`text`"]),
        ("rows.csv", b"text,label\ra,1\rb,0\r", &["CR alone"]),
        ("rows.csv", b"text;label\na, b;1\n", &["line 1", "`separator = \";\"`"]),
        ("rows.csv", b"text\tlabel\na, b\t1\n", &["line 1", "`separator = \"\\t\"`"]),
        ("rows.csv", b"text|label\na|1\n", &["line 1", "`separator = \"|\"`"]),
        ("rows.tsv", b"text,label\na\tb,1\n", &["line 1", "`separator = \",\"`"]),
        ("rows.tsv", b"text\tlabel\na\tb\t1\n", &["line 2", "3 field", "header has 2"]),
        (
            "rows.tsv",
            b"text\tlabel\n\"a\tb\" c\t1\n",
            &["line 2", "3 field", "closing quote", "`data.quote`"],
        ),
        ("rows.jsonl", b"{\"text\": \"a\"}\n\n{\"text\": \"b\"\n", &["line 3", "complete object"]),
        ("rows.jsonl", b"{\"n\": 1}\n{\"n\": [18446744073709551616]}\n", &["line 2", "`n`", "too large"]),
        ("rows.jsonl", b"{\"n\": null}\n{\"n\": 1}\n{\"n\": true}\n", &["line 3", "`n`", "true or false"]),
        ("rows.jsonl", b"{\"text\": \"a\"}\n[1]\n", &["line 2"]),
        ("rows.jsonl", b"[\n{\"text\": \"a\"},\n{\"text\": \"b\"}\n]\n", &["one JSON list"]),
        (
            "rows.jsonl",
            b"{\"text\": \"a\"}\n{\"text\": [1]}\n",
            &["line 2", "`text`", "a list", "text in an earlier"],
        ),
        ("rows.jsonl", b"{\"n\": 1}\n{\"n\": NaN}\n", &["line 2", "`NaN`", "null"]),
        ("rows.jsonl", b"{\"n\": -Infinity}\n", &["line 1", "Infinity"]),
        ("rows.parquet", b"PAR1 and no more", &["PAR1"]),
    ];
    for (name, bytes, parts) in cases {
        let problem = rows_of(name, bytes).unwrap_err();
        for part in parts.iter().chain([&name]) {
            assert!(problem.contains(part), "{part}: {problem}");
        }
        assert!(!problem.contains("onsider") && !problem.contains('\n'), "{problem}");
    }
    let deep = format!("{{\"text\": {}\n", "[".repeat(100_000));
    assert!(rows_of("rows.jsonl", deep).unwrap_err().contains("line 1: recursion limit"));
}

#[test]
fn whether_quotes_enclose_fields_is_detected_from_the_file() {
    let said = "He said \"no\" to me";
    // The quoting styles of spreadsheet programs: minimal, all fields, all except numbers.
    for written in [
        "text\tlabel\n\"He said \"\"no\"\" to me\"\t1\nplain\t0\n",
        "text\tlabel\r\n\"He said \"\"no\"\" to me\"\t1\r\n\"a\tb\"\t0\r\n\"c\nd\"\t1\r\n",
        "\"text\"\t\"label\"\n\"He said \"\"no\"\" to me\"\t\"1\"\n\"plain\"\t\"0\"\n",
        "\"text\"\t\"label\"\n\"He said \"\"no\"\" to me\"\t1\n\"plain\"\t0\n",
    ] {
        let rows = rows_of("rows.tsv", written).unwrap();
        assert_eq!(cells(&rows, "text")[0], Value::Text(said.into()), "{written}");
        assert_eq!(rows.len(), 1 + cells(&rows, "text")[1..].len());
    }
    let rows = rows_of("rows.tsv", "\"text\"\t\"label\"\n\"plain\"\t1\n").unwrap();
    assert_eq!(cells(&rows, "text"), [Value::Text("plain".into())]);

    // As in GLUE: a field may begin with a quote that is never closed.
    for raw in [
        "\"Brilliant,\" she wrote",
        "ends with \"quote\"",
        said,
        "\"never closed",
        "a 5\" disk",
        "\"",
        "\"\"\"What is it?",
    ] {
        for (before, after) in [("", ""), ("plain\t1\n", "\"He said \"\"no\"\"\"\t0\n")] {
            let rows = rows_of("rows.tsv", format!("text\tlabel\n{before}{raw}\t1\n{after}")).unwrap();
            let text = &cells(&rows, "text")[before.lines().count()];
            assert_eq!(text, &Value::Text(raw.into()), "{raw}, then {after}");
        }
    }
    // A quote that opens on one line and closes on another is text, and so are redundant ones.
    let rows = rows_of("rows.tsv", "text\tlabel\n\"one\t1\ntwo\"\t0\n").unwrap();
    assert_eq!(rows.len(), 2);
    let rows = rows_of("rows.tsv", "text\tlabel\n\"I love it.\"\t1\nplain\t0\n").unwrap();
    assert_eq!(cells(&rows, "text")[0], Value::Text("\"I love it.\"".into()));
}

#[test]
fn an_ambiguous_file_needs_a_setting_in_the_task() {
    let either = "text\tlabel\n\"one\"\t1\n\"two\"\t0\n";
    let problem = rows_of("rows.tsv", either).unwrap_err();
    assert!(problem.contains("rows.tsv") && problem.contains("`data.quote`"), "{problem}");
    for (quote, text) in [(Quote::None, "\"one\""), (Quote::Enclosing, "one")] {
        let dialect = Dialect { quote: Some(quote), ..Dialect::default() };
        let rows = columns_of(&[("rows.tsv", either)], &["text"], dialect).unwrap();
        assert_eq!(cells(&rows, "text")[0], Value::Text(text.into()));
    }
}

#[test]
fn columns_may_be_separated_by_any_character() {
    for separator in [';', '|', '\t', '¦'] {
        let text = format!("text{separator}label\n\"a{separator} \"\"b\"\"\"{separator}1\n");
        let dialect = Dialect { separator: Some(separator), ..Dialect::default() };
        let rows = columns_of(&[("rows.csv", text)], &["text", "label"], dialect).unwrap();
        assert_eq!(cells(&rows, "text"), [Value::Text(format!("a{separator} \"b\""))]);
        assert_eq!(cells(&rows, "label"), [Value::Text("1".into())]);
    }
}

#[test]
fn quotes_escaped_with_backslashes_are_refused_before_rows_merge() {
    let tsv = rows_of("rows.tsv", "\"text\"\t\"label\"\n\"He said \\\"no\\\" to me\"\t1\n").unwrap_err();
    assert!(tsv.contains("backslashes"), "{tsv}");
    for text in [
        "text,label\n\"He said \\\"no\\\" to me\",1\nplain,0\n",
        "text,label\n\"Jeans 2\\\"\",1\ngood,0\n\"5\\\" and 6\\\", wide\",0\n",
        // If backslashes were ignored, this would be one row less.
        "text,label,note\n\"ends in \\\"\",1,\"\"\nplain,0,\"x\"\n",
    ] {
        let problem = rows_of("rows.csv", text).unwrap_err();
        assert!(problem.contains("backslashes") && problem.contains("`quote = \"none\"`"), "{problem}");
    }
    let json = "text,label\n\"{\"\"say\"\": \"\"a \\\"\"b\\\"\", c\"\"}\",1\n\"C:\\dir\\\",0\n";
    let rows = rows_of("rows.csv", json).unwrap();
    let texts = ["{\"say\": \"a \\\"b\\\", c\"}", "C:\\dir\\"].map(|text| Value::Text(text.into()));
    assert_eq!(cells(&rows, "text"), texts);
}

#[test]
fn unused_columns_may_have_any_content() {
    let rows = rows_of("rows.csv", ",text,x,x,label,\n0,a,1,2,1,\n1,b,3,4,0,\n").unwrap();
    assert_eq!(cells(&rows, "text"), ["a", "b"].map(|text| Value::Text(text.into())));
    let rows = rows_of("rows.jsonl", "{\"text\": \"a\", \"x\": 1}\n{\"text\": \"b\", \"x\": [1e999]}\n");
    assert!(rows.unwrap_err().contains("line 2"), "no number is that large");
    let rows =
        rows_of("ROWS.JSONL", "{\"text\": \"a\", \"x\": 1}\n{\"text\": \"b\", \"x\": [{}]}\n").unwrap();
    assert_eq!(rows.len(), 2);
}

#[test]
fn json_keeps_the_digits_of_integers_and_the_last_of_duplicate_keys() {
    let ids =
        "9007199254740993 9007199254740992 -9007199254740993 18446744073709551615 0.10957860598549463 1.0 7";
    let lines: String = ids.split(' ').map(|id| format!("{{\"id\": 0, \"id\": {id}}}\n")).collect();
    let rows = rows_of("rows.jsonl", lines).unwrap();
    let template = Template::parse("{id}").unwrap();
    let shown: Vec<String> = (0..rows.len()).map(|row| template.render(&rows.row(row)).unwrap()).collect();
    assert_eq!(shown.join(" "), ids);
    let mixed = rows_of("rows.jsonl", "{\"n\": [1, \"a\", null]}\n").unwrap();
    let list = vec![Value::Integer(1), Value::Text("a".into()), Value::Null];
    assert_eq!(cells(&mixed, "n"), [Value::List(list)]);
}

#[test]
fn rows_are_named_by_their_line_in_the_file() {
    let rows = rows_of("rows.csv", "text,label\n\"two\nlines\",1\n\nb,x\n").unwrap();
    let problem = targets(&labeled("[\"no\", \"yes\"]"), &rows).unwrap_err();
    assert!(problem.contains("rows.csv, line 5") && problem.contains("`x`"), "{problem}");
    let escape = rows_of("rows.csv", "text,label\na,\u{1b}[31mred\n").unwrap();
    let problem = targets(&labeled("[\"no\", \"yes\"]"), &escape).unwrap_err();
    assert!(problem.contains("\\x1b[31mred"), "{problem}");
}

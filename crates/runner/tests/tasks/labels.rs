//! Classes in cells, and their label words.

use crate::rows::{labeled, rows_of, targets};

#[test]
fn classes_are_read_literally_from_the_file() {
    let written = rows_of("rows.csv", "text,label\na,01\nb,true\nc,x\n").unwrap();
    let joined = labeled("{ 01 = \"yes\", true = \"yes\", x = \"no\" }");
    assert_eq!(targets(&joined, &written).unwrap(), ["yes", "yes", "no"]);

    for (name, bytes) in [
        ("rows.csv", b"text,label\na,false\nb,true\n".to_vec()),
        ("rows.jsonl", b"{\"text\":\"a\",\"label\":false}\n{\"text\":\"b\",\"label\":true}".to_vec()),
    ] {
        let rows = rows_of(name, bytes).unwrap();
        assert_eq!(targets(&labeled("[\"0\", \"1\"]"), &rows).unwrap(), ["0", "1"], "{name}");
        let table = labeled("{ false = \"no\", true = \"yes\" }");
        assert_eq!(targets(&table, &rows).unwrap(), ["no", "yes"], "{name}");
        let problem = targets(&labeled("{ 0 = \"no\", 1 = \"yes\" }"), &rows).unwrap_err();
        assert!(problem.contains("`false`") && problem.contains("labeled.toml"), "{problem}");
    }
}

#[test]
fn classes_may_have_several_spellings() {
    let csv = |cells: &str| {
        let lines: String = cells.split('/').map(|cell| format!("a,{cell}\n")).collect();
        rows_of("rows.csv", format!("text,label\n{lines}")).unwrap()
    };
    let list = labeled("[\"no\", \"yes\"]");
    let written = "1/ 1/1.0/+1/01/True/TRUE/true";
    assert_eq!(targets(&list, &csv(written)).unwrap(), ["yes"; 8]);
    let examples = list.examples(&csv(written), &[0, 1, 2, 3, 4, 5, 6, 7]).unwrap();
    assert!(examples.iter().all(|example| example.class.as_deref() == Some("1")), "one class for few-shot");
    assert_eq!(targets(&list, &csv("0/False/0.00/-0")).unwrap(), ["no"; 4]);
    let table = labeled("{ \"-1\" = \"no\", \"0.5\" = \"maybe\", \"1\" = \"yes\" }");
    assert_eq!(targets(&table, &csv("1.0/-1/0.50/ -1.0 ")).unwrap(), ["yes", "no", "maybe", "no"]);
    let words = labeled("{ True = \"yes\", False = \"no\", other = \"no\" }");
    assert_eq!(targets(&words, &csv("true/FALSE/ other")).unwrap(), ["yes", "no", "no"]);
    // A cell that fits two classes, and cells that fit none.
    let versions = labeled("{ \"1.0\" = \"old\", \"1\" = \"older\" }");
    assert_eq!(targets(&versions, &csv("1.0/1")).unwrap(), ["old", "older"]);
    for (task, cell) in
        [(&versions, "1.00"), (&list, "2"), (&list, "-1"), (&list, "0.5"), (&list, "1e0"), (&list, "yes")]
    {
        let problem = targets(task, &csv(&format!("1/{cell}"))).unwrap_err();
        assert!(problem.contains("rows.csv, line 3") && problem.contains(cell), "{problem}");
    }
}

#[test]
fn a_list_of_labels_is_refused_as_multi_label() {
    let rows = rows_of("rows.jsonl", "{\"text\": \"a\", \"label\": [0, 1]}\n").unwrap();
    let problem = targets(&labeled("[\"no\", \"yes\"]"), &rows).unwrap_err();
    assert!(problem.contains("rows.jsonl, line 1") && problem.contains("multi-label"), "{problem}");
}

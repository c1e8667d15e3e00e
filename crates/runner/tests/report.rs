//! `peft-bench report`: what it says of methods that are the same, better or broken, and what it writes.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Workspace, assert_refused, assert_success, files, stderr, stdout};
use peft_bench::results::{Record, Store};
use peft_bench::train::Scores;
use polars::prelude::*;

const TASKS: [&str; 3] = ["one", "two", "three"];
const SEEDS: [u64; 3] = [1, 2, 3];
const ITEMS: usize = 200;

/// A results folder in which `twin-a` and `twin-b` answer with equal skill, `worse` much worse, and `stuck` says the
/// same to every item.
fn synthetic(w: &Workspace) -> Store {
    assert_success(&w.run(&["run", "tiny-suite.toml", "--out", "made", "--method", "lora", "--seed", "1"]));
    let made = Store::open(&w.path("made")).unwrap();
    let template = made.records().unwrap().remove(0);
    let store = Store::open(&w.path("out")).unwrap();
    for task in TASKS {
        for (place, method) in ["twin-a", "twin-b", "worse", "stuck"].into_iter().enumerate() {
            for seed in SEEDS {
                write_cell(&store, &template, task, (place, method), seed);
            }
        }
    }
    store
}

fn write_cell(store: &Store, template: &Record, task: &str, (place, method): (usize, &str), seed: u64) {
    let target = |item: usize| if item % 5 < 2 { "0" } else { "1" };
    let wrong = |item: usize| if target(item) == "0" { "1" } else { "0" };
    // A hash of all that an answer may depend on: one in so many is wrong.
    let hash = |item: usize| peft_model::random::hash_text(seed, &format!("{task}/{method}/{item}"));
    let prediction = |item: usize| match place {
        3 => "1",
        2 if hash(item).is_multiple_of(3) => wrong(item),
        0 | 1 if hash(item).is_multiple_of(20) => wrong(item),
        _ => target(item),
    };
    let cell = format!("{:016x}", peft_model::random::hash_text(seed, &format!("{task}/{method}")));
    let right: Vec<bool> = (0..ITEMS).map(|item| prediction(item) == target(item)).collect();
    let accuracy = 100.0 * right.iter().filter(|right| **right).count() as f64 / ITEMS as f64;
    let scores = serde_json::to_string(&Scores::from([("accuracy".to_string(), accuracy)])).unwrap();
    let items: Vec<u32> = (0..ITEMS as u32).collect();
    let answers =
        Series::new("".into(), (0..ITEMS).map(|i| Series::new("".into(), [target(i)])).collect::<Vec<_>>());
    let table = df!(
        "split" => vec!["test"; ITEMS],
        "item" => items.clone(),
        "row" => items.clone(),
        "source" => (0..ITEMS).map(|i| format!("{task} </script><b>{i}")).collect::<Vec<_>>(),
        "target" => (0..ITEMS).map(target).collect::<Vec<_>>(),
        "answers" => answers,
        "group" => vec![None::<&str>; ITEMS],
    );
    let name = format!("{:016x}", peft_model::random::hash_text(0, task));
    store.write_table(&format!("items/{name}.parquet"), table.unwrap()).unwrap();
    let table = df!(
        "split" => vec!["test"; ITEMS],
        "item" => items,
        "target" => (0..ITEMS).map(target).collect::<Vec<_>>(),
        "prediction" => (0..ITEMS).map(prediction).collect::<Vec<_>>(),
        "right" => right,
    );
    store.write_table(&format!("predictions/{cell}.parquet"), table.unwrap()).unwrap();
    let mut evidence = template.evidence.clone().unwrap();
    evidence.items = Some(name);
    let record = Record {
        kind: format!("{task}/{method}"),
        cell,
        suite: "synthetic".into(),
        task: task.into(),
        task_title: format!("Task {task} <i>"),
        method: method.into(),
        seed,
        score: Some(accuracy),
        test_scores: scores,
        evidence: Some(evidence),
        ..template.clone()
    };
    store.write(&record).unwrap();
}

#[test]
fn methods_of_equal_skill_share_a_letter_and_others_do_not() {
    let w = Workspace::new();
    let store = synthetic(&w);
    let output = w.run(&["report", "out"]);
    assert_success(&output);
    let text = stdout(&output);
    let letters = text.lines().find(|line| line.starts_with("over tasks and seeds")).unwrap();
    assert!(letters.contains("twin-a a") && letters.contains("twin-b a"), "{letters}");
    assert!(letters.contains("worse b") && letters.contains("stuck c"), "{letters}");
    assert!(text.contains("collapsed: stuck on Task one <i>, seeds 1, 2, 3: it answers \"1\""), "{text}");
    assert!(text.contains("is that of always giving the most frequent label"), "{text}");

    let pairs = store.read_table("pairwise.parquet").unwrap().unwrap();
    assert_eq!(pairs.height(), 18, "three tasks, six pairs");
    let column = |name: &str| pairs.column(name).unwrap().clone();
    let texts =
        |name: &str| column(name).str().unwrap().iter().map(|t| t.unwrap().to_string()).collect::<Vec<_>>();
    let (a, b) = (texts("method_a"), texts("method_b"));
    for row in 0..pairs.height() {
        let whole = |name: &str| column(name).u64().unwrap().get(row).unwrap();
        let float = |name: &str| column(name).f64().unwrap().get(row).unwrap();
        assert_eq!(whole("items"), 600, "items of three seeds");
        let (p, adjusted) = (float("mcnemar_p"), float("holm_p"));
        assert!(p <= adjusted && adjusted <= 1.0);
        let difference = 100.0 * (whole("only_a") as f64 - whole("only_b") as f64) / 600.0;
        assert!((float("difference") - difference).abs() < 1e-12);
        assert!(float("low") <= difference && difference <= float("high"));
        let twins = [&a[row], &b[row]].into_iter().filter(|name| name.starts_with("twin")).count();
        // Of one task alone, 60 and 66 percent are too close.
        if twins > 0 {
            assert_eq!(adjusted < 0.05, twins == 1, "{} and {}: {adjusted}", a[row], b[row]);
        }
    }
    // The same folder gives the same statistics.
    let before = fs::read(w.path("out/pairwise.parquet")).unwrap();
    assert_success(&w.run(&["report", "out"]));
    assert_eq!(fs::read(w.path("out/pairwise.parquet")).unwrap(), before);
}

#[test]
fn one_seed_says_what_it_cannot_say() {
    let w = Workspace::new();
    assert_success(&w.run(&["run", "tiny-suite.toml", "--out", "out", "--seed", "1"]));
    let output = w.run(&["report", "out"]);
    assert_success(&output);
    assert!(files(&w.path("out")).contains(&"report.html".to_string()));
    let data = data(&w.path("out/report.html"));
    let notes = data["notes"].to_string();
    assert!(notes.contains("nothing is known of their spread over seeds"), "{notes}");
    assert_eq!(data["table"][0]["low"], serde_json::Value::Null);
    assert_eq!(data["pairwise"].as_array().unwrap().len(), 1, "items can be compared all the same");
    assert!(data["across"]["wilcoxon"].as_array().unwrap().is_empty(), "one pair of scores cannot");
}

#[test]
fn every_format_has_the_table() {
    let w = Workspace::new();
    synthetic(&w);
    for (format, part) in [
        ("markdown", "| twin-a | "),
        ("latex", "\\begin{tabular}{lrrrrr}"),
        ("csv", "Task one <i>,false,false,twin-a,accuracy,"),
        ("terminal", "twin-a"),
        ("parquet", "comparison.parquet"),
    ] {
        let output = w.run(&["report", "out", "--format", format]);
        assert_success(&output);
        assert!(stdout(&output).contains(part), "{format}: {}", stdout(&output));
        assert!(stderr(&output).contains("report.html"), "{}", stderr(&output));
    }
    let store = Store::open(&w.path("out")).unwrap();
    let table = store.read_table("comparison.parquet").unwrap().unwrap();
    let of = |name: &str| table.column(name).unwrap().f64().unwrap().iter().flatten().collect::<Vec<f64>>();
    for ((mean, deviation), (low, high)) in
        of("mean").into_iter().zip(of("deviation")).zip(of("low").into_iter().zip(of("high")))
    {
        // Student's t for three seeds: 4.3027 standard errors.
        let half = 4.302_652_729_911_275 * deviation / 3f64.sqrt();
        assert!((mean - half - low).abs() < 1e-9 && (mean + half - high).abs() < 1e-9);
    }
    let sampled = ["sampled_low", "sampled_high"].map(|name| table.column(name).unwrap().f64().unwrap());
    let averages = table.column("average").unwrap().bool().unwrap();
    let means = table.column("mean").unwrap().f64().unwrap();
    let bounds = sampled[0].iter().zip(sampled[1].iter());
    for (((low, high), average), mean) in bounds.zip(averages.iter()).zip(means.iter()) {
        match (low, high, mean) {
            (Some(low), Some(high), Some(mean)) => {
                assert!(low <= mean && mean <= high, "{low} {mean} {high}")
            }
            _ => assert!(average == Some(true) || mean.is_none(), "a mean over items has an interval"),
        }
    }
}

#[test]
fn published_scores_stand_beside_ours() {
    let w = Workspace::new();
    synthetic(&w);
    w.write(
        "published.csv",
        "task,group,metric,method,score,seeds,source\n\
         one,Tests,accuracy,twin-a,95.0,3,somewhere\n\
         one,Tests,accuracy,worse,90.0,,elsewhere\n\
         one,Tests,accuracy,stuck,,,nowhere\n",
    );
    let output = w.run(&["report", "out", "--compare", "published.csv"]);
    assert_success(&output);
    let text = stdout(&output);
    let line = |source: &str| text.lines().find(|line| line.contains(source)).map(String::from);
    let twin = line("somewhere").unwrap();
    assert!(twin.contains("95.0") && twin.contains(" yes "), "{twin}");
    let worse = line("elsewhere").unwrap();
    for part in ["90.0", " no ", "the number of published seeds is not known"] {
        assert!(worse.contains(part), "{worse}");
    }
    assert_eq!(line("nowhere"), None, "what is not known is no comparison");
    let data = data(&w.path("out/report.html"));
    assert_eq!(data["published"].as_array().unwrap().len(), 3);
    assert_refused(&w.run(&["report", "out", "--compare", "other.csv"]), &["other.csv"]);
    let paper = w.run(&["report", "out", "--compare", "paper"]);
    assert!(stdout(&paper).contains("no published score is of a task and a method of this table"));
}

#[test]
fn several_suites_in_one_folder_have_a_page_each() {
    let w = Workspace::new();
    for suite in ["tiny-suite.toml", "other-suite.toml"] {
        w.write("other-suite.toml", &w.read("tiny-suite.toml").replace("Tiny suite", "Other suite"));
        assert_success(&w.run(&["run", suite, "--out", "out"]));
    }
    assert_success(&w.run(&["report", "out"]));
    let index = w.read("out/report.html");
    for (file, title) in
        [("report-tiny-suite.html", "Tiny suite"), ("report-other-suite.html", "Other suite")]
    {
        assert!(index.contains(&format!("<a href=\"{file}\">{title}</a>")), "{index}");
        assert!(w.path("out").join(file).is_file());
    }
}

/// The data that a page holds.
fn data(page: &Path) -> serde_json::Value {
    let page = fs::read_to_string(page).unwrap();
    let start = page.find("id=\"data\">").unwrap() + "id=\"data\">".len();
    let end = start + page[start..].find("</script>").unwrap();
    serde_json::from_str(page[start..end].trim()).unwrap()
}

#[test]
fn the_page_shows_its_data_in_a_browser_and_runs_nothing_of_it() {
    let w = Workspace::new();
    synthetic(&w);
    assert_success(&w.run(&["report", "out"]));
    let page = w.path("out/report.html");
    let Some(browser) = ["chromium", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok())
    else {
        eprintln!("skipped: no Chromium to show the page in");
        return;
    };
    let output = Command::new(browser)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", w.path("profile").display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    // What the script has made of the data, beside the data themselves.
    let end = dom.rfind("id=\"data\"").unwrap();
    let shown = dom.replacen(&dom[end..end + dom[end..].find("</script>").unwrap()], "", 1);
    for part in ["twin-a", "Task one &lt;i&gt;", "95.", "<table"] {
        assert!(shown.contains(part), "{part} is not shown: {}", &shown[..shown.len().min(3000)]);
    }
    assert!(!shown.contains("<b>0"), "a source stays text");
}

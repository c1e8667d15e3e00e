//! `peft-bench fetch` as users run it, against a fake hub.

mod common;
mod standin;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{Workspace, assert_refused, assert_success, stderr, stdout};
use peft_bench::results::{Record, Store};
use polars::prelude::{ParquetWriter, df};
use standin::{CHUNK_TOKEN, Fault, GOOD_TOKEN, Standin};

const MODEL: &str = "models/owner/tiny";
const ROWS: &str = "datasets/owner/rows";
const SPLITS: [&str; 3] = ["train", "validation", "test"];
const SPLIT_FILES: [&str; 3] = ["data/train.parquet", "data/validation.parquet", "data/test.parquet"];

/// A hub with the workspace's model and rows, and a suite `hub-suite.toml` that names them.
struct Bench {
    hub: Standin,
    workspace: Workspace,
}

impl Bench {
    fn new() -> Self {
        let (hub, workspace) = (Standin::start(), Workspace::new());
        for name in ["config.json", "tokenizer.json", "model.safetensors"] {
            let content = std::fs::read(workspace.path("model").join(name)).unwrap();
            hub.put(MODEL, "main", &[(name, &content)]);
        }
        for (split, path) in SPLITS.into_iter().zip(SPLIT_FILES) {
            // Files with equal content would be fetched only once.
            let rows = workspace.read(&format!("rows/{split}.csv")) + &format!("the {split} was good,1\n");
            let rows = parquet(&rows);
            hub.put(ROWS, "main", &[(path, &rows)]);
        }
        let bench = Self { hub, workspace };
        bench.add_task("rows", "owner/rows");
        bench.workspace.write("hub-suite.toml", &bench.workspace.read("tiny-suite.toml"));
        bench.workspace.edit("hub-suite.toml", "\"model\"", "\"owner/tiny\"");
        bench.workspace.edit("hub-suite.toml", "\"tiny.toml\"", "\"rows.toml\"");
        bench
    }

    /// A task like the workspace's own, with its rows in a dataset of the hub.
    fn add_task(&self, name: &str, repo: &str) {
        let text = self.workspace.read("tiny.toml");
        let files = text.lines().find(|line| line.starts_with("files")).unwrap();
        self.workspace.write(&format!("{name}.toml"), &text.replace(files, &format!("repo = \"{repo}\"")));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.workspace.command(arguments);
        command.env("HF_HUB_OFFLINE", "0").env("HF_ENDPOINT", &self.hub.endpoint).env_remove("HF_TOKEN_PATH");
        command
    }

    fn fetch(&self, more: &[&str]) -> Output {
        self.command(&[&["fetch", "hub-suite.toml"], more].concat()).output().unwrap()
    }

    /// Runs one cell of the suite offline; its record.
    fn run(&self) -> Record {
        let run = ["run", "hub-suite.toml", "--method", "prompt-tuning", "--seed", "1", "--steps", "2"];
        assert_success(&self.workspace.run(&run));
        let store = Store::open(&self.workspace.path("results/hub-suite")).unwrap();
        let [cell] = &common::files(&store.folder().join("cells"))[..] else { panic!("one cell") };
        store.read(cell.trim_end_matches(".parquet")).unwrap().unwrap()
    }

    fn start_fetch(&self) -> Child {
        let mut command = self.command(&["fetch", "hub-suite.toml"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn cache(&self) -> PathBuf {
        self.workspace.path("hf-home/hub")
    }

    fn line(&self, name: &str, what: &str, repo: &str, files: &str) -> String {
        let commit = self.hub.commit(repo, "main");
        format!("{name}: {what} at main, commit {commit}: {files}\n")
    }
}

fn parquet(csv: &str) -> Vec<u8> {
    let rows = csv.lines().skip(1).map(|row| row.rsplit_once(',').unwrap());
    let (text, label): (Vec<&str>, Vec<i64>) =
        rows.map(|(text, label)| (text, label.parse::<i64>().unwrap())).unzip();
    let mut bytes = Vec::new();
    let mut frame = df!("text" => text, "label" => label).unwrap();
    ParquetWriter::new(&mut bytes).finish(&mut frame).unwrap();
    bytes
}

fn wait_until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited too long");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn a_pinned_revision_is_the_one_that_runs() {
    let bench = Bench::new();
    for (split, path) in SPLITS.into_iter().zip(SPLIT_FILES) {
        let rows =
            parquet(&(bench.workspace.read(&format!("rows/{split}.csv")) + "the pinned one was good,1\n"));
        bench.hub.put(ROWS, "v1", &[(path, &rows)]);
    }
    bench.workspace.edit("rows.toml", "repo = \"owner/rows\"", "repo = \"owner/rows\"\nrevision = \"v1\"");
    assert_success(&bench.fetch(&[]));
    let record = bench.run();
    assert_eq!(record.dataset_revision, bench.hub.commit(ROWS, "v1"));
    assert_ne!(record.dataset_revision, bench.hub.commit(ROWS, "main"));
    let dump = ["tasks", "dump", "rows.toml", "--split", "test"];
    assert!(stdout(&bench.workspace.run(&dump)).contains("the pinned one was good"));
}

#[test]
fn a_fetched_suite_runs_offline_and_without_a_network() {
    let bench = Bench::new();
    let first = bench.fetch(&[]);
    assert_success(&first);
    let model =
        |news: &str| bench.line("model", "model owner/tiny", MODEL, &format!("3 files, 0.0 MiB, {news}"));
    let rows = |news: &str| {
        bench.line("rows.toml", "dataset owner/rows", ROWS, &format!("3 files, 0.0 MiB, {news}"))
    };
    assert_eq!(stdout(&first), model("fetched") + &rows("fetched"));
    assert_eq!(stderr(&first).matches("fetching ").count(), 6, "{}", stderr(&first));
    assert_eq!(bench.hub.downloads().len(), 6);

    let again = bench.fetch(&[]);
    assert_eq!(stdout(&again), model("already cached") + &rows("already cached"));
    assert_eq!(stderr(&again), "");
    assert_eq!(bench.hub.downloads().len(), 6);

    let record = bench.run();
    assert_eq!(record.dataset_revision, bench.hub.commit(ROWS, "main"));
    assert_eq!(record.model_revision, bench.hub.commit(MODEL, "main"));
    let cut_off = bench
        .command(&["fetch", "hub-suite.toml"])
        .env("HF_ENDPOINT", "http://127.0.0.1:1")
        .output()
        .unwrap();
    assert_success(&cut_off);
    assert_eq!(stdout(&cut_off), stdout(&again));
    assert_eq!(stderr(&cut_off).matches("warning: ").count(), 1, "{}", stderr(&cut_off));
}

#[test]
fn missing_data_names_the_command_that_fetches_it() {
    let commands: [(&[&str], &str); 5] = [
        (
            &["run", "hub-suite.toml"],
            "run `peft-bench fetch hub-suite.toml` on a machine with network access",
        ),
        (
            &["run", "hub-suite.toml", "--model", "owner/other", "--task", "rows.toml"],
            "`peft-bench fetch hub-suite.toml --task rows.toml --model owner/other`",
        ),
        (
            &["tasks", "dump", "rows.toml", "--split", "test"],
            "`peft-bench fetch --task rows.toml --model pocket`",
        ),
        (
            &["tasks", "show", "rows.toml", "--model", "model"],
            "`peft-bench fetch --task rows.toml --model model`",
        ),
        (&["methods", "--model", "owner/tiny"], "`peft-bench fetch pocket --model owner/tiny`"),
    ];
    for (arguments, advice) in commands {
        let bench = Bench::new();
        let refused = bench.workspace.run(arguments);
        assert_refused(&refused, &["owner/", "HF_HUB_OFFLINE is set", advice]);
        let fetch: Vec<&str> = advice.split('`').nth(1).unwrap().split(' ').skip(1).collect();
        let fetched = bench.command(&fetch).output().unwrap();
        assert_eq!(fetched.status.success(), !advice.contains("owner/other"), "{}", stderr(&fetched));
        assert!(!stderr(&fetched).contains("peft-bench fetch"), "{}", stderr(&fetched));
        // The suggested command fixes it.
        let few = ["--method", "prompt-tuning", "--seed", "1", "--steps", "2"];
        let few = if arguments == ["run", "hub-suite.toml"] { &few[..] } else { &[] };
        if fetched.status.success() {
            assert_success(&bench.workspace.run(&[arguments, few].concat()));
        }
    }
}

#[test]
fn a_failed_fetch_does_not_suggest_itself() {
    let bench = Bench::new();
    let offline = bench.workspace.run(&["fetch", "hub-suite.toml"]);
    assert_refused(&offline, &["2 of 2 not fetched", "HF_HUB_OFFLINE is set"]);
    let arguments = ["fetch", "hub-suite.toml"];
    let dead = bench.command(&arguments).env("HF_ENDPOINT", "http://me:secret@127.0.0.1:1").output().unwrap();
    assert_refused(&dead, &["2 of 2 not fetched", "no connection to http://127.0.0.1:1"]);
    for output in [offline, dead] {
        assert!(!stderr(&output).contains("peft-bench fetch"), "{}", stderr(&output));
        assert!(!stderr(&output).contains("secret"), "{}", stderr(&output));
    }
}

#[test]
fn a_model_with_random_weights_is_fetched_without_weights() {
    let bench = Bench::new();
    let fetched = bench.fetch(&["--model", "owner/tiny@random"]);
    assert_success(&fetched);
    assert!(stdout(&fetched).contains("model owner/tiny at main"), "{}", stdout(&fetched));
    let weights = std::fs::read(bench.workspace.path("model/model.safetensors")).unwrap();
    let asked = bench.hub.requests("GET", &standin::sha256(&weights));
    assert!(asked.is_empty() && bench.hub.requests("GET", "model.safetensors").is_empty());
    let run = ["run", "hub-suite.toml", "--model", "owner/tiny@random", "--method", "prompt-tuning"];
    assert_success(&bench.workspace.run(&[&run[..], &["--seed", "1", "--steps", "2"]].concat()));
}

#[test]
fn server_messages_cannot_control_the_terminal() {
    let bench = Bench::new();
    let complaint = "{\"error\": \"\\u001b]0;owned\\u0007 \\u202eevil\\u009b2J\"}";
    bench.hub.spoil("GET", "/revision/", 9, Fault::Complaint(400, complaint));
    let refused = bench.fetch(&[]);
    assert_refused(&refused, &["\\x1b]0;owned\\x07 \\u{202e}evil\\x9b2J"]);
    let name = "{\"id\": \"owner/\\u001b[31m\", \"sha\": \"COMMIT\"}";
    let bench = Bench::new();
    let name = name.replace("COMMIT", &bench.hub.commit(MODEL, "main"));
    bench.hub.spoil("GET", "/api/models/owner/tiny/revision/", 1, Fault::Body(name.into_bytes()));
    let fetched = bench.fetch(&[]);
    assert_success(&fetched);
    assert!(stderr(&fetched).contains("was renamed to owner/\\x1b[31m"), "{}", stderr(&fetched));
}

#[cfg(target_os = "linux")]
#[test]
fn a_write_error_is_reported_and_not_retried() {
    let bench = Bench::new();
    let limited = "trap '' XFSZ; ulimit -f 0; exec \"$0\" fetch hub-suite.toml --model model";
    let mut command = Command::new("sh");
    command.args(["-c", limited, env!("CARGO_BIN_EXE_peft-bench")]).current_dir(bench.workspace.path(""));
    command.env("HF_HOME", bench.workspace.path("hf-home")).env("HF_ENDPOINT", &bench.hub.endpoint);
    for name in
        ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"]
    {
        command.env_remove(name);
    }
    assert_refused(&command.output().unwrap(), &["data/test.parquet", "File too large"]);
    assert_eq!(bench.hub.downloads().len(), 1);
    assert!(!files_below(&bench.cache()).iter().any(|path| path.to_str().unwrap().contains("/snapshots/")));
}

#[test]
fn one_failure_does_not_stop_the_rest() {
    let bench = Bench::new();
    bench.hub.put("datasets/owner/gated", "main", &SPLIT_FILES.map(|path| (path, &b"rows"[..])));
    bench.hub.gate("datasets/owner/gated");
    for (task, repo) in [("gone", "owner/gone"), ("gated", "owner/gated")] {
        bench.add_task(task, repo);
    }
    bench.workspace.edit(
        "hub-suite.toml",
        "[\"rows.toml\"]",
        "[\"gone.toml\", \"tiny.toml\", \"gated.toml\", \"no-task\", \"rows.toml\"]",
    );
    let refused = bench.fetch(&["--model", "owner/no-model"]);
    assert_refused(
        &refused,
        &[
            "4 of 6 not fetched",
            "\n  model: model owner/no-model at main: the repository does not exist",
            "\n  gone.toml: dataset owner/gone at main: the repository does not exist",
            "\n  gated.toml: dataset owner/gated at main",
            "accept the conditions at",
            "\n  no-task: unknown task",
        ],
    );
    let told = stdout(&refused);
    assert!(told.starts_with("tiny.toml: not on the hub, nothing to fetch\nrows.toml: "), "{told}");
    assert!(told.ends_with("3 files, 0.0 MiB, fetched\n"), "{told}");
}

#[test]
fn the_environments_token_opens_a_gated_dataset_and_is_sent_only_to_the_hub() {
    let bench = Bench::new();
    bench.hub.gate(ROWS);
    let arguments = ["fetch", "hub-suite.toml", "--model", "model"];
    assert_success(&bench.command(&arguments).env("HF_TOKEN", GOOD_TOKEN).output().unwrap());
    let bearer = Some(format!("Bearer {GOOD_TOKEN}"));
    assert!(bench.hub.requests("GET", "/resolve/").iter().all(|request| request.token == bearer));
    let stored = bench.hub.requests("GET", "/store/");
    assert!(stored.len() == 3 && stored.iter().all(|request| request.token.is_none()));
}

#[test]
fn files_stored_in_xet_chunks_are_verified_too() {
    let bench = Bench::new();
    bench.hub.use_xet();
    bench.hub.spoil("GET", "/xorbs/", 1, Fault::Corrupt(8));
    let mut command = bench.command(&["fetch", "hub-suite.toml", "--model", "model"]);
    let fetched = command.env("HF_TOKEN", GOOD_TOKEN).output().unwrap();
    assert_success(&fetched);
    assert!(stderr(&fetched).contains("does not match the hub's listing"), "{}", stderr(&fetched));
    assert_eq!(bench.hub.requests("GET", "/store/").len(), 0);
    let plans = bench.hub.requests("GET", "/v2/reconstructions/");
    assert!(plans.iter().all(|request| request.token == Some(format!("Bearer {CHUNK_TOKEN}"))));
    let chunks = bench.hub.requests("GET", "/xorbs/");
    assert!(chunks.len() >= 4 && chunks.iter().all(|request| request.token.is_none()));
}

#[test]
fn two_processes_can_fetch_at_once() {
    let bench = Bench::new();
    bench.hub.spoil("GET", "/store/", 1, Fault::Stall(10, Duration::from_millis(700)));
    let processes = [bench.start_fetch(), bench.start_fetch()];
    let mut told = String::new();
    for process in processes {
        let output = process.wait_with_output().unwrap();
        assert_success(&output);
        told += &stdout(&output);
    }
    assert_eq!(bench.hub.downloads().len(), 6, "each file once: {told}");
    assert_success(&bench.workspace.run(&["fetch", "hub-suite.toml"]));
}

#[test]
fn a_killed_fetch_leaves_no_file_and_resumes() {
    let bench = Bench::new();
    bench.hub.spoil("GET", "/store/", 1, Fault::Stall(10, Duration::from_secs(600)));
    let mut killed = bench.start_fetch();
    let arrived = |path: &PathBuf| path.metadata().is_ok_and(|found| found.len() == 10);
    let partial = bench.cache().join("models--owner--tiny/.peft-bench/partial");
    wait_until(|| files_below(&partial).iter().any(arrived));
    killed.kill().unwrap();
    killed.wait().unwrap();
    let weights = |path: &PathBuf| path.ends_with("model.safetensors");
    assert!(!files_below(&bench.cache()).iter().any(weights));
    assert_refused(&bench.workspace.run(&["fetch", "hub-suite.toml"]), &["model owner/tiny at main"]);

    assert_success(&bench.fetch(&[]));
    let ranges: Vec<_> =
        bench.hub.requests("GET", "/store/").into_iter().map(|request| request.range).collect();
    assert!(ranges[1].as_deref().unwrap().starts_with("bytes=10-"), "{ranges:?}");
}

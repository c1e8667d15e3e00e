//! Flags, environment variables, and the folders and files that results go to.

use std::os::unix::fs::symlink;

use crate::harness::{Case, check};

const SUITE: &str = "run tiny-suite.toml --method lora --steps 1 --seed 1";

#[test]
fn invalid_flags_are_named() {
    let flags = [
        "--steps 0",
        "--steps -1",
        "--steps x",
        "--steps 1.5",
        "--steps 99999999999999999999",
        "--steps",
        "--seed -1",
        "--seed x",
        "--seed 99999999999999999999",
        "--seed",
        "--checkpoint-every -1",
        "--checkpoint-every x",
        "--device tpu",
        "--device",
        "--precision f16",
        "--precision",
        "--memory-limit 0",
        "--memory-limit -1",
        "--memory-limit nan",
        "--memory-limit x",
        "--color",
        "--out",
        "--model",
    ];
    let cases = flags.iter().map(|flag| {
        let name = flag.split(' ').next().unwrap();
        let words = format!("run tiny-suite.toml --method lora --out out {flag}");
        Case::new(format!("run {flag}")).command(&words).says(&[name]).usage()
    });
    let others = ["nothing", "run a b", "score", "metric", "pretrain", "tasks dump", "score --model model"];
    let others = others.map(|words| Case::new(words).command(words).usage());
    check(cases.chain(others).collect());
}

#[test]
fn invalid_settings_are_named() {
    let rows = [
        ("", "--set"),
        ("=", "--set"),
        ("steps", "steps"),
        ("training.steps=0", "steps"),
        ("training.steps=nan", "steps"),
        ("training.stepz=3", "stepz"),
        ("training=3", "training"),
        ("methods.lora.rank=-1", "rank"),
        ("methods.lora.rank=x", "rank"),
        ("methods.lora.rank=16777216", "rank"),
        ("methods.lora.rnk=3", "rnk"),
        ("methods.lorra.rank=3", "lorra"),
        ("methods.adapter.bottleneck=16777216", "bottleneck"),
        ("methods..rank=3", "methods"),
        ("seeds=[]", "seed"),
        ("seeds=[1,1]", "seed"),
        ("shots=[0]", "shots"),
        ("color=3", "color"),
        ("precision=f16", "precision"),
        ("training.gradient_checkpointing=1", "gradient_checkpointing"),
        ("model=\u{1b}[31m", "model"),
    ];
    let cases = rows.map(|(setting, part)| {
        let words = ["run", "tiny-suite.toml", "--out", "out", "--set", setting];
        Case::new(format!("--set {setting:?}")).arguments(&words).says(&[part]).usage()
    });
    check(cases.into_iter().collect());
}

#[test]
fn invalid_names_are_named() {
    let rows = [
        ("run nothing", "nothing"),
        ("run nothing.toml", "nothing.toml"),
        ("run ../x", "../x"),
        ("run tiny-suite.toml --method nothing", "nothing"),
        ("run tiny-suite.toml --task nothing", "nothing"),
        ("run tiny-suite.toml --task nothing.toml", "nothing.toml"),
        ("run tiny-suite.toml --model nothing", "nothing"),
        ("run tiny-suite.toml --seed 1 --seed 1", "seed"),
        ("run tiny-suite.toml --task tiny.toml --task tiny.toml", "tiny.toml"),
        ("methods --model nothing", "nothing"),
        ("tasks show nothing", "nothing"),
        ("fetch nothing", "nothing"),
        ("pretrain nothing.toml", "nothing.toml"),
        ("pretrain recipes/pocket.toml --checkpoint-every -1", "--checkpoint-every"),
        ("pretrain recipes/pocket.toml --examples -1", "--examples"),
        ("pretrain recipes/pocket.toml --device cuda:1", "--device"),
        ("report nothing", "nothing"),
        ("report tiny.toml", "tiny.toml"),
        ("report model", "model"),
        ("tasks show tiny.toml --rows -1", "--rows"),
        ("tasks show tiny.toml --model nothing", "nothing"),
        ("tasks dump nothing --split test", "nothing"),
        ("tasks dump tiny.toml --split nothing", "nothing"),
        ("tasks dump tiny.toml --split test --output tiny.toml/x", "tiny.toml/x"),
        ("metric accuracy --input tiny.toml --labels 0,1", "--labels"),
        ("metric macro-f1 --input tiny.toml --labels 0,0", "--labels"),
        ("score --model nothing --input tiny.toml", "tiny.toml"),
        ("score --model model --input tiny.toml --max-source-length 0", "--max-source-length"),
    ];
    check(
        rows.map(|(words, part)| Case::new(words).command(words).says(&[part]).usage()).into_iter().collect(),
    );
    let empty = ["--method", "--task", "--model"].map(|flag| {
        let words = ["run", "tiny-suite.toml", flag, ""];
        Case::new(format!("{flag} is empty")).arguments(&words).usage()
    });
    check(empty.into_iter().collect());
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let escape = "a\u{1b}[31mb";
    let rows = [
        vec!["run", escape],
        vec!["run", "tiny-suite.toml", "--method", escape],
        vec!["run", "tiny-suite.toml", "--task", escape],
        vec!["run", "tiny-suite.toml", "--model", escape],
        vec!["score", "--model", "model", "--input", escape],
        vec!["metric", escape, "--input", "tiny.toml"],
        vec!["pretrain", escape],
    ];
    check(rows.iter().map(|words| Case::new(format!("{words:?}")).arguments(words).usage()).collect());
}

#[test]
fn results_folders_that_cannot_be_written_are_named() {
    let out = |folder: &str| {
        let case = Case::new(format!("results into {folder}"));
        case.command(&format!("{SUITE} --out {folder}")).says(&[folder])
    };
    let folders = ["tiny.toml", "/dev/null", "/proc/nothing", "tiny.toml/x", "/sys/nothing"];
    check(folders.map(out).into_iter().collect());
    let parts = ["cells", "adapters", "state"].map(|part| {
        let case = Case::new(format!("a file where {part} goes")).write_in_the_way(part);
        case.command(&format!("{SUITE} --out out")).says(&[part])
    });
    check(parts.into_iter().collect());
    let scores = ["rows", "/proc/nothing", "tiny.toml/x"].map(|target| {
        let case = Case::new(format!("scores into {target}")).with(crate::adapters::write);
        case.command(&format!("score --model model --input pairs.jsonl --output {target}")).says(&[target])
    });
    check(scores.into_iter().collect());
}

#[test]
fn a_full_disk_is_told() {
    let full = Case::new("scores into /dev/full").with(crate::adapters::write);
    let full =
        full.command("score --model model --input pairs.jsonl --output /dev/full").says(&["/dev/full"]);
    let linked = Case::new("scores into a link to /dev/full").with(crate::adapters::write).with(|w| {
        symlink("/dev/full", w.path("linked")).unwrap();
    });
    let linked = linked.command("score --model model --input pairs.jsonl --output linked").says(&["linked"]);
    check(vec![full, linked]);
    assert!(std::fs::metadata("/dev/full").is_ok_and(|m| !m.is_file()), "the device is still one");
}

#[test]
fn invalid_environment_variables_are_named() {
    let hub = "run tiny-suite.toml --model owner/name --method lora";
    let endpoints = ["not a url", "ftp://x", "http://", "\u{1b}[31m"];
    let endpoints = endpoints.map(|url| {
        let case = Case::new(format!("HF_ENDPOINT is {url:?}")).command(hub);
        case.environment("HF_ENDPOINT", url).environment("HF_HUB_OFFLINE", "0").says(&["HF_ENDPOINT"])
    });
    check(endpoints.into_iter().collect());
    // The tiny suite needs nothing from the hub, and tokens that cannot be cached are recomputed.
    let harmless = [
        ("HF_HOME", "tiny.toml"),
        ("HF_HOME", "/dev/null"),
        ("HF_HUB_CACHE", "tiny.toml"),
        ("HF_ENDPOINT", "not a url"),
        ("PEFT_BENCH_CACHE", "tiny.toml"),
        ("PEFT_BENCH_CACHE", "/dev/null"),
        ("TMPDIR", "/nothing"),
        ("HOME", ""),
        ("RAYON_NUM_THREADS", "x"),
        ("RAYON_NUM_THREADS", "-1"),
        ("COLUMNS", "0"),
        ("COLUMNS", "x"),
        ("LANG", "x"),
    ];
    let harmless = harmless
        .map(|(key, value)| Case::new(format!("{key} is {value:?}")).environment(key, value).may_succeed());
    check(harmless.into_iter().collect());
    let cache = ["tiny.toml", "/dev/null"].map(|home| {
        let case = Case::new(format!("HF_HOME is {home}, and a model of the hub is asked for")).command(hub);
        case.environment("HF_HOME", home)
    });
    check(cache.into_iter().collect());
}

trait InTheWay {
    fn write_in_the_way(self, part: &'static str) -> Self;
}

impl InTheWay for Case<'_> {
    /// A file in the results folder in place of a folder.
    fn write_in_the_way(self, part: &'static str) -> Self {
        self.with(move |w| w.write(&format!("out/{part}"), "in the way"))
    }
}

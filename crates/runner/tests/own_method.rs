//! The example with a method of another crate trains it beside the registered ones.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Cargo builds the examples with the tests, and puts them beside the program.
fn example() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_peft-bench")).parent().unwrap();
    folder.join("examples").join(format!("own_method{}", std::env::consts::EXE_SUFFIX))
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(example()).args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn a_method_of_another_crate_trains_beside_the_registered_ones() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = "run pocket --method output-scales --method bitfit --task pocket-sense --seed 1 --steps 2 \
                     --set training.batch_size=4 --set training.eval_batch_size=200 --set training.warmup_steps=0";
    let output = run(folder.path(), &arguments.split_whitespace().collect::<Vec<_>>());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // 128 scales for each sub-layer: two in each of 4 encoder blocks, three in each of 2 decoder blocks.
    assert!(text.lines().any(|line| line.contains("output-scales") && line.contains("1,792")), "{text}");
    assert!(text.lines().any(|line| line.contains("bitfit")), "{text}");
}

#[test]
fn a_method_of_another_crate_is_listed_and_suggested() {
    let folder = tempfile::tempdir().unwrap();
    let listed = run(folder.path(), &["methods"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("output-scales"));
    let misspelled = run(folder.path(), &["run", "pocket", "--method", "output-scale"]);
    assert_eq!(misspelled.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&misspelled.stderr).contains("`output-scales`"));
}

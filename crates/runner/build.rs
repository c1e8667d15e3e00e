//! What the program must know about the files that it is built from.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The code that finds the files of a dataset and turns them into tokens, and the libraries that it builds on.
const PREPROCESSING: [&str; 6] =
    ["src/hub/dataset.rs", "src/files", "src/task", "src/data", "src/tokenizer", "../../Cargo.lock"];

fn main() {
    // The program embeds `datasets/`: a new file there must rebuild it.
    println!("cargo:rerun-if-changed=../../datasets");
    // Cached tokens are those of the code that made them.
    let mut files: Vec<PathBuf> = Vec::new();
    for path in PREPROCESSING {
        println!("cargo:rerun-if-changed={path}");
        match std::fs::read_dir(path) {
            Ok(folder) => files.extend(folder.flatten().map(|entry| entry.path())),
            Err(_) => files.push(path.into()),
        }
    }
    files.sort();
    let mut digest = DefaultHasher::new();
    for file in files {
        std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display())).hash(&mut digest);
    }
    println!("cargo:rustc-env=PREPROCESSING_DIGEST={:016x}", digest.finish());
    println!("cargo:rustc-env=PEFT_BENCH_COMMIT={}", commit());
}

/// The commit of the source, with `-dirty` behind it where files have changed; the version where that is not known.
fn commit() -> String {
    let version = || format!("v{}", std::env::var("CARGO_PKG_VERSION").unwrap_or_default());
    // A repository around a copy of the source is not the source's.
    if git(&["ls-files", "--error-unmatch", "build.rs"]).is_none() {
        return version();
    }
    for file in ["HEAD", "logs/HEAD"] {
        // A file that is not there would rebuild the program every time.
        if let Some(path) = git(&["rev-parse", "--git-path", file]).filter(|path| Path::new(path).exists()) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    for source in ["src", "../model/src", "../pocket/src", "../random/src", "../../Cargo.lock"] {
        println!("cargo:rerun-if-changed={source}");
    }
    git(&["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]).unwrap_or_else(version)
}

fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_string())
}

//! Facts about the source files that the program must know.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The code that finds the files of a dataset and turns them into tokens.
const PREPROCESSING: [&str; 5] = ["src/hub/dataset.rs", "src/files", "src/task", "src/data", "src/tokenizer"];

/// The versions of all libraries, in the workspace and in a published package.
const LOCK_FILES: [&str; 2] = ["../../Cargo.lock", "Cargo.lock"];

fn main() {
    // The program embeds these folders, so a new file there must trigger a rebuild.
    for folder in ["datasets", "published"] {
        println!("cargo:rerun-if-changed={folder}");
    }
    // Cached tokens depend on the code that made them.
    let mut files: Vec<PathBuf> = Vec::new();
    let lock = LOCK_FILES.into_iter().find(|path| Path::new(path).exists());
    for path in PREPROCESSING.into_iter().chain(lock) {
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

/// The commit of the source, with the suffix `-dirty` if files have changed; the version if the commit is unknown.
fn commit() -> String {
    let version = || format!("v{}", std::env::var("CARGO_PKG_VERSION").unwrap_or_default());
    // A repository that does not track the source is not the source's.
    if git(&["ls-files", "--error-unmatch", "build.rs"]).is_none() {
        return version();
    }
    for file in ["HEAD", "logs/HEAD"] {
        // A missing file would rebuild the program every time.
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

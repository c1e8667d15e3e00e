//! What the program must know about the files that it is built from.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

/// The code that turns rows into tokens.
const PREPROCESSING: [&str; 4] = ["src/task", "src/data.rs", "src/files.rs", "src/tokenizer"];

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
}

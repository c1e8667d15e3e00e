//! The embedded copy of the folder `datasets/`.

use include_dir::{Dir, include_dir};

static DATASETS: Dir = include_dir!("$CARGO_MANIFEST_DIR/datasets");

/// A file by its path below `datasets/`.
pub fn bytes(path: &str) -> Option<&'static [u8]> {
    DATASETS.get_file(path).map(|file| file.contents())
}

/// A text file by its path below `datasets/`.
pub fn text(path: &str) -> Option<&'static str> {
    DATASETS.get_file(path).and_then(|file| file.contents_utf8())
}

/// Names of the TOML files in a folder below `datasets/`, without their ending, in order; `""` is the
/// folder itself.
pub fn names(folder: &str) -> Vec<String> {
    let folder = if folder.is_empty() { Some(&DATASETS) } else { DATASETS.get_dir(folder) };
    let files = folder.into_iter().flat_map(|folder| folder.files()).map(|file| file.path());
    let mut names: Vec<String> = files
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

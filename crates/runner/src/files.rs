//! Files that users name: only regular ones are opened and sizes are bounded, so that no read blocks or never ends.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::memory;

/// Most bytes of a file of settings, such as a task's TOML.
const SETTINGS_BYTES: u64 = 16 << 20;

/// Memory that a file of rows takes for each of its bytes: its text, and the rows made of it.
const MEMORY_PER_BYTE: u64 = 3;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: not readable ({problem})", path.display())]
    Content { path: PathBuf, problem: String },
}

impl FileError {
    /// What is wrong with the content of a file.
    pub fn content(path: &Path, problem: String) -> Self {
        Self::Content { path: path.into(), problem }
    }
}

/// Opens a regular file, or a link to one.
///
/// # Errors
/// When there is none; a directory, a device, a pipe and a socket are none.
pub fn open(path: &Path) -> io::Result<File> {
    let found = fs::metadata(path)?;
    if found.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory, not a file"));
    }
    if !found.is_file() {
        let problem = "it is a device, a pipe or a socket, not a regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    File::open(path)
}

/// All bytes of a regular file.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a file of rows, without a byte order mark.
///
/// # Errors
/// When there is none, it does not fit into memory, or it is not UTF-8; the message names the line.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    let room = memory::available_bytes() / MEMORY_PER_BYTE;
    let what = || format!("there is memory for {room} bytes of rows");
    text(path, read(path, room, what)?)
}

/// The text of a file of settings: TOML or JSON.
///
/// # Errors
/// As [`read_text`]; settings have at most 16 MiB.
pub fn read_settings(path: &Path) -> Result<String, FileError> {
    let what = || format!("settings have at most {SETTINGS_BYTES}");
    text(path, read(path, SETTINGS_BYTES, what)?)
}

/// Parses TOML.
///
/// # Errors
/// In one line: where the text is malformed, or which key does not fit.
pub fn parse_toml<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|mut error| {
        let line = error.span().map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        // Without the text, the message is short and names the key.
        error.set_input(None);
        let message = error.to_string().trim_end().replace('\n', ", ");
        line.map_or(message.clone(), |line| format!("line {line}: {message}"))
    })
}

/// Parses a JSON object.
///
/// # Errors
/// In one line: where the text is malformed, or which key does not fit.
pub fn parse_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    // Serde takes a list for an object's values in the order of its fields.
    if text.trim_ascii_start().first().is_some_and(|&byte| byte == b'[') {
        return Err("it is a list, not an object".into());
    }
    let mut json = serde_json::Deserializer::from_slice(text);
    let object =
        serde_path_to_error::deserialize(&mut json).map_err(|error| match error.path().iter().next() {
            Some(_) => format!("`{}`: {}", error.path(), error.inner()),
            None => error.inner().to_string(),
        })?;
    json.end().map_err(|error| error.to_string())?;
    Ok(object)
}

/// What a file is, by its first bytes, where it is neither text nor Parquet, and what to do about it.
pub fn foreign(start: &[u8]) -> Option<&'static str> {
    const KINDS: [(&[u8], &str); 9] = [
        (b"\xff\xfe", "it is UTF-16; save it as UTF-8"),
        (b"\xfe\xff", "it is UTF-16; save it as UTF-8"),
        (b"\x1f\x8b", "it is compressed with gzip; unpack it"),
        (b"\x28\xb5\x2f\xfd", "it is compressed with zstd; unpack it"),
        (b"\xfd7zXZ\0", "it is compressed with xz; unpack it"),
        (b"BZh", "it is compressed with bzip2; unpack it"),
        (b"PK\x03\x04", "it is a ZIP archive or a spreadsheet; save its rows as CSV"),
        (b"ARROW1", "it is Arrow IPC; save it as Parquet"),
        (
            b"version https://git-lfs.github.com/spec/",
            "it is a Git LFS pointer, not the file itself; `git lfs pull` gets it",
        ),
    ];
    KINDS.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, kind)| *kind)
}

/// All bytes of a file that has at most `most`; `bound` says why not more.
fn read(path: &Path, most: u64, bound: impl Fn() -> String) -> Result<Vec<u8>, FileError> {
    let cannot = |source| FileError::Read { path: path.into(), source };
    let file = open(path).map_err(cannot)?;
    let size = file.metadata().map_err(cannot)?.len();
    let mut bytes = Vec::new();
    if size <= most {
        // Files of the system say that they are empty, and others can grow meanwhile.
        file.take(most + 1).read_to_end(&mut bytes).map_err(cannot)?;
    }
    match size.max(bytes.len() as u64) {
        size if size > most => Err(FileError::content(path, format!("it has {size} bytes, but {}", bound()))),
        _ => Ok(bytes),
    }
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, FileError> {
    let wrong = |problem: &str| FileError::content(path, problem.into());
    if let Some(kind) = foreign(&bytes) {
        return Err(wrong(kind));
    }
    if bytes.starts_with(b"PAR1") {
        return Err(wrong("it is Parquet; name it `.parquet`"));
    }
    let line_of = |end: usize| 1 + bytes[..end].iter().filter(|&&byte| byte == b'\n').count();
    if let Some(at) = bytes.iter().position(|&byte| byte == 0) {
        let problem = format!("line {} has a NUL character; is it UTF-16, or no text?", line_of(at));
        return Err(wrong(&problem));
    }
    if let Err(e) = std::str::from_utf8(&bytes) {
        let line = line_of(e.valid_up_to());
        return Err(wrong(&format!("line {line} is not UTF-8 but perhaps Latin-1; save it as UTF-8")));
    }
    let mut text = String::from_utf8(bytes).map_err(|e| wrong(&e.to_string()))?;
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len_utf8());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        assert!(open(folder.path()).unwrap_err().to_string().contains("directory"));
        assert!(open(&folder.path().join("none")).is_err());
        #[cfg(unix)]
        {
            let socket = folder.path().join("socket");
            let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
            let link = folder.path().join("zero");
            std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
            for path in [&socket, &link] {
                assert!(open(path).unwrap_err().to_string().contains("regular file"), "{}", path.display());
            }
        }
    }

    #[test]
    fn a_file_beyond_its_bound_is_not_read() {
        let path = tempfile::tempdir().unwrap().keep().join("huge.toml");
        let file = File::create(&path).unwrap();
        file.set_len(SETTINGS_BYTES + 1).unwrap();
        let problem = read_settings(&path).unwrap_err().to_string();
        assert!(problem.contains("huge.toml") && problem.contains("16777217 bytes"), "{problem}");
        // Sparse: it takes no room on the disk.
        file.set_len(1 << 43).unwrap();
        let problem = read_text(&path).unwrap_err().to_string();
        assert!(problem.contains("8796093022208 bytes") && problem.contains("memory"), "{problem}");
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn what_is_no_utf_8_text_is_told_by_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        for (bytes, part) in [
            (&b"\xff\xfet\0e\0"[..], "UTF-16"),
            (b"\xfe\xff\0t", "UTF-16"),
            (b"t\0e\0", "line 1 has a NUL"),
            (b"text\nt\0\n", "line 2 has a NUL"),
            (b"text\ncaf\xe9\n", "line 2 is not UTF-8"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"PK\x03\x04\x14\0", "ZIP"),
            (b"PAR1\x15\0", "`.parquet`"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        ] {
            fs::write(&path, bytes).unwrap();
            let problem = read_text(&path).unwrap_err().to_string();
            assert!(problem.contains(part) && problem.contains("rows.csv"), "{part}: {problem}");
        }
        fs::write(&path, "\u{feff}été").unwrap();
        assert_eq!(read_text(&path).unwrap(), "été");
    }

    #[test]
    fn errors_in_toml_and_json_are_one_line_that_names_the_key() {
        #[derive(Debug, serde::Deserialize)]
        struct Outer {
            #[expect(dead_code)]
            inner: Inner,
        }
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Inner {
            #[expect(dead_code)]
            size: usize,
        }
        let [toml, json] = [parse_toml::<Outer>, |text: &str| parse_json::<Outer>(text.as_bytes())];
        let nested = format!("a = {}", "[".repeat(100_000));
        for (parse, text, parts) in [
            (toml, "[inner]\nsize = -1\n", &["line 2", "`inner.size`", "-1"][..]),
            (toml, "[inner]\nsize = 1\nsiez = 2\n", &["line 3", "`siez`"]),
            (toml, "[inner\n", &["line 1"]),
            (toml, "[inner]\nsize = 99999999999999999999\n", &["line 2"]),
            (toml, &nested, &["line 1"]),
            (json, r#"{"inner": {"size": -1}}"#, &["`inner.size`", "-1"]),
            (json, r#"{"inner": {"siez": 1}}"#, &["`siez`"]),
            (json, r#"{"inner": {}}"#, &["`size`"]),
            (json, r#"{"inner": {"size": 1}} {}"#, &["trailing"]),
            (json, " [[1]]", &["list"]),
            (json, "", &["EOF"]),
            (json, &nested[4..], &["list"]),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(parts.iter().all(|part| problem.contains(part)), "{problem}");
            assert!(!problem.contains('\n') && problem.len() < 300, "{problem}");
        }
    }
}

//! The text of files that users name, or why it is none.

use std::path::Path;

use super::regular::{FileError, read};
use crate::host::memory;

/// Most bytes of a file of settings, such as a task's TOML.
const SETTINGS_BYTES: u64 = 16 << 20;

/// Memory that a file of rows takes for each of its bytes: its text, and the rows made of it.
const MEMORY_PER_BYTE: u64 = 3;

const BYTE_ORDER_MARK: char = '\u{feff}';

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
    use std::fs::{self, File};

    use super::*;

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
}

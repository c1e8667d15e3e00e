//! TOML files that people write: read in bounds, and what is wrong with them is said in one line.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::de::DeserializeOwned;

/// No file that a person writes is larger.
const LARGEST: u64 = 1 << 20;

/// Reads a regular text file: a FIFO would block, a device never ends.
///
/// # Errors
/// When there is none, it is something else, too large, or not UTF-8.
pub fn read(path: &Path) -> io::Result<String> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("it is larger than {} MiB", LARGEST >> 20)));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8 text"))
}

/// Parses a text.
///
/// # Errors
/// When it is no TOML: the message has the line; or a key is unknown, missing or of the wrong kind: the message has
/// the key.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let table: toml::Table = toml::from_str(text).map_err(|e| {
        let line = e.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        format!("line {line}: {}", e.message().replace('\n', ", "))
    })?;
    peft_model::settings::read(toml::Value::Table(table)).map_err(|problem| problem.replace('\n', ", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Outer {
        inner: Vec<Inner>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Inner {
        count: u64,
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line_with_line_or_key() {
        let cases = [
            ("a = 1\nb = [\n", "line 3"),
            ("é = 1\n", "line 1"),
            ("[[inner]]\ncount = -1\n", "`inner[0].count`"),
            ("[[inner]]\ncount = 1\n[[inner]]\ncuont = 1\n", "`cuont`"),
            ("[[inner]]\n", "`count`"),
            ("x = 1\n", "`x`"),
        ];
        for (text, part) in cases {
            let problem = parse::<Outer>(text).unwrap_err();
            assert!(problem.contains(part) && !problem.contains('\n'), "{problem}");
        }
        assert_eq!(parse::<Outer>("[[inner]]\ncount = 3\n").unwrap().inner.len(), 1);
    }

    #[test]
    fn only_regular_files_of_a_sane_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let large = folder.path().join("large.toml");
        std::fs::write(&large, vec![b'#'; LARGEST as usize + 1]).unwrap();
        for path in [folder.path(), &large, Path::new("/dev/zero")] {
            assert!(read(path).is_err(), "{}", path.display());
        }
    }
}

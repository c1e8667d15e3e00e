//! SHA-256 of bytes, files and JSON.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A SHA-256 of what has been put into it.
#[derive(Debug, Clone, Default)]
pub struct Digest(Sha256);

/// Bytes of a digest that is a name, where nobody tries to make two things have the same.
const SHORT: usize = 8;

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self::default().and(bytes)
    }

    /// The digest of a JSON value, in whichever order its keys stand.
    pub fn of_json(value: &Value) -> Self {
        Self::of(canonical(value))
    }

    /// The digest of a file's content.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        Self::default().and_file(path)
    }

    /// The digest of what there was and of more bytes behind it.
    pub fn and(self, bytes: impl AsRef<[u8]>) -> Self {
        Self(self.0.chain_update(bytes))
    }

    /// The digest of what there was and of a file's content behind it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn and_file(mut self, path: &Path) -> io::Result<Self> {
        io::copy(&mut File::open(path)?, &mut self.0)?;
        Ok(self)
    }

    /// The digest itself.
    pub fn bytes(self) -> [u8; 32] {
        self.0.finalize().into()
    }

    /// All of it as 64 hexadecimal digits.
    pub fn hex(self) -> String {
        hex(&self.bytes())
    }

    /// The beginning of it as 16 hexadecimal digits.
    pub fn short(self) -> String {
        hex(&self.bytes()[..SHORT])
    }
}

impl Write for Digest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// JSON with sorted keys and no white space.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<(&String, &Value)> = map.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{}:{}", json!(key), canonical(value))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(values) => {
            format!("[{}]", values.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let a: Value = serde_json::from_str(r#"{"a":1,"b":{"c":[1,2],"d":"x"}}"#).unwrap();
        let b: Value = serde_json::from_str(r#"{"b":{"d":"x","c":[1,2]},"a":1}"#).unwrap();
        assert_eq!(canonical(&a), canonical(&b));
        assert_eq!(canonical(&a), r#"{"a":1,"b":{"c":[1,2],"d":"x"}}"#);
    }

    #[test]
    fn parts_and_files_are_digested_as_one_text() {
        // From `sha256sum`.
        const SHA256: &str = "ff8f61fe79cfdad3aa6a80fe2859633d7e0b09dab156afb79ddf2929d00e36b4";
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        std::fs::write(&path, "bench\n").unwrap();
        assert_eq!(Digest::of("peft-bench\n").hex(), SHA256);
        assert_eq!(Digest::of("peft-").and_file(&path).unwrap().hex(), SHA256);
        assert_eq!(Digest::of("peft-").and("bench\n").short(), SHA256[..16]);
    }
}

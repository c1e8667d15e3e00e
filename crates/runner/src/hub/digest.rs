//! Checks a file's content against the hub's listing.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// What a file's content must hash to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Digest {
    /// Id of the git blob, in hexadecimal: SHA-1, or SHA-256 if the repository uses that.
    GitBlob(String),
    /// SHA-256 of the content, in hexadecimal, for files in Git LFS.
    Sha256(String),
}

/// Hexadecimal digits of a SHA-1.
const SHA1_DIGITS: usize = 40;
/// Hexadecimal digits of a SHA-256.
const SHA256_DIGITS: usize = 64;

impl Digest {
    /// The hash itself, in hexadecimal.
    pub fn hex(&self) -> &str {
        match self {
            Digest::GitBlob(hex) | Digest::Sha256(hex) => hex,
        }
    }

    /// Whether it is a valid hash, and therefore safe as a file name.
    pub(super) fn is_hash(&self) -> bool {
        let length = match self {
            Digest::GitBlob(hex) => hex.len() == SHA1_DIGITS || hex.len() == SHA256_DIGITS,
            Digest::Sha256(hex) => hex.len() == SHA256_DIGITS,
        };
        length && self.hex().bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    /// The name of a blob with this content in the hub's cache (its ETag) if `path` has that content, else `None`.
    pub fn check(&self, path: &Path, size: u64) -> io::Result<Option<String>> {
        let found = fs::metadata(path)?;
        // Opening or reading a non-file, such as a FIFO, might never return.
        if !found.is_file() || found.len() != size {
            return Ok(None);
        }
        let mut file = File::open(path)?;
        let prefix = format!("blob {size}\0");
        let blob = match self {
            Digest::GitBlob(hex) if hex.len() == SHA256_DIGITS => {
                hash(Sha256::new_with_prefix(prefix), &mut file)?
            }
            Digest::GitBlob(_) => hash(Sha1::new_with_prefix(prefix), &mut file)?,
            Digest::Sha256(_) => hash(Sha256::new(), &mut file)?,
        };
        Ok(blob.eq_ignore_ascii_case(self.hex()).then_some(blob))
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self {
            Digest::GitBlob(_) => "git object",
            Digest::Sha256(_) => "SHA-256",
        };
        write!(f, "{name} {}", self.hex())
    }
}

fn hash<H: sha2::Digest>(mut hasher: H, content: &mut impl Read) -> io::Result<String> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match content.read(&mut buffer)? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Ids from `git hash-object`, the second in a repository of object format sha256; SHA-256 from `sha256sum`.
    const TEXT: &[u8] = b"peft-bench\n";
    const BLOB: &str = "1f9aae3c4085eb38646d9472b9b73d04a1fa56f8";
    const BLOB_256: &str = "eca63141d6735a30f6d8b65dde1902a43f05a4dcf1382f36702d1a2fac84c61b";
    const SHA256: &str = "ff8f61fe79cfdad3aa6a80fe2859633d7e0b09dab156afb79ddf2929d00e36b4";

    fn digests() -> [Digest; 3] {
        [Digest::GitBlob(BLOB.into()), Digest::GitBlob(BLOB_256.into()), Digest::Sha256(SHA256.into())]
    }

    fn check(digest: &Digest, content: &[u8]) -> Option<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        digest.check(file.path(), TEXT.len() as u64).unwrap()
    }

    #[test]
    fn matching_content_is_accepted_and_its_blob_named() {
        for digest in digests() {
            assert_eq!(check(&digest, TEXT).as_deref(), Some(digest.hex()));
        }
    }

    #[test]
    fn other_content_of_the_same_size_and_a_prefix_are_refused() {
        for digest in digests() {
            assert_eq!(check(&digest, b"peft-bencH\n"), None);
            assert_eq!(check(&digest, b"peft"), None);
        }
    }

    #[test]
    fn a_device_has_no_content() {
        let empty = Digest::GitBlob("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391".into());
        assert_eq!(empty.check(Path::new("/dev/zero"), 0).unwrap(), None);
    }

    #[test]
    fn only_hexadecimal_digits_of_a_known_length_are_a_hash() {
        assert!(digests().iter().all(Digest::is_hash));
        let long = "a".repeat(300);
        for text in ["", "../../../x", "/etc/passwd", &BLOB[1..], &format!("{}/", &BLOB[1..]), &long] {
            assert!(
                !Digest::GitBlob(text.into()).is_hash() && !Digest::Sha256(text.into()).is_hash(),
                "{text}"
            );
        }
        assert!(!Digest::Sha256(BLOB.into()).is_hash());
    }
}

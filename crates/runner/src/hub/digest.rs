//! Checking a file's content against what the hub's listing states of it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// What a file's content must hash to.
///
/// Every entry of a listing has a git object id. Of a file kept in Git LFS that is the id of the pointer file, whose
/// text follows from the content's SHA-256 and size, so the id pins the content even where the SHA-256 is not stated
/// (hf-hub 1.0.0 reads that field under a name the listing does not use).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Digest {
    /// SHA-1 of the git blob, in hexadecimal.
    GitBlob(String),
    /// SHA-1 of the git blob of the file's LFS pointer, in hexadecimal.
    LfsPointer(String),
    /// SHA-256 of the content, in hexadecimal.
    Sha256(String),
}

impl Digest {
    /// The hash itself, in hexadecimal.
    pub fn hex(&self) -> &str {
        match self {
            Digest::GitBlob(hex) | Digest::LfsPointer(hex) | Digest::Sha256(hex) => hex,
        }
    }

    /// The name the hub's cache gives a blob of this content (its ETag) if `path` has that content, else `None`.
    pub fn check(&self, path: &Path, size: u64) -> io::Result<Option<String>> {
        let mut file = File::open(path)?;
        if file.metadata()?.len() != size {
            return Ok(None);
        }
        let (found, blob) = match self {
            Digest::GitBlob(_) => {
                let id = git_blob_id(&mut file, size)?;
                (id.clone(), id)
            }
            Digest::LfsPointer(_) => {
                let sha256 = hash(Sha256::new(), &mut file)?;
                let pointer =
                    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n");
                (git_blob_id(&mut pointer.as_bytes(), pointer.len() as u64)?, sha256)
            }
            Digest::Sha256(_) => {
                let sha256 = hash(Sha256::new(), &mut file)?;
                (sha256.clone(), sha256)
            }
        };
        Ok(found.eq_ignore_ascii_case(self.hex()).then_some(blob))
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self {
            Digest::GitBlob(_) => "git object",
            Digest::LfsPointer(_) => "LFS pointer",
            Digest::Sha256(_) => "SHA-256",
        };
        write!(f, "{name} {}", self.hex())
    }
}

fn git_blob_id(content: &mut impl Read, size: u64) -> io::Result<String> {
    hash(Sha1::new_with_prefix(format!("blob {size}\0")), content)
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

    // Ids from `git hash-object` of the text and of its LFS pointer; SHA-256 from `sha256sum`.
    const TEXT: &[u8] = b"peft-bench\n";
    const BLOB: &str = "1f9aae3c4085eb38646d9472b9b73d04a1fa56f8";
    const POINTER: &str = "10fdac2924f37cc613de98ffcb6306456692c468";
    const SHA256: &str = "ff8f61fe79cfdad3aa6a80fe2859633d7e0b09dab156afb79ddf2929d00e36b4";

    fn check(digest: Digest, content: &[u8]) -> Option<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        digest.check(file.path(), TEXT.len() as u64).unwrap()
    }

    #[test]
    fn accepts_the_content_and_names_its_blob() {
        assert_eq!(check(Digest::GitBlob(BLOB.into()), TEXT).as_deref(), Some(BLOB));
        assert_eq!(check(Digest::LfsPointer(POINTER.into()), TEXT).as_deref(), Some(SHA256));
        assert_eq!(check(Digest::Sha256(SHA256.into()), TEXT).as_deref(), Some(SHA256));
    }

    #[test]
    fn refuses_other_content_of_the_same_size_and_a_prefix() {
        for digest in
            [Digest::GitBlob(BLOB.into()), Digest::LfsPointer(POINTER.into()), Digest::Sha256(SHA256.into())]
        {
            assert_eq!(check(digest.clone(), b"peft-bencH\n"), None);
            assert_eq!(check(digest, b"peft"), None);
        }
    }
}

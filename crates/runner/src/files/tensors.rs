//! Safetensors files written tensor by tensor: the state of full fine-tuning is several times the model, and
//! must not be in memory once more as bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use peft_model::files::float_bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::digest::Digest;
use super::{atomic, checksum, regular};

/// A tensor of f32 whose values are asked for when its turn comes.
pub struct TensorEntry<'a> {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Box<dyn Fn() -> Cow<'a, [f32]> + 'a>,
}

impl<'a> TensorEntry<'a> {
    /// A tensor that is in memory.
    pub fn of(name: impl Into<String>, shape: &[usize], values: &'a [f32]) -> Self {
        Self { name: name.into(), shape: shape.to_vec(), values: Box::new(move || Cow::Borrowed(values)) }
    }
}

/// Writes tensors, texts that describe them, and a checksum; an old file stays until the new one is whole.
///
/// # Errors
/// When the folder cannot be written to, or the disk is full.
///
/// # Panics
/// When a tensor has another number of values than its shape.
pub fn write(path: &Path, tensors: &[TensorEntry], description: &[(&str, String)]) -> io::Result<()> {
    let header = header(tensors, description);
    let digits = checksum::place(&header).expect("a header has room for it");
    atomic::write_with(path, |file| {
        let mut file = Hashing { inner: BufWriter::new(file), digest: Digest::default() };
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        for tensor in tensors {
            let values = (tensor.values)();
            assert_eq!(values.len(), tensor.shape.iter().product::<usize>(), "{}", tensor.name);
            for values in values.chunks(VALUES_AT_A_TIME) {
                file.write_all(&float_bytes(values))?;
            }
        }
        let Hashing { inner: mut file, digest } = file;
        file.seek(SeekFrom::Start((size_of::<u64>() + digits.start) as u64))?;
        file.write_all(digest.hex().as_bytes())?;
        file.flush()
    })
}

/// Values that are bytes, too, at one time.
const VALUES_AT_A_TIME: usize = 1 << 16;

/// A writer that knows the digest of what went through it.
struct Hashing<W> {
    inner: W,
    digest: Digest,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.write_all(&bytes[..written])?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The texts that describe a file's tensors, without its tensors; none of a file of another kind. Nothing is checked.
///
/// # Errors
/// When the file cannot be read.
pub fn peek(path: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut file = regular::open(path)?;
    let mut start = Vec::new();
    (&mut file).take(size_of::<u64>() as u64).read_to_end(&mut start)?;
    let length = start.as_slice().try_into().map_or(0, u64::from_le_bytes);
    file.take(length.min(MAX_HEADER)).read_to_end(&mut start)?;
    let header: Option<Header> =
        start.get(size_of::<u64>()..).and_then(|json| serde_json::from_slice(json).ok());
    Ok(header.map(|header| header.description).unwrap_or_default())
}

/// What [`peek`] looks for.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    description: BTreeMap<String, String>,
}

/// Bytes of the longest header that the format allows.
const MAX_HEADER: u64 = 100_000_000;

/// What the format has before the values: names, shapes and offsets as JSON, filled up to a multiple of 8 bytes.
fn header(tensors: &[TensorEntry], description: &[(&str, String)]) -> Vec<u8> {
    let mut fields = Map::new();
    let mut texts: Map<String, Value> = Map::new();
    texts.insert(checksum::KEY.into(), checksum::blank().into());
    texts.extend(description.iter().map(|(key, text)| (key.to_string(), json!(text))));
    fields.insert("__metadata__".into(), texts.into());
    let mut start = 0;
    for TensorEntry { name, shape, .. } in tensors {
        let end = start + 4 * shape.iter().product::<usize>();
        fields.insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": [start, end]}));
        start = end;
    }
    let mut header = Value::Object(fields).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_reads_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let (first, second) = ([1.5f32, -2.0, f32::MIN_POSITIVE], [7.0f32; 8]);
        let tensors =
            [TensorEntry::of("a \"quoted\" name", &[3, 1], &first), TensorEntry::of("b", &[2, 4], &second)];
        write(&path, &tensors, &[("why", "é\n".into())]).unwrap();

        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(checksum::check(&bytes), Ok(()));
        assert_eq!(peek(&path).unwrap()["why"], "é\n");
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(header.metadata().as_ref().unwrap()["why"], "é\n");
        let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        for (name, shape, values) in [("a \"quoted\" name", [3, 1], &first[..]), ("b", [2, 4], &second[..])] {
            let view = read.tensor(name).unwrap();
            let expected: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            assert_eq!((view.shape(), view.data()), (&shape[..], &expected[..]));
        }
    }
}

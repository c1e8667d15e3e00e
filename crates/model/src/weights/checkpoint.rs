//! Reads weights in the hub's formats: safetensors and PyTorch pickles, whole or in shards.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use half::{bf16, f16};
use memmap2::Mmap;
use pytorch_reader::PytorchReader;
use safetensors::SafeTensors;

use crate::Error;
use crate::files;

/// No index of shards is larger.
const LARGEST_INDEX: u64 = 64 << 20;

/// The tensors of a model, by the names they have in its files.
pub struct Checkpoint {
    /// The file, or the index of the shards.
    path: PathBuf,
    tensors: BTreeMap<String, Shard>,
}

/// A file that holds tensors.
#[derive(Clone)]
enum Shard {
    Safetensors(Mapped),
    Pytorch(PathBuf, Arc<PytorchReader>),
}

/// One safetensors file, memory-mapped or embedded.
#[derive(Clone)]
struct Mapped {
    path: PathBuf,
    bytes: Arc<dyn AsRef<[u8]>>,
}

impl Checkpoint {
    /// Opens the weights of a folder, in the first format of safetensors and PyTorch that is there.
    ///
    /// # Errors
    /// When there are none, or a file cannot be read.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        for single in ["model.safetensors", "pytorch_model.bin"] {
            let (path, index) = (folder.join(single), folder.join(format!("{single}.index.json")));
            if path.exists() {
                return Self::open_file(path);
            }
            if index.exists() {
                return Self::open_sharded(folder, index);
            }
        }
        Err(Error::NoWeights { path: folder.into() })
    }

    /// Opens a file of tensors: a pickle of PyTorch where its name ends in `.bin`, safetensors else.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn open_file(path: PathBuf) -> Result<Self, Error> {
        let shard = Shard::open(&path)?;
        Self::of(path, shard)
    }

    /// Weights that are in memory: the bytes of a safetensors file.
    pub(crate) fn embedded(path: PathBuf, bytes: &'static [u8]) -> Result<Self, Error> {
        let shard = Shard::Safetensors(Mapped { path: path.clone(), bytes: Arc::new(bytes) });
        Self::of(path, shard)
    }

    fn of(path: PathBuf, shard: Shard) -> Result<Self, Error> {
        let tensors = shard.names()?.into_iter().map(|name| (name, shard.clone())).collect();
        Ok(Self { path, tensors })
    }

    fn open_sharded(folder: &Path, index: PathBuf) -> Result<Self, Error> {
        #[derive(serde::Deserialize)]
        struct Index {
            weight_map: BTreeMap<String, String>,
        }
        let text = files::read_text(&index, LARGEST_INDEX)?;
        let Index { weight_map } = serde_json::from_str(&text).map_err(|e| unreadable(&index, e))?;
        let mut shards: BTreeMap<String, (Shard, Vec<String>)> = BTreeMap::new();
        let mut tensors = BTreeMap::new();
        for (name, file) in weight_map {
            if !shards.contains_key(&file) {
                if !is_plain_name(&file) {
                    let problem =
                        format!("shard `{file}` of tensor `{name}` is no name of a file in the folder");
                    return Err(unreadable(&index, problem));
                }
                let shard = Shard::open(&folder.join(&file))?;
                let names = shard.names()?;
                shards.insert(file.clone(), (shard, names));
            }
            let (shard, names) = &shards[&file];
            if !names.contains(&name) {
                return Err(unreadable(&index, format!("tensor `{name}` is not in `{file}`")));
            }
            tensors.insert(name, shard.clone());
        }
        Ok(Self { path: index, tensors })
    }

    /// The file, or the index of the shards.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Names of all tensors, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether there is a tensor of this name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Reads one tensor as finite f32 and checks its shape; one may be stored without its leading 1, as norms are.
    pub(crate) fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let shard = self
            .tensors
            .get(name)
            .ok_or_else(|| Error::MissingTensor { path: self.path.clone(), tensor: name.into() })?;
        let (path, values) = match shard {
            Shard::Safetensors(mapped) => (&mapped.path, mapped.read(name, shape)?),
            Shard::Pytorch(path, reader) => (path, read_pytorch(path, reader, name, shape)?),
        };
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => {
                Err(unreadable(path, format!("tensor `{name}` holds {value}; all must be finite")))
            }
            None => Ok(values),
        }
    }
}

/// Whether a path is the name of something in the folder itself.
fn is_plain_name(file: &str) -> bool {
    let mut parts = Path::new(file).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(name)), None) if name == file)
}

impl Shard {
    fn open(path: &Path) -> Result<Self, Error> {
        let file = files::open(path)?;
        if path.extension().is_some_and(|extension| extension == "bin") {
            let reader = PytorchReader::new(path).map_err(|e| unreadable(path, e))?;
            return Ok(Self::Pytorch(path.into(), Arc::new(reader)));
        }
        // SAFETY: the map is read-only; a checkpoint that is rewritten while in use is out of contract.
        let bytes =
            unsafe { Mmap::map(&file) }.map_err(|source| Error::Read { path: path.into(), source })?;
        Ok(Self::Safetensors(Mapped { path: path.into(), bytes: Arc::new(bytes) }))
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        match self {
            Self::Safetensors(mapped) => {
                Ok(mapped.parse()?.names().into_iter().map(str::to_string).collect())
            }
            Self::Pytorch(_, reader) => Ok(reader.keys()),
        }
    }
}

impl Mapped {
    fn parse(&self) -> Result<SafeTensors<'_>, Error> {
        SafeTensors::deserialize((*self.bytes).as_ref()).map_err(|e| unreadable(&self.path, e))
    }

    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        use safetensors::Dtype;
        let tensors = self.parse()?;
        let view = tensors.tensor(name).map_err(|e| unreadable(&self.path, e))?;
        check_shape(&self.path, name, view.shape(), shape)?;
        let kind = match view.dtype() {
            Dtype::F64 => Kind::F64,
            Dtype::F32 => Kind::F32,
            Dtype::F16 => Kind::F16,
            Dtype::BF16 => Kind::Bf16,
            other => return Err(not_a_float(&self.path, name, &format!("{other:?}"))),
        };
        Ok(to_f32(view.data(), kind))
    }
}

fn read_pytorch(path: &Path, reader: &PytorchReader, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
    use pytorch_reader::DType;
    let missing = || Error::MissingTensor { path: path.into(), tensor: name.into() };
    let tensor = reader.get(name).ok_or_else(missing)?;
    check_shape(path, name, tensor.shape(), shape)?;
    let kind = match tensor.dtype() {
        DType::F64 => Kind::F64,
        DType::F32 => Kind::F32,
        DType::F16 => Kind::F16,
        DType::BF16 => Kind::Bf16,
        other => return Err(not_a_float(path, name, &format!("{other:?}"))),
    };
    let bytes = tensor.read().map_err(|e| unreadable(path, e))?;
    Ok(to_f32(&bytes, kind))
}

enum Kind {
    F64,
    F32,
    F16,
    Bf16,
}

fn to_f32(bytes: &[u8], kind: Kind) -> Vec<f32> {
    fn convert<const N: usize>(bytes: &[u8], f: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        bytes.chunks_exact(N).map(|c| f(c.try_into().expect("exact chunks"))).collect()
    }
    match kind {
        Kind::F64 => convert(bytes, |b| f64::from_le_bytes(b) as f32),
        Kind::F32 => files::floats(bytes),
        Kind::F16 => convert(bytes, |b| f16::from_le_bytes(b).to_f32()),
        Kind::Bf16 => convert(bytes, |b| bf16::from_le_bytes(b).to_f32()),
    }
}

fn check_shape(path: &Path, name: &str, found: &[usize], expected: &[usize]) -> Result<(), Error> {
    let fits = found == expected || (expected[0] == 1 && found == &expected[1..]);
    if fits {
        return Ok(());
    }
    Err(Error::WrongShape {
        path: path.into(),
        tensor: name.into(),
        found: found.to_vec(),
        expected: expected.to_vec(),
    })
}

/// The error of a file that is not what its name promises.
pub(crate) fn unreadable(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::Checkpoint { path: path.into(), problem: error.to_string() }
}

fn not_a_float(path: &Path, name: &str, dtype: &str) -> Error {
    Error::Checkpoint {
        path: path.into(),
        problem: format!("tensor `{name}` has type {dtype}; expected F32, F16, BF16 or F64"),
    }
}

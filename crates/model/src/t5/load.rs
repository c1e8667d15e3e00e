//! Reads weights in the hub's formats: safetensors, sharded safetensors, PyTorch pickles.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor, TensorData};
use half::{bf16, f16};
use memmap2::Mmap;
use pytorch_reader::PytorchReader;
use safetensors::SafeTensors;

use super::{Backbone, T5Config};
use crate::Error;

impl Backbone {
    /// Loads `config.json` and the weights of a model folder in the hub's layout.
    ///
    /// Weights are read from `model.safetensors`, `model.safetensors.index.json` or
    /// `pytorch_model.bin`, whichever is there first; f16, bf16 and f64 are converted to `dtype`.
    ///
    /// # Errors
    /// When a file is missing or truncated, or a tensor is missing or does not fit the configuration.
    pub fn load(folder: &Path, device: &Device, dtype: DType) -> Result<Self, Error> {
        let config = T5Config::from_file(&folder.join("config.json"))?;
        Self::read(config, &Weights::open(folder)?, device, dtype)
    }

    /// Loads weights that are in memory: the bytes of a `model.safetensors`, which `name` names in
    /// messages.
    ///
    /// # Errors
    /// When the bytes are no safetensors, or a tensor is missing or does not fit the configuration.
    pub fn from_safetensors(
        config: T5Config,
        bytes: &'static [u8],
        name: &str,
        device: &Device,
        dtype: DType,
    ) -> Result<Self, Error> {
        let mapped = Mapped { path: name.into(), bytes: Arc::new(bytes) };
        Self::read(config, &Weights::Safetensors(mapped.by_name()?), device, dtype)
    }

    fn read(config: T5Config, weights: &Weights, device: &Device, dtype: DType) -> Result<Self, Error> {
        let mut tensors = HashMap::new();
        for (name, shape) in Backbone::shapes(&config) {
            let values = weights.read(&name, &shape)?;
            let tensor = Tensor::<2>::from_data(TensorData::new(values, shape), device);
            tensors.insert(name, tensor.cast(dtype));
        }
        Ok(Backbone::new(config, tensors, device.clone()))
    }
}

/// Other names under which checkpoints keep the shared embedding table.
const SHARED_ALIASES: [&str; 2] = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];

enum Weights {
    Safetensors(BTreeMap<String, Mapped>),
    Pytorch(PathBuf, PytorchReader),
}

/// One safetensors file, memory-mapped or embedded, shared by the names that live in it.
#[derive(Clone)]
struct Mapped {
    path: PathBuf,
    bytes: Arc<dyn AsRef<[u8]>>,
}

impl Weights {
    fn open(folder: &Path) -> Result<Self, Error> {
        let single = folder.join("model.safetensors");
        let index = folder.join("model.safetensors.index.json");
        let pickle = folder.join("pytorch_model.bin");
        if single.exists() {
            Ok(Self::Safetensors(Mapped::open(&single)?.by_name()?))
        } else if index.exists() {
            Self::open_sharded(folder, &index)
        } else if pickle.exists() {
            let reader = PytorchReader::new(&pickle).map_err(|e| unreadable(&pickle, e))?;
            Ok(Self::Pytorch(pickle, reader))
        } else {
            Err(Error::NoWeights { path: folder.into() })
        }
    }

    fn open_sharded(folder: &Path, index: &Path) -> Result<Self, Error> {
        #[derive(serde::Deserialize)]
        struct Index {
            weight_map: BTreeMap<String, String>,
        }
        let text =
            std::fs::read_to_string(index).map_err(|source| Error::Read { path: index.into(), source })?;
        let Index { weight_map } = serde_json::from_str(&text).map_err(|e| unreadable(index, e))?;
        let mut shards: BTreeMap<String, Mapped> = BTreeMap::new();
        let mut names = BTreeMap::new();
        for (name, shard) in weight_map {
            if !shards.contains_key(&shard) {
                let mapped = Mapped::open(&folder.join(&shard))?;
                // Parsing now reports a truncated shard before any tensor is read.
                mapped.names()?;
                shards.insert(shard.clone(), mapped);
            }
            names.insert(name, shards[&shard].clone());
        }
        Ok(Self::Safetensors(names))
    }

    /// Reads one tensor as f32 and checks its shape; norms may be stored without their leading 1.
    fn read(&self, name: &str, shape: &[usize; 2]) -> Result<Vec<f32>, Error> {
        let stored =
            self.find(name).ok_or_else(|| Error::MissingTensor { path: self.path(), tensor: name.into() })?;
        match self {
            Self::Safetensors(names) => names[stored].read(stored, name, shape),
            Self::Pytorch(path, reader) => read_pytorch(path, reader, stored, name, shape),
        }
    }

    fn find<'a>(&self, name: &'a str) -> Option<&'a str> {
        let has = |n: &str| match self {
            Self::Safetensors(names) => names.contains_key(n),
            Self::Pytorch(_, reader) => reader.get(n).is_some(),
        };
        if has(name) {
            return Some(name);
        }
        let aliases = if name == "shared.weight" { &SHARED_ALIASES[..] } else { &[] };
        aliases.iter().copied().find(|alias| has(alias))
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Safetensors(names) => names.values().next().map(|m| m.path.clone()).unwrap_or_default(),
            Self::Pytorch(path, _) => path.clone(),
        }
    }
}

impl Mapped {
    fn open(path: &Path) -> Result<Self, Error> {
        let read = |source| Error::Read { path: path.into(), source };
        let file = File::open(path).map_err(read)?;
        // SAFETY: the map is read-only; a checkpoint that is rewritten while in use is out of contract.
        let bytes = unsafe { Mmap::map(&file) }.map_err(read)?;
        Ok(Self { path: path.into(), bytes: Arc::new(bytes) })
    }

    fn parse(&self) -> Result<SafeTensors<'_>, Error> {
        SafeTensors::deserialize((*self.bytes).as_ref()).map_err(|e| unreadable(&self.path, e))
    }

    fn by_name(&self) -> Result<BTreeMap<String, Mapped>, Error> {
        Ok(self.names()?.into_iter().map(|name| (name, self.clone())).collect())
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        Ok(self.parse()?.names().into_iter().map(str::to_string).collect())
    }

    fn read(&self, stored: &str, name: &str, shape: &[usize; 2]) -> Result<Vec<f32>, Error> {
        use safetensors::Dtype;
        let tensors = self.parse()?;
        let view = tensors.tensor(stored).map_err(|e| unreadable(&self.path, e))?;
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

fn read_pytorch(
    path: &Path,
    reader: &PytorchReader,
    stored: &str,
    name: &str,
    shape: &[usize; 2],
) -> Result<Vec<f32>, Error> {
    use pytorch_reader::DType;
    let tensor = reader.get(stored).expect("found before");
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
        Kind::F32 => convert(bytes, f32::from_le_bytes),
        Kind::F16 => convert(bytes, |b| f16::from_le_bytes(b).to_f32()),
        Kind::Bf16 => convert(bytes, |b| bf16::from_le_bytes(b).to_f32()),
    }
}

fn check_shape(path: &Path, name: &str, found: &[usize], expected: &[usize; 2]) -> Result<(), Error> {
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

fn unreadable(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::Checkpoint { path: path.into(), problem: error.to_string() }
}

fn not_a_float(path: &Path, name: &str, dtype: &str) -> Error {
    Error::Checkpoint {
        path: path.into(),
        problem: format!("tensor `{name}` has type {dtype}; expected F32, F16, BF16 or F64"),
    }
}

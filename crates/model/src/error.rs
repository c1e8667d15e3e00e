use std::path::PathBuf;

/// What can go wrong when a model or a method is built from files and settings.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages show what the fields are")]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    /// A configuration file is malformed or asks for what its family does not have.
    #[error("{}: {problem}", path.display())]
    Config { path: PathBuf, problem: String },
    /// A checkpoint file is truncated or not in the format that its name promises.
    #[error("{}: not a readable checkpoint ({problem})", path.display())]
    Checkpoint { path: PathBuf, problem: String },
    /// A tensor that the configuration asks for is not in the checkpoint.
    #[error("{}: tensor `{tensor}` is missing; config.json asks for it", path.display())]
    MissingTensor { path: PathBuf, tensor: String },
    /// A tensor has another shape than the configuration says.
    #[error("{}: tensor `{tensor}` has shape {found:?}, but config.json asks for {expected:?}", path.display())]
    WrongShape { path: PathBuf, tensor: String, found: Vec<usize>, expected: Vec<usize> },
    /// No weights in any of the hub's formats.
    #[error(
        "{}: no weights found; expected model.safetensors or pytorch_model.bin, or an index of shards, such as \
         model.safetensors.index.json",
        path.display()
    )]
    NoWeights { path: PathBuf },
    /// A text file that stands for a large one.
    #[error("{}: a Git LFS pointer, not the file itself; run `git lfs pull` in its folder", path.display())]
    GitLfsPointer { path: PathBuf },
    /// What Python's peft writes in place of a model.
    #[error(
        "{}: holds an adapter that Python's peft made (adapter_config.json), not a model{}",
        path.display(),
        base.as_ref().map(|base| format!("; its base model is {base:?}, over which `--adapter` puts it")).unwrap_or_default()
    )]
    PeftAdapter { path: PathBuf, base: Option<String> },
    /// The tensors of an adapter are not those that its method has on this model.
    #[error("{}: {problem}", path.display())]
    Adapter { path: PathBuf, problem: String },
    /// A method name that is not in the registry.
    #[error("unknown method `{name}`{}; known methods: {known}", suggestion.as_ref().map(|s| format!(", did you mean `{s}`?")).unwrap_or_default())]
    UnknownMethod { name: String, suggestion: Option<String>, known: String },
    /// A method that another crate registers has the name of a known one.
    #[error("method `{name}` is already registered; give it another name")]
    MethodNameTaken { name: String },
    /// A setting of a method is unknown or out of range.
    #[error("method `{method}`: {problem}")]
    InvalidSetting { method: String, problem: String },
}

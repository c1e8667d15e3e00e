use std::path::{Path, PathBuf};

use super::embedded::EmbeddedModel;

/// After a model's name: its shape and tokenizer, but weights drawn at random.
pub(super) const RANDOM: &str = "@random";

/// Where a model of this name is: a folder, in the program, or on the hub, in this order.
pub(super) enum Place {
    Folder(PathBuf),
    Embedded(EmbeddedModel),
    Hub,
}

impl Place {
    pub(super) fn of(name: &str) -> Self {
        match (Path::new(name).is_dir(), EmbeddedModel::find(name)) {
            (true, _) => Self::Folder(name.into()),
            (false, Some(files)) => Self::Embedded(files),
            (false, None) => Self::Hub,
        }
    }
}

/// The model whose shape and tokenizer a model has: another one where its weights are random.
pub(super) fn shape(id: &str) -> &str {
    id.strip_suffix(RANDOM).filter(|name| !name.is_empty()).unwrap_or(id)
}

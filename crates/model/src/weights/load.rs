use std::collections::BTreeSet;
use std::path::Path;

use super::checkpoint::{Checkpoint, unreadable};
use crate::Error;

/// Names that a message lists before it only counts.
const LISTED: usize = 5;

/// Takes tensors out of a checkpoint, and remembers which.
pub(crate) struct Reader<'a> {
    /// What the checkpoint has before each of the model's names, as in `module.shared.weight`.
    prefix: String,
    checkpoint: &'a Checkpoint,
    read: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    /// A reader of a checkpoint, in which the name of `anchor`, a tensor of every model of the family, tells what
    /// stands before all names.
    pub(crate) fn new(checkpoint: &'a Checkpoint, anchor: &str) -> Result<Self, Error> {
        Ok(Self { prefix: prefix(checkpoint, anchor)?, checkpoint, read: BTreeSet::new() })
    }

    /// The values of a tensor.
    pub(crate) fn tensor(&mut self, name: &str, shape: &[usize; 2]) -> Result<Vec<f32>, Error> {
        let stored = format!("{}{name}", self.prefix);
        let values = self.checkpoint.read(&stored, shape)?;
        self.read.insert(stored);
        Ok(values)
    }

    /// Whether the checkpoint has a tensor.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.checkpoint.contains(&format!("{}{name}", self.prefix))
    }

    /// The checkpoint's file.
    pub(crate) fn path(&self) -> &Path {
        self.checkpoint.path()
    }

    /// A line that names the tensors which nothing has read, but for `relics` that nothing ever used.
    pub(crate) fn unused(&self, relics: &[&str]) -> Option<String> {
        let relics: Vec<String> = relics.iter().map(|relic| format!("{}{relic}", self.prefix)).collect();
        let names = self
            .checkpoint
            .names()
            .filter(|&name| !relics.iter().any(|r| r == name) && !self.read.contains(name));
        let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
        let more = match names.len().saturating_sub(LISTED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let listed = names.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let path = self.checkpoint.path().display();
        (!names.is_empty()).then(|| format!("{path}: nothing uses {listed}{more}"))
    }
}

fn prefix(checkpoint: &Checkpoint, anchor: &str) -> Result<String, Error> {
    if checkpoint.contains(anchor) {
        return Ok(String::new());
    }
    let prefixes: Vec<&str> = checkpoint
        .names()
        .filter_map(|name| name.strip_suffix(anchor))
        .filter(|prefix| prefix.ends_with('.'))
        .collect();
    match prefixes.as_slice() {
        [] => Ok(String::new()),
        [prefix] => Ok(prefix.to_string()),
        several => Err(unreadable(
            checkpoint.path(),
            format!("tensors of several models, named `{}...`; keep those of one", several.join("...`, `")),
        )),
    }
}

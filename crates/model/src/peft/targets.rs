use serde::{Deserialize, Serialize};

use crate::layout::{Layout, Linear, Site};

/// The setting `targets`: which projections a method adapts, by their names in the checkpoint, such as `q`. The head is
/// never one of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Targets(pub(super) Vec<String>);

impl Default for Targets {
    /// The queries and values of every attention.
    fn default() -> Self {
        Self(vec!["q".into(), "v".into()])
    }
}

impl Targets {
    /// Refuses an empty list.
    pub(super) fn validate(&self) -> Result<(), String> {
        match self.0.is_empty() {
            true => Err("`targets` is empty".into()),
            false => Ok(()),
        }
    }

    /// Whether a linear map is adapted.
    pub(super) fn adapt(&self, linear: &Linear) -> bool {
        linear.site != Site::Head && self.0.iter().any(|target| target == linear.name())
    }

    /// The linear maps that are adapted; refuses a target that no projection of the backbone has as its name.
    pub(super) fn adapted<'a>(&self, layout: &'a Layout) -> Result<Vec<&'a Linear>, String> {
        let projections = layout.linears.iter().filter(|linear| linear.site != Site::Head);
        let mut known: Vec<&str> = Vec::new();
        for name in projections.map(Linear::name) {
            if !known.contains(&name) {
                known.push(name);
            }
        }
        match self.0.iter().find(|target| !known.contains(&target.as_str())) {
            Some(bad) => Err(format!("`targets` has `{bad}`; the backbone has {}", known.join(", "))),
            None => Ok(layout.linears.iter().filter(|linear| self.adapt(linear)).collect()),
        }
    }
}

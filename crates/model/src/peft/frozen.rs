use serde_json::Map;

use super::ConfiguredMethod;
use crate::layout::Layout;
use crate::{Group, Method, Parameter};

/// The backbone as it is: no parameters, every hook unchanged.
pub fn frozen() -> ConfiguredMethod {
    ConfiguredMethod { method: Box::new(Frozen), settings: Map::new() }
}

#[derive(Debug)]
struct Frozen;

impl Method for Frozen {
    fn parameters(&self, _layout: &Layout) -> Result<Vec<Parameter>, String> {
        Ok(Vec::new())
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        Vec::new()
    }

    fn merges(&self) -> Result<(), String> {
        Ok(())
    }
}

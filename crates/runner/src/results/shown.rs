//! What a suite's table shows of results.

use serde::{Deserialize, Serialize};

/// Names of tasks and of methods, in the order that a suite gives them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub tasks: Vec<String>,
    pub methods: Vec<String>,
}

/// The split whose scores a table shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReportedSplit {
    #[default]
    Test,
    Validation,
}

impl ReportedSplit {
    /// As suites write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Validation => "validation",
        }
    }
}

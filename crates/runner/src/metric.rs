use serde::{Deserialize, Serialize};
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    Accuracy,
    F1,
    Matthews,
    Pearson,
    Spearman,
}
#[derive(Debug, thiserror::Error)]
pub enum MetricError {
    #[error("stub")]
    Stub,
}
pub struct Answer {
    pub prediction: String,
    pub targets: Vec<String>,
    pub group: Option<String>,
}
impl Metric {
    pub fn score(self, answers: &[Answer]) -> Result<f64, MetricError> {
        Ok(100.0 * answers.iter().filter(|a| a.prediction == a.targets[0]).count() as f64
            / answers.len() as f64)
    }
}
impl std::fmt::Display for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", serde_json::json!(self).as_str().unwrap())
    }
}

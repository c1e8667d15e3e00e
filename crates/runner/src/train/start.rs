//! Where trainings start.

use peft_model::{Parameters, SourceTensors};

use super::job::Job;

/// What runs start from, beside their seeds.
#[derive(Debug, Clone)]
pub enum Start {
    /// Where the method says, given the tensors of its sources, in its order; most methods have none.
    Sources(Vec<SourceTensors>),
    /// Values of another training of the method, in the order of its parameters.
    Values(Vec<Vec<f32>>),
    /// The same, scored as they are: they had so many updates.
    Trained { values: Vec<Vec<f32>>, step: u64 },
}

impl Default for Start {
    fn default() -> Self {
        Self::Sources(Vec::new())
    }
}

impl Start {
    /// The parameters of a job's runs before its first update.
    pub(super) fn parameters(&self, job: &Job) -> Result<Parameters, String> {
        let (backbone, method) = (job.backbone, job.method);
        let seeds: Vec<u64> = job.runs.iter().map(|run| run.seed).collect();
        match self {
            Self::Sources(sources) => {
                let tokenize = |text: &str| job.tokenizer.encode(text, usize::MAX).ids;
                backbone.start_from(sources, method, &seeds, &tokenize)
            }
            Self::Values(values) | Self::Trained { values, .. } => {
                let declared = method.parameters(backbone.layout())?;
                let runs = vec![values.as_slice(); seeds.len()];
                Ok(Parameters::from_host(declared, &runs, backbone.device(), backbone.dtype()))
            }
        }
    }
}

//! Values of pretrained T5 that transformers publishes in its integration tests.

use anyhow::{Result, bail};
use peft_model::families;

use super::Doctor;
use super::cache::is_absent;
use super::check::Check;
use super::likelihood::{compare, generated, log_probability};
use crate::cli::error_text::message;
use crate::host::device::DeviceName;
use crate::hub::{Hub, Repo};
use crate::model::{Precision, tokenizer};

/// "Hello there" and "Hi I am" with EOS: the vocabulary of both models.
const SOURCE: [u32; 3] = [8774, 132, 1];
const TARGET: [u32; 4] = [2018, 27, 183, 1];

/// A model, and the log-probability of the pair.
struct Golden {
    model: &'static str,
    known: f64,
    /// A text, and what the generated answer begins with. It needs a `tokenizer.json`, which not all repositories have.
    generation: Option<(&'static str, &'static str)>,
}

const ALL: [Golden; 2] = [
    Golden {
        model: "google-t5/t5-small",
        known: -19.0845,
        generation: Some(("summarize: Hello there", "Hello there!")),
    },
    Golden { model: "google/t5-v1_1-small", known: -59.0293, generation: None },
];

pub(super) fn checks(doctor: &Doctor) -> Vec<Check> {
    let hub = match doctor.fetch {
        true => doctor.hub().map(Hub::new),
        false => doctor.offline_hub(),
    };
    let Some(hub) = hub else { return Vec::new() };
    ALL.iter().map(|golden| golden.check(&hub)).collect()
}

impl Golden {
    fn check(&self, hub: &Hub) -> Check {
        let name = format!("model {}", self.model);
        match self.compute(hub) {
            Ok(Ok(detail)) => Check::ok(name, detail),
            Ok(Err(detail)) => Check::failed(name, detail),
            Err(error) if is_absent(&error) => {
                Check::absent(name, "not in the cache: run `peft-bench doctor --fetch`")
            }
            Err(error) => Check::failed(name, message(&error)),
        }
    }

    /// What the model computes, as an error where that is not what is published.
    fn compute(&self, hub: &Hub) -> Result<Result<String, String>> {
        let folder = hub.model_weights(&Repo::model(self.model))?.folder;
        let tokenizer = self.generation.map(|_| tokenizer(self.model, hub)).transpose()?;
        let configuration = families::configuration(&folder)?;
        let backbone = configuration.load(&folder, &DeviceName::CPU.open()?, Precision::F32.dtype())?;
        if configuration.layout().vocab_size <= SOURCE.into_iter().chain(TARGET).max().unwrap_or(0) as usize {
            bail!("its vocabulary has only {} tokens", configuration.layout().vocab_size);
        }
        let score = compare(log_probability(backbone.as_ref(), &SOURCE, &TARGET)?, self.known);
        let (Ok(score), Some((text, known)), Some(tokenizer)) = (&score, self.generation, tokenizer) else {
            return Ok(score);
        };
        let ids = tokenizer.encode(text, usize::MAX).ids;
        // A few more tokens than the answer's beginning has.
        let answer = tokenizer.decode(&generated(backbone.as_ref(), &ids, 8));
        let detail = format!("{score}; {text:?} becomes {answer:?}, known to begin with {known:?}");
        Ok(if answer.starts_with(known) { Ok(detail) } else { Err(detail) })
    }
}

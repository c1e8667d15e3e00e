//! Whether the model that the program carries computes what it did when it was made.

use anyhow::{Context, Result};

use super::Doctor;
use super::check::Check;
use super::likelihood::{compare, log_probability};
use crate::host::device::DeviceName;
use crate::model::{ModelFiles, Precision};

const MODEL: &str = "pocket";
const SOURCE: &str = "premise: the new horses kicked the bicycle at the harbour. hypothesis: the bicycle was kicked by \
                      the new animals.";
const TARGET: &str = "1";
/// The log-probability of the pair.
const KNOWN: f64 = -12.424559;

pub(super) fn checks(_: &Doctor) -> Vec<Check> {
    let name = format!("model {MODEL}");
    let check = match score() {
        Ok(score) => match compare(score, KNOWN) {
            Ok(detail) => Check::ok(name, detail),
            Err(detail) => Check::failed(name, detail),
        },
        Err(problem) => Check::failed(name, format!("{problem:#}")),
    };
    vec![check]
}

fn score() -> Result<f64> {
    let files = ModelFiles::built_in(MODEL).context("the program carries no such model")??;
    let backbone = files.load(&DeviceName::CPU.open()?, Precision::F32)?;
    let ids = |text| files.tokenizer.encode(text, usize::MAX).ids;
    log_probability(backbone.as_ref(), &ids(SOURCE), &ids(TARGET))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pocket_model_computes_the_known_value() {
        assert_eq!(compare(score().unwrap(), KNOWN).err(), None);
    }
}

//! A method of another crate in the harness: this program is `peft-bench` with one more method.
//!
//! `cargo run --release --example own_method -- run pocket --method output-scales`

use std::process::ExitCode;

use burn::tensor::Tensor;
use peft_model::ops::per_run;
use peft_model::peft::{self, Checked, Group, Init, Method, Parameter, Registered};
use peft_model::t5::{Pass, Sublayer, T5Config};
use serde::{Deserialize, Serialize};

const OUTPUT_SCALES: Registered =
    Registered::new::<OutputScales>("output-scales", "Output scales", "an example");

/// A learned vector rescales what every sub-layer adds to the residual stream.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct OutputScales {
    learning_rate: f64,
}

impl Default for OutputScales {
    fn default() -> Self {
        Self { learning_rate: 1e-2 }
    }
}

impl Checked for OutputScales {
    fn check(&self) -> Result<(), String> {
        peft::learning_rate("learning_rate", self.learning_rate)
    }
}

impl Method for OutputScales {
    fn parameters(&self, config: &T5Config) -> Vec<Parameter> {
        let scales = |at: &Sublayer| Parameter::new(name(at), &[config.d_model], Init::Ones);
        Sublayer::all(config).iter().map(scales).collect()
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::NETWORK, self.learning_rate)]
    }

    fn sublayer(&self, pass: &Pass, at: Sublayer, output: Tensor<4>) -> Tensor<4> {
        let scales = per_run(pass.parameters.get(&name(&at)), &output);
        output * scales
    }
}

fn name(at: &Sublayer) -> String {
    format!("{}.scales", at.path())
}

fn main() -> ExitCode {
    match peft::register(OUTPUT_SCALES) {
        Ok(()) => peft_bench::cli::main(),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

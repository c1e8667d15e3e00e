//! A method of another crate in the harness: this program is `peft-bench` with one more method.
//!
//! `cargo run --release --example own_method -- run pocket --method output-scales`

use std::process::ExitCode;

use burn::tensor::Tensor;
use peft_model::layout::{Branch, Layout};
use peft_model::ops::per_run;
use peft_model::peft::{self, Registered, Validate};
use peft_model::{Context, Group, Init, Method, Parameter, settings};
use serde::{Deserialize, Serialize};

const OUTPUT_SCALES: Registered =
    Registered::new::<OutputScales>("output-scales", "Output scales", "an example");

/// A learned vector rescales what every sub-layer adds to the residual stream.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutputScales {
    learning_rate: f64,
}

impl Default for OutputScales {
    fn default() -> Self {
        Self { learning_rate: 1e-2 }
    }
}

impl Validate for OutputScales {
    fn validate(&self) -> Result<(), String> {
        settings::learning_rate("learning_rate", self.learning_rate)
    }
}

impl Method for OutputScales {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        let scales = |branch: &Branch| Parameter::new(name(branch), &[layout.d_model], Init::Ones);
        Ok(layout.branches.iter().map(scales).collect())
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::NETWORK, self.learning_rate)]
    }

    fn sublayer(&self, context: &Context, branch: &Branch, output: Tensor<4>) -> Tensor<4> {
        let scales = per_run(context.parameters.get(&name(branch)), &output);
        output * scales
    }
}

fn name(branch: &Branch) -> String {
    format!("{}.scales", branch.path)
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

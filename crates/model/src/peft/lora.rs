//! LoRA (Hu et al. 2022): `W x + (alpha / r) B A x` with a frozen `W`.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{
    Checked, Group, Init, Method, Parameter, Registered, factor, learning_rate, positive, probability,
};
use crate::t5::{Pass, Projection, Site, T5Config};

pub(super) const REGISTERED: Registered = Registered::new::<Lora>("lora", "LoRA", "Hu et al. 2022");

/// Low-rank updates of the query and value projections of every attention.
///
/// The products with A and B stay apart: the merged weight is never formed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lora {
    pub rank: usize,
    pub alpha: f64,
    /// Dropout on the low-rank branch's input.
    pub dropout: f64,
    /// Projections that are adapted, by their names in the checkpoint.
    pub targets: Vec<String>,
    pub learning_rate: f64,
}

impl Default for Lora {
    fn default() -> Self {
        Self {
            rank: 32,
            alpha: 32.0,
            dropout: 0.0,
            targets: vec!["q".into(), "v".into()],
            learning_rate: 3e-4,
        }
    }
}

const TARGETS: [Projection; 8] = [
    Projection::Q,
    Projection::K,
    Projection::V,
    Projection::O,
    Projection::Wi,
    Projection::Wi0,
    Projection::Wi1,
    Projection::Wo,
];

impl Checked for Lora {
    fn check(&self) -> Result<(), String> {
        positive("rank", self.rank)?;
        factor("alpha", self.alpha)?;
        probability("dropout", self.dropout)?;
        let known = TARGETS.map(Projection::name);
        match self.targets.iter().find(|t| !known.contains(&t.as_str())) {
            Some(bad) => Err(format!("`targets` has `{bad}`; known are {}", known.join(", "))),
            None if self.targets.is_empty() => Err("`targets` is empty".into()),
            None => learning_rate("learning_rate", self.learning_rate),
        }
    }
}

impl Lora {
    fn adapts(&self, site: &Site) -> bool {
        match site {
            Site::Projection(_, projection) => self.targets.iter().any(|t| t == projection.name()),
            Site::Head => false,
        }
    }
}

impl Method for Lora {
    fn parameters(&self, config: &T5Config) -> Vec<Parameter> {
        let sites = Site::all(config).into_iter().filter(|site| self.adapts(site));
        sites
            .flat_map(|site| {
                let [out, input] = site.shape(config);
                // Kaiming uniform with a = sqrt(5), as peft and the authors' code have it.
                let a = Init::Uniform((input as f64).powf(-0.5));
                [
                    Parameter::new(lora_a(&site), &[self.rank, input], a),
                    Parameter::new(lora_b(&site), &[out, self.rank], Init::Zeros),
                ]
            })
            .collect()
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        vec![(Group::NETWORK, self.learning_rate)]
    }

    fn projection(&self, pass: &Pass, site: Site, input: &Tensor<4>, output: Tensor<4>) -> Tensor<4> {
        if !self.adapts(&site) {
            return output;
        }
        let a: Tensor<3> = pass.parameters.get(&lora_a(&site));
        let b: Tensor<3> = pass.parameters.get(&lora_b(&site));
        let input = pass.method_dropout(&lora_a(&site), input.clone(), self.dropout);
        let update = crate::ops::linear_per_run(crate::ops::linear_per_run(input, a), b);
        output + update * (self.alpha / self.rank as f64)
    }
}

fn lora_a(site: &Site) -> String {
    format!("{}.lora_A", site.path())
}

fn lora_b(site: &Site) -> String {
    format!("{}.lora_B", site.path())
}

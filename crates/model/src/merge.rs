//! What a trained method makes of a backbone, as a backbone's own weights.

use burn::tensor::{DType, Tensor};

use crate::context::Context;
use crate::parameters::Parameters;
use crate::peft::Folded;
use crate::weights::Weights;
use crate::{Adaptation, Backbone, Method};

impl dyn Backbone + '_ {
    /// The weights of a backbone that computes by itself what this one does with a method's single run, for
    /// [`Configuration::build`](crate::Configuration::build): of the same layout and type, computed in f32.
    ///
    /// # Errors
    /// When the method cannot be merged ([`Method::merges`]), or changes a head that is the embedding table.
    ///
    /// # Panics
    /// When the parameters are of several runs.
    pub fn merged(&self, adaptation: &Adaptation) -> Result<Weights, String> {
        adaptation.method.merges()?;
        let parameters = single_run(adaptation);
        let context = self.context(&parameters);
        let mut weights = self.weights().clone();
        let mut put = |name: &str, tensor: Tensor<2>| weights.replace(name, tensor.cast(self.dtype()));
        for name in self.layout().tensors.iter().map(|stored| &stored.name) {
            if parameters.contains(name) {
                put(name, context.weight(name).of_single_run());
            }
        }
        for linear in &self.layout().linears {
            let weight = context.weight(&linear.weight).of_single_run().cast(DType::F32);
            let merged = adaptation.method.merged(&context, linear, weight.clone());
            match linear.weight == self.layout().embedding {
                false => put(&linear.weight, merged),
                true if same(&merged, &weight) => (),
                true => {
                    return Err(format!("it changes `{}`, which is the embedding table too", linear.path));
                }
            }
        }
        Ok(weights)
    }

    /// The model that this one is with a method's single run, its changes of embeddings folded into a table of the
    /// encoder's own: a method and its parameters, to evaluate. `None` where the method has nothing to fold
    /// ([`Method::folded_embeddings`]).
    ///
    /// # Panics
    /// When the parameters are of several runs.
    pub fn folded(&self, adaptation: &Adaptation) -> Option<(Box<dyn Method>, Parameters)> {
        let parameters = single_run(adaptation);
        let context = self.context(&parameters);
        let table = context.weight(&self.layout().embedding).of_single_run().cast(DType::F32);
        let table = adaptation.method.folded_embeddings(&context, table)?;
        let (method, parameters) = Folded::new(self.layout(), adaptation.parameters, table);
        Some((Box::new(method), parameters))
    }

    /// How far a method's single run moves the embedding of each token of the vocabulary, as Euclidean norms; `None` where
    /// it does not move each token's embedding by itself ([`Method::folded_embeddings`]).
    ///
    /// # Panics
    /// When the parameters are of several runs.
    pub fn token_offsets(&self, adaptation: &Adaptation) -> Option<Vec<f32>> {
        let parameters = single_run(adaptation);
        let context = self.context(&parameters);
        let table = context.weight(&self.layout().embedding).of_single_run().cast(DType::F32);
        let folded = adaptation.method.folded_embeddings(&context, table.clone())?;
        let norms = (folded - table).powi_scalar(2).sum_dim(1).sqrt();
        Some(norms.try_into_vec_as().expect("converted to f32"))
    }

    /// The soft prompt that a method's single run comes down to ([`Method::as_prompt`]), row after row.
    ///
    /// # Panics
    /// When the parameters are of several runs.
    pub fn as_prompt(&self, adaptation: &Adaptation) -> Option<Vec<f32>> {
        let parameters = single_run(adaptation);
        let prompt = adaptation.method.as_prompt(&self.context(&parameters))?;
        Some(prompt.try_into_vec_as().expect("converted to f32"))
    }

    fn context<'a>(&'a self, parameters: &'a Parameters) -> Context<'a> {
        Context {
            layout: self.layout(),
            weights: self.weights(),
            parameters,
            dropout: None,
            tasks: None,
            memory: None,
        }
    }
}

/// The parameters of an adaptation's only run, in f32.
fn single_run(adaptation: &Adaptation) -> Parameters {
    let runs = adaptation.parameters.runs();
    assert_eq!(runs, 1, "a backbone has the weights of a single run");
    adaptation.parameters.for_dtype(DType::F32)
}

fn same(a: &Tensor<2>, b: &Tensor<2>) -> bool {
    a.clone().equal(b.clone()).all().into_scalar::<bool>()
}

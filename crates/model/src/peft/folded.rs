use burn::tensor::Tensor;

use super::prompt::{self, prepend};
use crate::context::Weight;
use crate::layout::{Layout, Stack};
use crate::{Context, Group, Init, Input, Method, Parameter, Parameters};

const TABLE: &str = "encoder_embeddings";

/// A trained method whose offsets to embeddings have become an embedding table of the encoder's own: a look-up in place
/// of a network, and a soft prompt where it has one. Nothing trains.
#[derive(Debug)]
pub(crate) struct Folded {
    prompt: Option<Parameter>,
}

impl Folded {
    /// What is left of a method of which a run has this table, `[vocab_size, d_model]`, and its parameters.
    pub(crate) fn new(layout: &Layout, parameters: &Parameters, table: Tensor<2>) -> (Self, Parameters) {
        let prompt = parameters.declared().iter().position(|parameter| parameter.name == prompt::NAME);
        let folded = Self { prompt: prompt.map(|i| parameters.declared()[i].clone().frozen()) };
        let values = prompt.map(|i| parameters.values()[i].clone()).into_iter();
        let values = values.chain([table.reshape([1, -1])]).collect();
        let parameters = parameters.with(folded.declared(layout), values);
        (folded, parameters)
    }

    fn declared(&self, layout: &Layout) -> Vec<Parameter> {
        let table = Parameter::new(TABLE, &[layout.vocab_size, layout.d_model], Init::Zeros).frozen();
        self.prompt.iter().cloned().chain([table]).collect()
    }
}

impl Method for Folded {
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String> {
        Ok(self.declared(layout))
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        Vec::new()
    }

    fn prompt_length(&self) -> usize {
        self.prompt.as_ref().map_or(0, |prompt| prompt.shape[0])
    }

    fn embeddings(&self, context: &Context, stack: Stack, table: Weight) -> Weight {
        match stack {
            Stack::Encoder => Weight::PerRun(context.parameters.get(TABLE)),
            Stack::Decoder => table,
        }
    }

    fn input(&self, context: &Context, stack: Stack, input: Input) -> Input {
        match stack {
            Stack::Encoder => prepend(context, input),
            Stack::Decoder => input,
        }
    }

    fn merges(&self) -> Result<(), String> {
        Err("its table is the encoder's alone, and the backbone's is the decoder's too".into())
    }
}

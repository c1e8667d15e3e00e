use std::fmt::Debug;

use burn::tensor::Tensor;

use crate::context::{Context, Weight};
use crate::layout::{Branch, Layout, Linear, Norm, Stack};
use crate::parameters::{Gradients, Group, Parameter, Parameters};
use crate::source::SourceSpec;

/// Embeddings on their way into a stack.
pub struct Input {
    /// `[runs, batch, length, d_model]`.
    pub embeddings: Tensor<4>,
    /// 1 for real positions, 0 for padding: `[runs, batch, length]`.
    pub mask: Tensor<3>,
}

/// Keys and values of one attention.
#[derive(Clone)]
pub struct KeysValues {
    /// `[runs, batch, length, inner_dim]`.
    pub keys: Tensor<4>,
    /// `[runs, batch, length, inner_dim]`.
    pub values: Tensor<4>,
}

impl KeysValues {
    /// Appends later positions.
    pub fn append(self, later: Self) -> Self {
        Self {
            keys: Tensor::cat(vec![self.keys, later.keys], 2),
            values: Tensor::cat(vec![self.values, later.values], 2),
        }
    }

    /// Number of positions.
    pub fn length(&self) -> usize {
        self.keys.dims()[2]
    }
}

/// What a network beside a stack reads.
pub struct Ladder<'a> {
    /// What entered the first block, and what each block gave: `[runs, batch, length, d_model]`. In step-by-step
    /// decoding, the length is that of the new positions.
    pub trace: &'a [Tensor<4>],
    /// Added to the scores of the source's keys, which hides padding: `[runs, batch, source length]`.
    pub mask: &'a Tensor<3>,
    /// The position bias of the stack's self-attention, `[1 or runs, heads, queries, keys]`; it hides later positions
    /// from the decoder's.
    pub bias: &'a Tensor<4>,
    /// What the network beside the encoder gave, beside the decoder.
    pub encoded: Option<&'a Tensor<4>>,
}

/// A way to adapt a frozen backbone. Every hook defaults to "unchanged".
///
/// A parameter that has the name of a backbone tensor replaces it.
pub trait Method: Debug + Send + Sync {
    /// The tensors that the method trains or keeps, without the runs axis.
    ///
    /// # Errors
    /// When a setting asks for what the backbone does not have.
    fn parameters(&self, layout: &Layout) -> Result<Vec<Parameter>, String>;

    /// The learning rate of each parameter group.
    fn learning_rates(&self) -> Vec<(Group, f64)>;

    /// Trainings on other tasks that must be done before, from which parameters start that say
    /// [`Init::Sources`](crate::Init::Sources).
    fn sources(&self) -> Vec<SourceSpec> {
        Vec::new()
    }

    /// How many tasks of a mixture the method tells apart, by [`Context::tasks`]; `None` where all rows are alike to it.
    fn tasks(&self) -> Option<usize> {
        None
    }

    /// What a training learns from beside the targets.
    fn teacher(&self) -> Option<Teacher> {
        None
    }

    /// Longest source that the method can take, in tokens; `None` where any length will do.
    fn max_source_length(&self) -> Option<usize> {
        None
    }

    /// Positions that the method puts before the source, or before the keys of an attention.
    fn prompt_length(&self) -> usize {
        0
    }

    /// The setting that holds [`Method::prompt_length`], for messages.
    fn prompt_setting(&self) -> &'static str {
        "prompt.length"
    }

    /// Whether the adapted model computes what the backbone alone does before anything has been trained.
    fn starts_at_backbone(&self) -> bool {
        false
    }

    /// Whether runs side by side share the backbone; those that do not gain nothing from company.
    fn side_by_side(&self) -> bool {
        true
    }

    /// Changes the embeddings that enter a stack.
    fn input(&self, context: &Context, stack: Stack, input: Input) -> Input {
        let _ = (context, stack);
        input
    }

    /// Changes what enters a linear map: `[runs, batch, length, in]`.
    fn projection_input(&self, context: &Context, linear: &Linear, input: Tensor<4>) -> Tensor<4> {
        let _ = (context, linear);
        input
    }

    /// Changes what a linear map makes of `input` `[runs, batch, length, in]`.
    fn projection(
        &self,
        context: &Context,
        linear: &Linear,
        input: &Tensor<4>,
        output: Tensor<4>,
    ) -> Tensor<4> {
        let _ = (context, linear, input);
        output
    }

    /// Puts positions before the keys and values of an attention. They are visible to every query, have no position
    /// bias, and do not count as decoded.
    fn keys_values(&self, context: &Context, branch: &Branch, own: KeysValues) -> KeysValues {
        let _ = (context, branch);
        own
    }

    /// How many of the positions that [`keys_values`](Self::keys_values) puts before the self-attention of a stack count
    /// as positions right before its first token: they have a position bias, as tokens there would.
    fn positioned_prefix(&self, stack: Stack) -> usize {
        let _ = stack;
        0
    }

    /// Changes what a norm gives, `[runs, batch, length, d_model]`.
    fn norm(&self, context: &Context, norm: &Norm, output: Tensor<4>) -> Tensor<4> {
        let _ = (context, norm);
        output
    }

    /// Changes a sub-layer's output `[runs, batch, length, d_model]` before it joins the residual stream.
    fn sublayer(&self, context: &Context, branch: &Branch, output: Tensor<4>) -> Tensor<4> {
        let _ = (context, branch);
        output
    }

    /// Whether [`Method::output`] or [`Method::side_network`] asks for the states between the blocks, which cost memory.
    fn traces(&self) -> bool {
        false
    }

    /// Changes what the last block of a stack gives, `[runs, batch, length, d_model]`, before the final norm. `trace`
    /// holds what entered the first block and what each block gave, or nothing unless the method
    /// [`traces`](Method::traces). In step-by-step decoding, the length is that of the new positions.
    fn output(&self, context: &Context, stack: Stack, output: Tensor<4>, trace: &[Tensor<4>]) -> Tensor<4> {
        let _ = (context, stack, trace);
        output
    }

    /// Puts another embedding table in the place of the one in which a stack looks its ids up.
    fn embeddings(&self, context: &Context, stack: Stack, table: Weight) -> Weight {
        let _ = (context, stack);
        table
    }

    /// A network beside a stack that [`traces`](Method::traces), where the stack ends. What it gives beside the encoder,
    /// `[runs, batch, length, any width]`, is kept for its call beside the decoder; what it gives there,
    /// `[runs, batch, length, d_model]`, takes the place of the decoder's normed states before the head.
    fn side_network(&self, context: &Context, stack: Stack, ladder: &Ladder) -> Option<Tensor<4>> {
        let _ = (context, stack, ladder);
        None
    }

    /// What the method makes of what the encoder gives, `[runs, batch, length, d_model]`, for its networks
    /// [beside](Method::beside) the decoder's sub-layers: `[runs, batch, any length, any width]`. `mask` hides padding:
    /// 0 for real positions, `[runs, batch, length]`.
    fn read_source(&self, context: &Context, states: &Tensor<4>, mask: &Tensor<3>) -> Option<Tensor<4>> {
        let _ = (context, states, mask);
        None
    }

    /// A network beside a sub-layer: what it makes of the sub-layer's normed input `[runs, batch, length, d_model]`, which
    /// joins the residual stream as the sub-layer's output does, without its dropout. In the decoder, `source` is what
    /// [`Method::read_source`] gave.
    fn beside(
        &self,
        context: &Context,
        branch: &Branch,
        input: &Tensor<4>,
        source: Option<&Tensor<4>>,
    ) -> Option<Tensor<4>> {
        let _ = (context, branch, input, source);
        None
    }

    /// Added to each run's training loss, `[runs]`; reported losses leave it out.
    fn penalty(&self, context: &Context) -> Option<Tensor<1>> {
        let _ = context;
        None
    }

    /// Changes the parameters after an update, given the gradients that it took. What is to be remembered until the next
    /// one goes into parameters that do not train.
    fn after_update(&self, parameters: Parameters, gradients: &Gradients, count: StepCount) -> Parameters {
        let _ = (gradients, count);
        parameters
    }

    /// Whether what the method learns can become weights of the backbone: [`Method::merged`] says what each linear map
    /// becomes, and a parameter that has the name of a backbone tensor takes its place.
    ///
    /// # Errors
    /// Says why not.
    fn merges(&self) -> Result<(), String> {
        Err("it does not say what the backbone's weights become".into())
    }

    /// What the weight `[out, in]` of a linear map becomes, so that it alone does what the method makes of the map; the
    /// context holds a single run, and all tensors are in f32.
    fn merged(&self, context: &Context, linear: &Linear, weight: Tensor<2>) -> Tensor<2> {
        let _ = (context, linear);
        weight
    }

    /// The soft prompt `[runs, length, d_model]` before the encoder's input that a method comes down to once it is
    /// trained, where it makes it of other tensors.
    fn as_prompt(&self, context: &Context) -> Option<Tensor<3>> {
        let _ = context;
        None
    }

    /// What the embedding table `[vocab_size, d_model]` becomes for the encoder, where a method changes each token's
    /// embedding by itself; the context holds a single run, and all tensors are in f32. A soft prompt is all that may
    /// be left of the method then.
    fn folded_embeddings(&self, context: &Context, table: Tensor<2>) -> Option<Tensor<2>> {
        let _ = (context, table);
        None
    }
}

/// The same backbone under another method, which reads the parameters of the one that trains and changes none.
#[derive(Debug, Clone, Copy)]
pub struct Teacher {
    /// The other method.
    pub method: &'static dyn Method,
    /// What its part of the loss counts for, beside 1 for the targets.
    pub weight: f64,
    /// What logits are divided by before they are compared.
    pub temperature: f64,
}

/// How far a training has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepCount {
    /// Updates so far.
    pub step: u64,
    /// Updates in all.
    pub steps: u64,
}

use peft_model::random::{keyed_rng, mix};
use peft_pocket::{Corpus, Mixture};
use rand::Rng;

use super::error::PretrainError;
use super::recipe::Recipe;
use super::span_corruption::{Corruption, corrupt};
use super::tokenizer::sentinel;
use crate::tokenizer::Tokenizer;

/// One pretraining example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    pub source: Vec<u32>,
    pub target: Vec<u32>,
    /// From an instruction rather than from span corruption.
    pub supervised: bool,
}

/// The infinite stream of pretraining batches; the examples of a batch follow from the recipe and the batch's number.
pub struct Examples<'a> {
    recipe: &'a Recipe,
    tokenizer: &'a Tokenizer,
    sentinels: Vec<u32>,
}

impl<'a> Examples<'a> {
    /// The stream of a recipe.
    ///
    /// # Errors
    /// When the tokenizer lacks a sentinel that the recipe requires.
    pub fn new(recipe: &'a Recipe, tokenizer: &'a Tokenizer) -> Result<Self, PretrainError> {
        let names = (0..recipe.tokenizer.sentinels).map(sentinel);
        let missing = |name: &String| PretrainError::Sentinel {
            start: recipe.start.clone().unwrap_or_default(),
            missing: name.clone(),
            asked: recipe.tokenizer.sentinels,
        };
        let sentinels = names.map(|name| tokenizer.id(&name).ok_or_else(|| missing(&name)));
        Ok(Self { recipe, tokenizer, sentinels: sentinels.collect::<Result<_, _>>()? })
    }

    /// The examples of a step, counted from 0, sorted by source length: split into micro-batches, they need little
    /// padding, though every step sees every kind of example.
    pub fn batch(&self, step: u64) -> Vec<Example> {
        let (phase, _) = self.recipe.phase(step);
        let seed = mix(mix(self.recipe.seed) ^ step);
        let (mut corpus, mut rng) = (Corpus::new(seed), keyed_rng(seed, "corruption"));
        let mut examples: Vec<Example> = (0..self.recipe.training.batch_size)
            .map(|_| match rng.random_bool(phase.supervised) {
                true => self.supervised(&mut corpus, &phase.mixture),
                false => self.corrupted(&mut corpus, &mut rng),
            })
            .collect();
        examples.sort_by_key(|example| example.source.len());
        examples
    }

    /// The examples for the held-out loss, `data.held_out` of each kind, in the last phase's mixture; training never
    /// draws their text.
    pub fn held_out(&self) -> Vec<Example> {
        let seed = held_out_seed(self.recipe);
        let (mut corpus, mut rng) = (Corpus::new(seed), keyed_rng(seed, "corruption"));
        let count = self.recipe.data.held_out;
        let (phase, _) = self.recipe.phase(u64::MAX);
        let mut examples: Vec<Example> =
            (0..count).map(|_| self.supervised(&mut corpus, &phase.mixture)).collect();
        examples.extend((0..count).map(|_| self.corrupted(&mut corpus, &mut rng)));
        examples
    }

    fn supervised(&self, corpus: &mut Corpus, mixture: &Mixture) -> Example {
        let (source, target) = corpus.supervised(mixture);
        let limit = self.recipe.data.source_tokens;
        let [source, target] = [source, target].map(|text| self.tokenizer.encode(&text, limit).ids);
        Example { source, target, supervised: true }
    }

    fn corrupted(&self, corpus: &mut Corpus, rng: &mut impl Rng) -> Example {
        let data = &self.recipe.data;
        let mut ids = self.tokenizer.encode(&corpus.plain(), data.source_tokens).ids;
        let eos = ids.pop().expect("every text ends with the EOS token");
        let corruption = Corruption { density: data.noise_density, mean_span: data.mean_span };
        let (source, target) = corrupt(&ids, corruption, &self.sentinels, eos, rng);
        Example { source, target, supervised: false }
    }
}

/// Source and target text of supervised examples that training never draws, beginning with those of
/// [`Examples::held_out`].
pub fn held_out_text(recipe: &Recipe) -> impl Iterator<Item = (String, String)> {
    let mut corpus = Corpus::new(held_out_seed(recipe));
    let mixture = recipe.phase(u64::MAX).0.mixture;
    std::iter::repeat_with(move || corpus.supervised(&mixture))
}

fn held_out_seed(recipe: &Recipe) -> u64 {
    mix(recipe.seed ^ mix(u64::MAX))
}

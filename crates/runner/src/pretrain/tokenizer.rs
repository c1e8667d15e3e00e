//! Trains a unigram tokenizer (Kudo 2018) in T5's manner: pieces with a leading `▁`, an end token on
//! every text, sentinels at the end of the vocabulary.

use tokenizers::models::TrainerWrapper;
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::punctuation::Punctuation;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use super::recipe::TokenizerRecipe;

const PAD: &str = "<pad>";
const EOS: &str = "</s>";
const UNK: &str = "<unk>";

/// The id of the end token, as in T5's own vocabulary.
pub const EOS_ID: u32 = 1;

/// Trains on texts.
///
/// # Errors
/// When the texts hold too few distinct pieces for the vocabulary.
pub fn train(
    recipe: &TokenizerRecipe,
    texts: impl Iterator<Item = String> + Send,
) -> tokenizers::Result<Tokenizer> {
    let mut tokenizer = Tokenizer::new(Unigram::default());
    let metaspace = Metaspace::new('▁', PrependScheme::Always, true);
    let punctuation = Punctuation::new(SplitDelimiterBehavior::Isolated);
    let parts = vec![metaspace.clone().into(), punctuation.into(), Digits::new(true).into()];
    tokenizer.with_pre_tokenizer(Some(Sequence::new(parts)));
    tokenizer.with_decoder(Some(metaspace));
    let special = [PAD, EOS, UNK].map(|token| AddedToken::from(token, true));
    let trainer = UnigramTrainer::builder()
        .show_progress(false)
        .vocab_size((recipe.vocabulary - recipe.sentinels) as u32)
        .special_tokens(special.to_vec())
        .unk_token(Some(UNK.into()))
        .build()
        .map_err(|e| e.to_string())?;
    tokenizer.train(&mut TrainerWrapper::from(trainer), texts)?;
    // The first sentinel has the largest id, as in T5.
    let sentinels = (0..recipe.sentinels).rev().map(sentinel);
    tokenizer.add_special_tokens(sentinels.map(|token| AddedToken::from(token, true)))?;
    let template = TemplateProcessing::builder()
        .try_single(format!("$A {EOS}"))?
        .special_tokens(vec![(EOS, EOS_ID)])
        .build()
        .map_err(|e| e.to_string())?;
    tokenizer.with_post_processor(Some(template));
    Ok(tokenizer)
}

/// The text of a sentinel.
pub fn sentinel(index: usize) -> String {
    format!("<extra_id_{index}>")
}

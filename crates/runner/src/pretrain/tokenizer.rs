//! A unigram tokenizer (Kudo 2018) for a small vocabulary, in T5's format: pieces with a leading `▁`, the
//! EOS token after every text, sentinels at the end of the vocabulary.

use std::collections::{BTreeMap, BTreeSet};

use tokenizers::models::unigram::Unigram;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::punctuation::Punctuation;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{
    AddedToken, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, SplitDelimiterBehavior,
    Tokenizer,
};

use super::recipe::TokenizerRecipe;

const PAD: &str = "<pad>";
const EOS: &str = "</s>";
const UNK: &str = "<unk>";

/// The id of the EOS token, as in T5's own vocabulary.
pub(super) const EOS_ID: u32 = 1;

/// Trains a tokenizer: the most frequent words are pieces, and so is every character, for other words.
///
/// The library's unigram trainer looks for pieces that many different words share, and would split the few hundred
/// words of a small world into letters.
///
/// # Errors
/// When the vocabulary is too small for the characters.
pub(super) fn train(
    recipe: &TokenizerRecipe,
    texts: impl Iterator<Item = String>,
) -> tokenizers::Result<Tokenizer> {
    let metaspace = Metaspace::new('▁', PrependScheme::Always, true);
    let punctuation = Punctuation::new(SplitDelimiterBehavior::Isolated);
    let pre_tokenizer = Sequence::new(vec![metaspace.clone().into(), punctuation.into()]);
    let counts = count_words(&pre_tokenizer, texts)?;
    let mut tokenizer = Tokenizer::new(Unigram::from(pieces(recipe, &counts)?, Some(2), false)?);
    tokenizer.with_pre_tokenizer(Some(pre_tokenizer));
    tokenizer.with_decoder(Some(metaspace));
    tokenizer.add_special_tokens([PAD, EOS, UNK].map(|token| AddedToken::from(token, true)))?;
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

fn count_words(
    pre_tokenizer: &Sequence,
    texts: impl Iterator<Item = String>,
) -> tokenizers::Result<BTreeMap<String, u64>> {
    let mut counts = BTreeMap::new();
    for text in texts {
        let mut split = PreTokenizedString::from(text);
        pre_tokenizer.pre_tokenize(&mut split)?;
        for (word, ..) in split.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            *counts.entry(word.to_string()).or_default() += 1;
        }
    }
    Ok(counts)
}

/// Pieces with their log-probabilities: special tokens, then the most frequent words, then characters.
fn pieces(
    recipe: &TokenizerRecipe,
    counts: &BTreeMap<String, u64>,
) -> tokenizers::Result<Vec<(String, f64)>> {
    let characters: BTreeSet<String> =
        counts.keys().flat_map(|word| word.chars()).map(String::from).collect();
    let total = counts.values().sum::<u64>() as f64;
    let mut words: Vec<(&String, u64)> = counts
        .iter()
        .filter(|(word, _)| word.chars().count() > 1)
        .map(|(word, &count)| (word, count))
        .collect();
    words.sort_by_key(|&(word, count)| (std::cmp::Reverse(count), word));
    let special = [PAD, EOS, UNK];
    let room = recipe.vocabulary.checked_sub(recipe.sentinels + special.len() + characters.len());
    let room = room.ok_or_else(|| {
        format!(
            "`tokenizer.vocabulary` is {}, too small: each of the {} distinct characters is a piece",
            recipe.vocabulary,
            characters.len()
        )
    })?;
    let mut pieces: Vec<(String, f64)> = special.map(|token| (token.to_string(), 0.0)).to_vec();
    let words = words.into_iter().take(room);
    pieces.extend(words.map(|(word, count)| (word.clone(), (count as f64 / total).ln())));
    // Rarer than any word, so that a known word is never split into characters.
    pieces.extend(characters.into_iter().map(|character| (character, (0.5 / total).ln())));
    Ok(pieces)
}

/// The text of a sentinel.
pub(super) fn sentinel(index: usize) -> String {
    format!("<extra_id_{index}>")
}

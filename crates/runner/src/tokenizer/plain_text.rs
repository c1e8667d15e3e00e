//! Texts that may be split at spaces because their ids are the concatenated ids of their words.
//!
//! For a text of plain characters, with single spaces between its words, this follows from the tokenizer's
//! structure:
//! - no added token can match, since each has a character that is not plain;
//! - every step of the normalizer maps each character separately, a space to a space and any other to plain characters;
//! - the pre-tokenizer first splits at every space, and from then on sees one piece at a time, as models do;
//! - the post-processor only appends the EOS token.
//!
//! If one of these cannot be shown, no text is split.

use std::collections::HashSet;

use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::PrependScheme;
use tokenizers::{AddedToken, NormalizedString, Normalizer, Tokenizer};

/// The only regular expression of a normalizer that is known not to change single spaces.
const SEVERAL_SPACES: &str = " {2,}";

/// The plain characters of a tokenizer.
#[derive(Debug)]
pub(super) struct PlainText {
    /// Whether a code point is a plain character.
    table: Box<[bool]>,
}

impl PlainText {
    /// The plain characters of a tokenizer, if there are any.
    pub(super) fn of(tokenizer: &Tokenizer, eos: u32) -> Option<Self> {
        if !only_appends_eos(tokenizer, eos) {
            return None;
        }
        let normalizers: Vec<_> = tokenizer.get_normalizer().map(normalizers).unwrap_or_default();
        if !normalizers.iter().all(|step| works_by_character(step)) {
            return None;
        }
        let mut special = replacements(tokenizer.get_pre_tokenizer()?)?;
        for token in tokenizer.get_added_tokens_decoder().values() {
            special.extend(marks(&pattern(tokenizer, token))?);
        }
        let is_plain = |c| {
            !special.contains(&c)
                && image(&normalizers, c).is_some_and(|image| image.chars().all(|c| !special.contains(&c)))
        };
        let table: Box<[bool]> = ('\0'..='\u{2027}').map(|c| is_candidate(c) && is_plain(c)).collect();
        table[' ' as usize].then_some(Self { table })
    }

    /// The words of a text that may be split, else `None`.
    pub(super) fn words<'a>(&self, text: &'a str) -> Option<impl Iterator<Item = &'a str> + use<'a>> {
        let apart =
            !text.is_empty() && !text.starts_with(' ') && !text.ends_with(' ') && !text.contains("  ");
        let is_plain = |c| self.table.get(c as usize) == Some(&true);
        (apart && text.chars().all(is_plain)).then(|| text.split(' '))
    }
}

/// Characters that never combine with a neighbor, in normalization or in a grapheme cluster; the only whitespace is the
/// space.
fn is_candidate(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{c0}'..='\u{24f}' | '\u{2010}'..='\u{2027}')
}

/// Whether a text's ids are those of its pieces followed by the EOS token.
fn only_appends_eos(tokenizer: &Tokenizer, eos: u32) -> bool {
    let ids = |add_eos| tokenizer.encode_fast("a", add_eos).map(|encoding| encoding.get_ids().to_vec());
    match (ids(false), ids(true)) {
        (Ok(mut pieces), Ok(whole)) if !pieces.is_empty() => {
            pieces.push(eos);
            pieces == whole
        }
        _ => false,
    }
}

/// The steps of a normalizer, in order.
fn normalizers(normalizer: &NormalizerWrapper) -> Vec<&NormalizerWrapper> {
    match normalizer {
        NormalizerWrapper::Sequence(sequence) => sequence.as_ref().iter().flat_map(normalizers).collect(),
        single => vec![single],
    }
}

/// Whether a step of a normalizer maps each candidate separately, and does not change single spaces between words.
fn works_by_character(step: &NormalizerWrapper) -> bool {
    use NormalizerWrapper::*;
    match step {
        // `Strip` finds nothing to strip in texts without spaces at their ends.
        Precompiled(_) | NFC(_) | NFKC(_) | StripNormalizer(_) => true,
        Replace(replace) => serde_json::to_value(replace)
            .is_ok_and(|replace| replace["pattern"]["Regex"].as_str() == Some(SEVERAL_SPACES)),
        _ => false,
    }
}

/// The text to which the steps of a normalizer map a character inside a word; `None` if one of them changes a space, or
/// maps another character to nothing, a space, or something that may combine with its neighbors.
fn image(steps: &[&NormalizerWrapper], c: char) -> Option<String> {
    let mut image = c.to_string();
    for step in steps {
        let mut text = NormalizedString::from(format!("a{image}a"));
        step.normalize(&mut text).ok()?;
        image = text.get().strip_prefix('a')?.strip_suffix('a')?.into();
        let stays_apart = match c {
            ' ' => image == " ",
            _ => !image.is_empty() && image.chars().all(|c| is_candidate(c) && c != ' '),
        };
        if !stays_apart {
            return None;
        }
    }
    Some(image)
}

/// The characters that replace spaces in pre-tokenization; `None` if it does not begin by splitting at spaces, or if the
/// result depends on a piece's position in the text.
fn replacements(pre_tokenizer: &PreTokenizerWrapper) -> Option<HashSet<char>> {
    use PreTokenizerWrapper::*;
    let steps = pre_tokenizers(pre_tokenizer);
    let splits_at_spaces = match steps.first()? {
        WhitespaceSplit(_) => true,
        Metaspace(step) => step.get_split() && step.get_prepend_scheme() == PrependScheme::Always,
        _ => false,
    };
    let mut replacements = HashSet::new();
    for step in steps {
        match step {
            WhitespaceSplit(_) | Whitespace(_) | Punctuation(_) | Digits(_) => {}
            Metaspace(step) if step.get_prepend_scheme() != PrependScheme::First => {
                replacements.insert(step.get_replacement());
            }
            _ => return None,
        }
    }
    splits_at_spaces.then_some(replacements)
}

/// The steps of a pre-tokenizer, in order.
fn pre_tokenizers(pre_tokenizer: &PreTokenizerWrapper) -> Vec<&PreTokenizerWrapper> {
    match pre_tokenizer {
        PreTokenizerWrapper::Sequence(sequence) => {
            sequence.as_ref().iter().flat_map(pre_tokenizers).collect()
        }
        single => vec![single],
    }
}

/// The text that an added token matches, in the text or in the normalized text.
fn pattern(tokenizer: &Tokenizer, token: &AddedToken) -> String {
    let mut pattern = NormalizedString::from(token.content.as_str());
    if let Some(normalizer) = tokenizer.get_normalizer().filter(|_| token.normalized) {
        // If it fails, the library also continues with the text as it is.
        let _ = normalizer.normalize(&mut pattern);
    }
    pattern.get().to_string()
}

/// The character to exclude from the plain ones so that no text can match a pattern: none if the pattern has a character
/// that is never plain, else a rare one. `None` for a pattern of letters, digits and spaces, which has neither.
fn marks(pattern: &str) -> Option<Option<char>> {
    if pattern.chars().any(|c| !is_candidate(c)) {
        return Some(None);
    }
    pattern.chars().find(|c| !c.is_alphanumeric() && *c != ' ').map(Some)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::super::charsmap;
    use super::*;
    use crate::files::embedded;

    /// The pocket model's tokenizer, changed.
    fn tokenizer(change: impl FnOnce(&mut Value)) -> Tokenizer {
        let bytes = embedded::bytes("models/pocket/tokenizer.json").unwrap();
        let mut json: Value = serde_json::from_slice(bytes).unwrap();
        change(&mut json);
        super::super::Tokenizer::from_bytes(json.to_string().as_bytes(), Path::new("t"), 1, usize::MAX)
            .unwrap()
            .inner
    }

    fn with_token(content: &str, normalized: bool) -> Tokenizer {
        tokenizer(|json| {
            let known =
                json["model"]["vocab"].as_array().unwrap().iter().position(|entry| entry[0] == content);
            let tokens = json["added_tokens"].as_array_mut().unwrap();
            let next = tokens.last().unwrap()["id"].as_u64().unwrap() as usize + 1;
            let token = json!({"id": known.unwrap_or(next), "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                               "normalized": normalized, "special": false});
            tokens.push(token);
        })
    }

    /// T5's steps, as older and newer releases of transformers write them.
    fn like_t5(newer: bool) -> Tokenizer {
        let charsmap =
            charsmap::made_of(&[("\n", " "), ("ﬁ", "fi"), ("…", "..."), ("‗", " \u{333}"), ("À", "A")]);
        let charsmap = json!({"type": "Precompiled", "precompiled_charsmap": charsmap});
        tokenizer(|json| {
            json["normalizer"] = match newer {
                true => json!({"type": "Sequence", "normalizers": [
                    charsmap,
                    {"type": "Strip", "strip_left": false, "strip_right": true},
                    {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}]}),
                false => charsmap,
            };
            json["pre_tokenizer"] = match newer {
                true => {
                    json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true})
                }
                false => json!({"type": "Sequence", "pretokenizers": [
                    {"type": "WhitespaceSplit"},
                    {"type": "Metaspace", "replacement": "▁", "add_prefix_space": true}]}),
            };
        })
    }

    #[test]
    fn only_texts_whose_words_are_independent_are_split() {
        let plain = PlainText::of(&tokenizer(|_| {}), 1).unwrap();
        for text in ["a", "a b", "it's 12.5 % – “no” … café", "(x) [y] {z}"] {
            assert_eq!(plain.words(text).unwrap().collect::<Vec<_>>().join(" "), text);
        }
        for text in
            ["", " a", "a ", "a  b", "a\tb", "a\nb", "a <extra_id_0>", "e\u{301}", "ﬁ", "a\u{a0}b", "中", "▁"]
        {
            assert!(plain.words(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn texts_are_split_with_t5s_tokenizers() {
        for newer in [false, true] {
            let plain = PlainText::of(&like_t5(newer), 1).unwrap();
            for text in ["Is it a dog, or not?", "À la carte… 1 2"] {
                assert!(plain.words(text).is_some(), "{text}");
            }
            // A double low line becomes a space and a combining mark.
            assert!(plain.words("a‗b").is_none());
        }
    }

    #[test]
    fn a_character_is_not_plain_if_a_later_step_may_combine_its_image() {
        let precompiled = |from: &str, to: &str| json!({"type": "Precompiled", "precompiled_charsmap": charsmap::made_of(&[(from, to)])});
        let joining = |mark: &str| {
            tokenizer(|json| {
                let steps = [precompiled("x", mark), json!({"type": "NFC"}), precompiled(mark, "y")];
                json["normalizer"] = json!({"type": "Sequence", "normalizers": steps});
            })
        };
        // An equals sign and this mark combine into one character.
        let plain = PlainText::of(&joining("\u{338}"), 1).unwrap();
        assert!(plain.words("= x").is_none() && plain.words("= y").is_some());
        let plain = PlainText::of(&joining("z"), 1).unwrap();
        assert!(plain.words("= x").is_some());
    }

    #[test]
    fn a_text_that_an_added_token_may_match_is_not_split() {
        let is_split = |tokenizer: &Tokenizer, text: &str| {
            PlainText::of(tokenizer, 1).is_some_and(|plain| plain.words(text).is_some())
        };
        for normalized in [false, true] {
            for (content, text) in [("{", "a {x"), ("it's", "it's"), ("[new york]", "a [new"), ("...", "a.")]
            {
                let tokenizer = with_token(content, normalized);
                assert!(!is_split(&tokenizer, text) && is_split(&tokenizer, "the dog"), "{content:?}");
            }
            for content in ["\n", "中", "a\u{a0}b"] {
                assert!(is_split(&with_token(content, normalized), "the dog"), "{content:?}");
            }
            for content in ["New York", "dog", " ", "7"] {
                assert!(!is_split(&with_token(content, normalized), "the cat"), "{content:?}");
            }
        }
    }

    #[test]
    fn nothing_is_split_if_a_step_may_look_beyond_a_word() {
        let normalizers = [
            json!({"type": "Lowercase"}),
            json!({"type": "Prepend", "prepend": "▁"}),
            json!({"type": "Replace", "pattern": {"Regex": "\\s{2,}"}, "content": " "}),
            json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"}),
        ];
        for normalizer in normalizers {
            assert!(
                PlainText::of(&tokenizer(|json| json["normalizer"] = normalizer.clone()), 1).is_none(),
                "{normalizer}"
            );
        }
        let metaspace = |scheme, split| json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split});
        let steps = [
            json!(null),
            json!({"type": "Digits", "individual_digits": true}),
            json!({"type": "Whitespace"}),
            metaspace("first", true),
            metaspace("never", true),
            metaspace("always", false),
            json!({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace("first", true)]}),
        ];
        for step in steps {
            assert!(
                PlainText::of(&tokenizer(|json| json["pre_tokenizer"] = step.clone()), 1).is_none(),
                "{step}"
            );
        }
    }
}

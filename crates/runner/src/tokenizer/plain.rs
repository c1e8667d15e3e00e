//! Texts that may be cut at spaces, because the ids of such a text are those of its words, one after another.
//!
//! For a text of plain characters, with single spaces between its words, that follows from the tokenizer's
//! structure:
//! - no added token can match, for each has a character that is not plain;
//! - the normalizer turns every character by itself, a space into a space and any other into plain ones;
//! - the pre-tokenizer first cuts at every space, and from there on sees one piece at a time, as models do;
//! - the post-processor adds the end token and nothing else.
//!
//! Where one of these cannot be shown, nothing is cut.

use std::collections::HashSet;

use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::PrependScheme;
use tokenizers::{AddedToken, NormalizedString, Normalizer, Tokenizer};

/// The only regular expression of a normalizer that is known to leave single spaces alone.
const SEVERAL_SPACES: &str = " {2,}";

/// The characters that texts may consist of.
#[derive(Debug)]
pub struct Plain {
    /// Whether each character is one, by its code point.
    table: Box<[bool]>,
}

impl Plain {
    /// The plain characters of a tokenizer, if there are any.
    pub fn of(tokenizer: &Tokenizer, eos: u32) -> Option<Self> {
        if !only_adds_end(tokenizer, eos) || !tokenizer.get_normalizer().is_none_or(works_by_character) {
            return None;
        }
        let mut special = replacements(tokenizer.get_pre_tokenizer()?)?;
        for token in tokenizer.get_added_tokens_decoder().values() {
            special.extend(marks(&pattern(tokenizer, token))?);
        }
        let is_plain = |c| {
            let inside = |c| is_candidate(c) && c != ' ' && !special.contains(&c);
            let image = image(tokenizer, c).unwrap_or_default();
            match c {
                ' ' => image == " " && !special.contains(&c),
                _ => inside(c) && !image.is_empty() && image.chars().all(inside),
            }
        };
        let table: Box<[bool]> = ('\0'..='\u{2027}').map(|c| is_candidate(c) && is_plain(c)).collect();
        table[' ' as usize].then_some(Self { table })
    }

    /// The words of a text that may be cut.
    pub fn words<'a>(&self, text: &'a str) -> Option<impl Iterator<Item = &'a str> + use<'a>> {
        let apart =
            !text.is_empty() && !text.starts_with(' ') && !text.ends_with(' ') && !text.contains("  ");
        let is_plain = |c| self.table.get(c as usize) == Some(&true);
        (apart && text.chars().all(is_plain)).then(|| text.split(' '))
    }
}

/// Characters that never join with a neighbor, in normalization or in a grapheme cluster; no white space but
/// the space.
fn is_candidate(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{c0}'..='\u{24f}' | '\u{2010}'..='\u{2027}')
}

/// Whether a text's ids are those of its pieces and the end token.
fn only_adds_end(tokenizer: &Tokenizer, eos: u32) -> bool {
    let ids = |end| tokenizer.encode_fast("a", end).map(|encoding| encoding.get_ids().to_vec());
    match (ids(false), ids(true)) {
        (Ok(mut pieces), Ok(whole)) if !pieces.is_empty() => {
            pieces.push(eos);
            pieces == whole
        }
        _ => false,
    }
}

/// Whether a normalizer turns candidates by themselves, and leaves spaces between words alone.
fn works_by_character(normalizer: &NormalizerWrapper) -> bool {
    use NormalizerWrapper::*;
    match normalizer {
        // `Strip` finds nothing to strip in texts without spaces at their ends.
        Precompiled(_) | NFC(_) | NFKC(_) | StripNormalizer(_) => true,
        Sequence(sequence) => sequence.as_ref().iter().all(works_by_character),
        Replace(replace) => serde_json::to_value(replace)
            .is_ok_and(|replace| replace["pattern"]["Regex"].as_str() == Some(SEVERAL_SPACES)),
        _ => false,
    }
}

/// What a tokenizer's normalizer makes of a character inside a word.
fn image(tokenizer: &Tokenizer, c: char) -> Option<String> {
    let normal = normalized(tokenizer, &format!("a{c}a"));
    Some(normal.strip_prefix('a')?.strip_suffix('a')?.to_string())
}

fn normalized(tokenizer: &Tokenizer, text: &str) -> String {
    let mut text = NormalizedString::from(text);
    if let Some(normalizer) = tokenizer.get_normalizer() {
        // The tokenizer goes on with what there is, too.
        let _ = normalizer.normalize(&mut text);
    }
    text.get().to_string()
}

/// What spaces are replaced by in the course of cutting; none where spaces are not cut at first, or where a
/// piece's place in the text has a part in what becomes of it.
fn replacements(pre_tokenizer: &PreTokenizerWrapper) -> Option<HashSet<char>> {
    use PreTokenizerWrapper::*;
    let steps = steps(pre_tokenizer);
    let cuts_at_spaces = match steps.first()? {
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
    cuts_at_spaces.then_some(replacements)
}

/// The steps of a pre-tokenizer, in order.
fn steps(pre_tokenizer: &PreTokenizerWrapper) -> Vec<&PreTokenizerWrapper> {
    match pre_tokenizer {
        PreTokenizerWrapper::Sequence(sequence) => sequence.as_ref().iter().flat_map(steps).collect(),
        single => vec![single],
    }
}

/// The text that an added token matches: a piece of the text, or of the normalized text.
fn pattern(tokenizer: &Tokenizer, token: &AddedToken) -> String {
    match token.normalized {
        true => normalized(tokenizer, &token.content),
        false => token.content.clone(),
    }
}

/// Characters without which a text cannot match a pattern: none where it has one that is never plain, else
/// one that is rare enough to give up on. A pattern of letters, digits and spaces has no such one.
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
    use crate::embedded;

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
            let token = json!({"id": 700, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                               "normalized": normalized, "special": false});
            json["added_tokens"].as_array_mut().unwrap().push(token);
        })
    }

    /// T5's steps, as older and newer releases of transformers write them.
    fn like_t5(newer: bool) -> Tokenizer {
        let charsmap =
            charsmap::made_of(&[("\n", " "), ("ﬁ", "fi"), ("…", "..."), ("‗", " \u{333}"), ("À", "A")]);
        let charsmap = json!({"type": "Precompiled", "precompiled_charsmap": charsmap});
        let metaspace =
            json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
        tokenizer(|json| {
            json["normalizer"] = match newer {
                true => json!({"type": "Sequence", "normalizers": [
                    charsmap,
                    {"type": "Strip", "strip_left": false, "strip_right": true},
                    {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}]}),
                false => charsmap,
            };
            json["pre_tokenizer"] = match newer {
                true => metaspace,
                false => {
                    json!({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]})
                }
            };
        })
    }

    #[test]
    fn only_texts_whose_words_stand_alone_are_cut() {
        let plain = Plain::of(&tokenizer(|_| {}), 1).unwrap();
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
    fn texts_are_cut_with_the_tokenizers_that_t5_has() {
        for newer in [false, true] {
            let plain = Plain::of(&like_t5(newer), 1).unwrap();
            for text in ["Is it a dog, or not?", "À la carte… 1 2"] {
                assert!(plain.words(text).is_some(), "{text}");
            }
            // Two underlines become a space and a mark.
            assert!(plain.words("a‗b").is_none());
        }
    }

    #[test]
    fn a_text_that_an_added_token_may_match_is_not_cut() {
        let cut = |tokenizer: &Tokenizer, text: &str| {
            Plain::of(tokenizer, 1).is_some_and(|plain| plain.words(text).is_some())
        };
        for normalized in [false, true] {
            for (content, text) in [("{", "a {x"), ("it's", "it's"), ("[new york]", "a [new"), ("...", "a.")]
            {
                let tokenizer = with_token(content, normalized);
                assert!(!cut(&tokenizer, text) && cut(&tokenizer, "the dog"), "{content:?}");
            }
            for content in ["\n", "中", "a\u{a0}b"] {
                assert!(cut(&with_token(content, normalized), "the dog"), "{content:?}");
            }
            for content in ["New York", "dog", " ", "7"] {
                assert!(!cut(&with_token(content, normalized), "the cat"), "{content:?}");
            }
        }
    }

    #[test]
    fn nothing_is_cut_where_a_step_may_look_beyond_a_word() {
        let normalizers = [
            json!({"type": "Lowercase"}),
            json!({"type": "Prepend", "prepend": "▁"}),
            json!({"type": "Replace", "pattern": {"Regex": "\\s{2,}"}, "content": " "}),
            json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"}),
        ];
        for normalizer in normalizers {
            assert!(
                Plain::of(&tokenizer(|json| json["normalizer"] = normalizer.clone()), 1).is_none(),
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
                Plain::of(&tokenizer(|json| json["pre_tokenizer"] = step.clone()), 1).is_none(),
                "{step}"
            );
        }
    }
}

//! Texts that may be cut at spaces, because the ids of such a text are those of its words, one after another.
//!
//! For a text of plain characters, with single spaces between its words, that follows from the tokenizer's
//! structure:
//! - no added token can match, for each has a character that is not plain;
//! - every step of the normalizer turns every character by itself, a space into a space and any other into plain ones;
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
        if !only_adds_end(tokenizer, eos) {
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

/// The steps of a normalizer, in order.
fn normalizers(normalizer: &NormalizerWrapper) -> Vec<&NormalizerWrapper> {
    match normalizer {
        NormalizerWrapper::Sequence(sequence) => sequence.as_ref().iter().flat_map(normalizers).collect(),
        single => vec![single],
    }
}

/// Whether a step of a normalizer turns candidates by themselves, and leaves single spaces between words alone.
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

/// What the steps of a normalizer make of a character inside a word; none where one of them changes a space, or
/// makes nothing, a space or what may join with its neighbors of another character.
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

/// What spaces are replaced by in the course of cutting; none where spaces are not cut at first, or where a
/// piece's place in the text has a part in what becomes of it.
fn replacements(pre_tokenizer: &PreTokenizerWrapper) -> Option<HashSet<char>> {
    use PreTokenizerWrapper::*;
    let steps = pre_tokenizers(pre_tokenizer);
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
fn pre_tokenizers(pre_tokenizer: &PreTokenizerWrapper) -> Vec<&PreTokenizerWrapper> {
    match pre_tokenizer {
        PreTokenizerWrapper::Sequence(sequence) => {
            sequence.as_ref().iter().flat_map(pre_tokenizers).collect()
        }
        single => vec![single],
    }
}

/// The text that an added token matches: a piece of the text, or of the normalized text.
fn pattern(tokenizer: &Tokenizer, token: &AddedToken) -> String {
    let mut pattern = NormalizedString::from(token.content.as_str());
    if let Some(normalizer) = tokenizer.get_normalizer().filter(|_| token.normalized) {
        // Where it fails, the library goes on with what there is, too.
        let _ = normalizer.normalize(&mut pattern);
    }
    pattern.get().to_string()
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
    fn a_character_is_not_plain_where_a_step_makes_what_the_next_may_join() {
        let precompiled = |from: &str, to: &str| json!({"type": "Precompiled", "precompiled_charsmap": charsmap::made_of(&[(from, to)])});
        let joining = |mark: &str| {
            tokenizer(|json| {
                let steps = [precompiled("x", mark), json!({"type": "NFC"}), precompiled(mark, "y")];
                json["normalizer"] = json!({"type": "Sequence", "normalizers": steps});
            })
        };
        // An equals sign and this mark are one character.
        let plain = Plain::of(&joining("\u{338}"), 1).unwrap();
        assert!(plain.words("= x").is_none() && plain.words("= y").is_some());
        let plain = Plain::of(&joining("z"), 1).unwrap();
        assert!(plain.words("= x").is_some());
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

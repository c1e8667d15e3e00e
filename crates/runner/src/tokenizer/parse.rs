//! Reads an untrusted `tokenizer.json`, which the tokenizers library would trust.

use serde::Deserialize;
use serde_json::Value;
use tokenizers::{Model, ModelWrapper, Tokenizer};

use super::charsmap;
use crate::host::panics;

/// Largest file in bytes; T5 tokenizers are far smaller. In memory it takes up to a hundred times as much.
const LARGEST: usize = 64 << 20;

/// Largest factor by which a normalizer or a decoder may lengthen a text.
const MOST_GROWTH: f64 = 1e6;

/// Texts that challenge tokenizers.
const TRIALS: [&str; 6] = [
    "",
    "The quick brown fox, 12.5",
    " \t\r\n\u{a0}\u{200b}",
    "é e\u{301} ﬁ ﷺ 中文 😀 \u{10fffd}",
    "<a>{b}[c]\\~^`|",
    "</s> <unk> <0x0A>",
];

/// The parts that are checked before the library reads the file.
#[derive(Deserialize)]
struct Outline {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    decoder: Value,
    #[serde(default)]
    added_tokens: Vec<AddedOutline>,
    model: ModelOutline,
}

#[derive(Deserialize)]
struct AddedOutline {
    content: String,
    id: Value,
}

#[derive(Deserialize)]
struct ModelOutline {
    #[serde(default)]
    unk_id: Value,
}

/// Reads a tokenizer that encodes any text, without truncation and padding.
///
/// # Errors
/// When the library cannot read it, would panic or run out of memory, or could not encode every text.
pub(super) fn parse(bytes: &[u8]) -> Result<Tokenizer, String> {
    if bytes.len() > LARGEST {
        return Err(format!("the file has {} MB; at most {} MB are read", bytes.len() >> 20, LARGEST >> 20));
    }
    if bytes.starts_with(b"version https://git-lfs") {
        return Err("the file is a Git LFS pointer; fetch the content with `git lfs pull`".into());
    }
    let outline: Outline = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    if !(outline.model.unk_id.is_null() || outline.model.unk_id.is_u64()) {
        return Err("`model.unk_id` is not the index of a piece".into());
    }
    check_charsmaps(&outline.normalizer)?;
    for (key, steps) in [("normalizer", &outline.normalizer), ("decoder", &outline.decoder)] {
        if growth(steps) > MOST_GROWTH {
            return Err(format!("`{key}` could make a text more than a million times longer"));
        }
    }
    let tokenizer = panics::catch(|| {
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(|e| e.to_string())?;
        // Published files often contain the truncation and padding of someone's training.
        tokenizer.with_truncation(None).map_err(|e| e.to_string())?;
        tokenizer.with_padding(None);
        check_added_tokens(&tokenizer, &outline.added_tokens)?;
        check_model(tokenizer.get_model(), &outline.model)?;
        try_out(&tokenizer)?;
        Ok(tokenizer)
    });
    tokenizer.unwrap_or_else(|panic| Err(format!("the tokenizers library panics: {panic}")))
}

fn check_charsmaps(normalizer: &Value) -> Result<(), String> {
    match normalizer {
        Value::Object(keys) => keys.iter().try_for_each(|(key, value)| match (key.as_str(), value) {
            ("precompiled_charsmap", Value::String(charsmap)) => {
                charsmap::check(charsmap).map_err(|problem| format!("`precompiled_charsmap`: {problem}"))
            }
            _ => check_charsmaps(value),
        }),
        Value::Array(values) => values.iter().try_for_each(check_charsmaps),
        _ => Ok(()),
    }
}

/// The approximate factor by which the steps of a normalizer or decoder may lengthen a text.
fn growth(steps: &Value) -> f64 {
    let of_all = |values: &[Value]| values.iter().map(growth).product();
    match steps {
        Value::Array(values) => of_all(values),
        Value::Object(keys) => {
            let content = keys.get("content").and_then(Value::as_str).map_or(0, str::len);
            let own = match keys.get("type").and_then(Value::as_str) {
                Some("Replace") => content.max(1) as f64,
                Some("ByteLevel") => 2.0,
                _ => 1.0,
            };
            own * keys.values().map(growth).product::<f64>()
        }
        _ => 1.0,
    }
}

/// Checks the ids of added tokens, which the library takes from the vocabulary, or else numbers consecutively.
fn check_added_tokens(tokenizer: &Tokenizer, tokens: &[AddedOutline]) -> Result<(), String> {
    for AddedOutline { content, id } in tokens {
        let given = tokenizer.token_to_id(content);
        if let Some(given) = given.filter(|given| id.as_u64() != Some((*given).into())) {
            return Err(format!(
                "`added_tokens`: `{content}` has id {id}, but the vocabulary and the order of these tokens give it {given}"
            ));
        }
    }
    Ok(())
}

/// Every model must have a piece for unknown characters.
fn check_model(model: &ModelWrapper, outline: &ModelOutline) -> Result<(), String> {
    let known = |piece: &str| match model.token_to_id(piece) {
        Some(_) => Ok(()),
        None => Err(format!("`model.unk_token` is `{piece}`, which is not in the vocabulary")),
    };
    match model {
        ModelWrapper::Unigram(_) if outline.unk_id.is_null() => {
            Err("`model.unk_id` is missing: the index of the piece for unknown characters".into())
        }
        ModelWrapper::Unigram(_) => Ok(()),
        ModelWrapper::WordPiece(model) => known(&model.unk_token),
        ModelWrapper::WordLevel(model) => known(&model.unk_token),
        ModelWrapper::BPE(model) if model.dropout.is_some_and(|dropout| dropout > 0.0) => {
            Err("`model.dropout` would encode a text differently each time; it must be 0 or null".into())
        }
        ModelWrapper::BPE(model) => model.unk_token.as_deref().map_or(Ok(()), known),
    }
}

fn try_out(tokenizer: &Tokenizer) -> Result<(), String> {
    let mut ids = 0;
    for text in TRIALS {
        let failed = |e: tokenizers::Error| format!("it fails on the text {text:?}: {e}");
        let encoding = tokenizer.encode_fast(text, false).map_err(failed)?;
        tokenizer.decode(encoding.get_ids(), true).map_err(failed)?;
        ids += encoding.len();
    }
    if ids == 0 {
        return Err("it encodes every text as no tokens".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::files::embedded;

    fn pocket() -> Value {
        serde_json::from_slice(embedded::bytes("models/pocket/tokenizer.json").unwrap()).unwrap()
    }

    /// Why the pocket model's tokenizer is refused with another value at a JSON pointer.
    fn refusal(pointer: &str, value: Value) -> String {
        let mut json = pocket();
        *json.pointer_mut(pointer).unwrap() = value;
        let problem = parse(json.to_string().as_bytes()).unwrap_err();
        assert!(!problem.contains('\n'), "{problem}");
        problem
    }

    #[test]
    fn malformed_tokenizers_are_refused_in_one_line() {
        let whole = pocket().to_string();
        for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
            assert!(parse(&whole.as_bytes()[..cut]).is_err(), "{cut} bytes");
        }
        let deep = format!("{{\"normalizer\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        for (bytes, part) in [
            ("null", "invalid type"),
            ("{}", "missing field `model`"),
            (&deep, "recursion limit"),
            ("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS pointer"),
        ] {
            let problem = parse(bytes.as_bytes()).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
        assert!(parse(&vec![b' '; LARGEST + 1]).unwrap_err().contains("at most 64 MB"));
    }

    #[test]
    fn a_model_that_cannot_encode_every_text_is_refused() {
        let word_level =
            |vocabulary: Value| json!({"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"});
        let bpe = |dropout: f64, unknown: &str| json!({"type": "BPE", "vocab": {"a": 0}, "merges": [], "dropout": dropout, "unk_token": unknown});
        for (model, part) in [
            (json!({"type": "Unigram", "vocab": [["a", -1.0]]}), "`model.unk_id` is missing"),
            (json!({"type": "Unigram", "vocab": [], "unk_id": null}), "`model.unk_id` is missing"),
            (json!({"type": "Unigram", "vocab": [["a", -1.0]], "unk_id": 1}), "UnkIdNotInVocabulary"),
            (
                json!({"type": "Unigram", "vocab": [["a", -1.0]], "unk_id": -1}),
                "`model.unk_id` is not the index",
            ),
            (word_level(json!({})), "`model.unk_token` is `<unk>`"),
            (bpe(0.1, "a"), "`model.dropout`"),
            (bpe(0.0, "b"), "`model.unk_token` is `b`"),
            (json!({"type": "BPE", "vocab": {}, "merges": []}), "every text as no tokens"),
        ] {
            let mut json = pocket();
            json["model"] = model;
            json["added_tokens"] = json!([]);
            let problem = parse(json.to_string().as_bytes()).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn added_tokens_with_inconsistent_ids_are_refused() {
        for (place, id) in [(0, 1_u64), (0, u32::MAX.into()), (2, 671)] {
            let problem = refusal(&format!("/added_tokens/{place}/id"), json!(id));
            assert!(problem.contains("`added_tokens`: `<"), "{problem}");
            assert!(
                problem.contains(&format!(
                    "has id {id}, but the vocabulary and the order of these tokens give it {place}"
                )),
                "{problem}"
            );
        }
        let mut json = pocket();
        let next = json["model"]["vocab"].as_array().unwrap().len();
        for (id, is_next) in [(next, true), (next + 1, false)] {
            let token = json!({"id": id, "content": "New York", "single_word": false, "lstrip": false, "rstrip": false,
                               "normalized": true, "special": false});
            json["added_tokens"][3] = token;
            assert_eq!(parse(json.to_string().as_bytes()).is_ok(), is_next, "{id}");
        }
    }

    #[test]
    fn steps_that_would_exhaust_memory_or_panic_are_refused() {
        let charsmap = |text: &str| json!({"type": "Precompiled", "precompiled_charsmap": text});
        let nested = json!({"type": "Sequence", "normalizers": [{"type": "Sequence", "normalizers": [charsmap("/////w==")]}]});
        for normalizer in [charsmap("/////w=="), charsmap("AAAA"), charsmap("?"), nested] {
            let problem = refusal("/normalizer", normalizer);
            assert!(problem.contains("`precompiled_charsmap`: it"), "{problem}");
        }
        let doubling = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
        let problem = refusal("/normalizer", json!({"type": "Sequence", "normalizers": vec![doubling; 60]}));
        assert!(problem.contains("a million times longer"), "{problem}");
        let problem = refusal("/pre_tokenizer", json!({"type": "FixedLength", "length": 0}));
        assert!(problem.contains("the tokenizers library panics"), "{problem}");
    }
}

//! Many kinds of tokenizers against the library's own encoding of whole texts.

use std::path::Path;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::{Tokenizer, charsmap};

const PIECES: [&str; 44] = [
    "a", "b", "e", "o", "t", "h", "n", "w", "x", "y", "N", "Y", "r", "k", ".", ",", "'", "1", "2", "{", "é",
    "中", "the", "New", "York", "new", "york", "is", "-", "ab", "th", "▁the", "▁a", "▁New", "▁York", "▁new",
    "▁is", "▁th", "▁x", "▁1", "▁▁", "Ġ", "Ġthe", "##e",
];

fn pieces() -> impl Iterator<Item = &'static str> {
    ["<pad>", "</s>", "<unk>", "▁"].into_iter().chain(PIECES)
}

fn models() -> Vec<Value> {
    let scored: Vec<Value> =
        pieces().zip(0..).map(|(piece, i)| json!([piece, -0.37 * f64::from(i % 17)])).collect();
    let vocabulary: Value = pieces()
        .zip(0..)
        .map(|(piece, id)| (piece.into(), json!(id)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    vec![
        json!({"type": "Unigram", "unk_id": 2, "vocab": scored, "byte_fallback": false}),
        json!({"type": "BPE", "vocab": vocabulary, "merges": [["t", "h"], ["th", "e"], ["▁", "th"], ["▁", "the"], ["a", "b"]],
               "unk_token": "<unk>", "fuse_unk": true, "dropout": null}),
        json!({"type": "WordPiece", "vocab": vocabulary, "unk_token": "<unk>", "continuing_subword_prefix": "##",
               "max_input_chars_per_word": 12}),
        json!({"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"}),
    ]
}

fn metaspace(scheme: &str, split: bool) -> Value {
    json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split})
}

fn sequence(steps: &[Value]) -> Value {
    json!({"type": "Sequence", "pretokenizers": steps})
}

fn pre_tokenizers() -> Vec<Value> {
    let typed = |name: &str| json!({"type": name});
    let byte_level =
        json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
    let digits = json!({"type": "Digits", "individual_digits": true});
    let punctuation = json!({"type": "Punctuation", "behavior": "Isolated"});
    let split = json!({"type": "Split", "pattern": {"Regex": "\\s+|(?<=a) b"}, "behavior": "MergedWithNext", "invert": false});
    let underscored =
        json!({"type": "Metaspace", "replacement": "_", "prepend_scheme": "always", "split": true});
    let mut all = vec![
        Value::Null,
        typed("WhitespaceSplit"),
        typed("Whitespace"),
        typed("BertPreTokenizer"),
        byte_level.clone(),
        digits.clone(),
        punctuation.clone(),
        split.clone(),
        underscored.clone(),
        sequence(&[underscored, punctuation.clone()]),
        sequence(&[metaspace("always", true), punctuation.clone(), digits.clone()]),
        sequence(&[typed("WhitespaceSplit"), punctuation.clone(), metaspace("first", true)]),
        sequence(&[typed("WhitespaceSplit"), byte_level]),
        sequence(&[sequence(&[typed("WhitespaceSplit")]), digits, metaspace("never", false)]),
        sequence(&[typed("Whitespace"), metaspace("always", false)]),
        sequence(&[punctuation, metaspace("always", true)]),
        sequence(&[metaspace("always", true), split]),
        sequence(&[json!({"type": "FixedLength", "length": 3}), metaspace("always", true)]),
    ];
    for scheme in ["always", "first", "never"] {
        for split in [true, false] {
            all.push(metaspace(scheme, split));
            all.push(sequence(&[typed("WhitespaceSplit"), metaspace(scheme, split)]));
        }
    }
    all
}

fn replace(pattern: Value, content: &str) -> Value {
    json!({"type": "Replace", "pattern": pattern, "content": content})
}

fn normalizers() -> Vec<Value> {
    let typed = |name: &str| json!({"type": name});
    let sequence = |steps: &[Value]| json!({"type": "Sequence", "normalizers": steps});
    let replacements = [
        ("…", "..."),
        ("‗", " \u{333}"),
        ("\n", " "),
        ("À", "A"),
        ("ſ", "s"),
        ("Ĳ", "{}"),
        ("ŀ", "l▁"),
        ("ﬁ", "fi"),
        ("đ", ""),
    ];
    let precompiled =
        json!({"type": "Precompiled", "precompiled_charsmap": charsmap::made_of(&replacements)});
    let strip = json!({"type": "Strip", "strip_left": false, "strip_right": true});
    let spaces = replace(json!({"Regex": " {2,}"}), "▁");
    let bert = json!({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": true,
                      "lowercase": true});
    vec![
        Value::Null,
        Value::Null,
        typed("Lowercase"),
        typed("NFKC"),
        typed("NFD"),
        typed("StripAccents"),
        typed("Nmt"),
        bert,
        strip.clone(),
        precompiled.clone(),
        precompiled.clone(),
        sequence(&[precompiled.clone(), strip, spaces.clone()]),
        sequence(&[typed("NFC"), typed("Lowercase")]),
        sequence(&[json!({"type": "Prepend", "prepend": "▁"}), replace(json!({"String": " "}), "▁")]),
        sequence(&[precompiled, sequence(&[typed("NFKC"), replace(json!({"String": "e is"}), "eis")])]),
        json!({"type": "Prepend", "prepend": "x"}),
        replace(json!({"Regex": " {2,}"}), " "),
        replace(json!({"Regex": "\\s"}), "_"),
        replace(json!({"String": "w Y"}), "wY"),
        replace(json!({"String": "a"}), " "),
        typed("ByteLevel"),
    ]
}

const CONTENTS: [&str; 22] = [
    "\n",
    "{",
    "}",
    "\t",
    "New York",
    "New",
    "the",
    "<extra_id_0>",
    "'s",
    " x",
    "x ",
    "…",
    "...",
    "À",
    "A",
    "  ",
    "中",
    "[é]",
    "1 2",
    "▁the",
    "_",
    "-",
];

/// Added tokens, as in T5 or with random flags.
fn added_tokens(rng: &mut StdRng) -> Vec<Value> {
    let token = |id, content: &str, [single_word, lstrip, rstrip, normalized, special]: [bool; 5]| {
        json!({"id": id, "content": content, "single_word": single_word, "lstrip": lstrip, "rstrip": rstrip,
               "normalized": normalized, "special": special})
    };
    let names = ["<pad>", "</s>", "<unk>"];
    let mut tokens: Vec<Value> =
        (0..).zip(names).map(|(id, name)| token(id, name, [false, false, false, false, true])).collect();
    let more = if rng.random_bool(0.4) { 0 } else { rng.random_range(1..4) };
    let chosen = CONTENTS.into_iter().choose_multiple(rng, more);
    let mut next = pieces().count();
    for content in chosen {
        let id = pieces().position(|piece| piece == content).unwrap_or(next);
        next += usize::from(id == next);
        tokens.push(token(id, content, std::array::from_fn(|_| rng.random_bool(0.4))));
    }
    tokens
}

fn tokenizer_json(rng: &mut StdRng) -> Value {
    let template = |end: &[&str]| {
        let ends: Vec<Value> =
            end.iter().map(|piece| json!({"SpecialToken": {"id": piece, "type_id": 0}})).collect();
        let text = json!({"Sequence": {"id": "A", "type_id": 0}});
        let single: Vec<Value> = std::iter::once(text.clone()).chain(ends).collect();
        json!({"type": "TemplateProcessing", "single": single, "pair": [text, {"Sequence": {"id": "B", "type_id": 1}}],
               "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}})
    };
    let end: &[&str] = if rng.random_bool(0.9) { &["</s>"] } else { &["</s>", "</s>"] };
    // Half of them like T5's, which can encode by words.
    let like_t5 = rng.random_bool(0.5);
    let pre_tokenizer = match like_t5 {
        true => [
            metaspace("always", true),
            sequence(&[json!({"type": "WhitespaceSplit"}), metaspace("always", true)]),
        ]
        .choose(rng)
        .cloned(),
        false => pre_tokenizers().choose(rng).cloned(),
    };
    json!({
        "version": "1.0", "truncation": null, "padding": null, "decoder": null,
        "added_tokens": added_tokens(rng),
        "normalizer": normalizers().choose(rng),
        "pre_tokenizer": pre_tokenizer,
        "post_processor": template(end),
        "model": models().choose(rng),
    })
}

fn random_text(rng: &mut StdRng) -> String {
    let words = [
        "the",
        "a",
        "New",
        "York",
        "new",
        "NEW",
        "is",
        "ab",
        "x",
        "it's",
        "1",
        "2",
        "12.5",
        "(no)",
        "e.g.",
        "don't",
        "a_b",
        "_",
        "-",
        "a-b",
        "…",
        "...",
        "À",
        "é",
        "e\u{301}",
        "ſ",
        "‗x",
        "x‗",
        "Ĳ",
        "ŀ",
        "đ",
        "中",
        "中文",
        "ﬁ",
        "①",
        "😀",
        "▁",
        "▁the",
        "{",
        "}",
        "{x}",
        "\n",
        "\t",
        "\r\n",
        "\u{a0}",
        "\u{200b}",
        "\u{200d}",
        "\u{2009}",
        "<extra_id_0>",
        "</s>",
        "<",
        "[é]",
        "",
        "İ",
        "ß",
        "‘a’",
    ];
    let gaps = [" ", " ", " ", " ", " ", " ", " ", " ", "  ", "", "\n"];
    let plain = rng.random_bool(0.5);
    let mut text = String::new();
    for i in 0..rng.random_range(0..9) {
        if i > 0 {
            text += if plain { " " } else { gaps.choose(rng).unwrap() };
        }
        text += words[..if plain { 31 } else { words.len() }].choose(rng).unwrap();
    }
    text
}

#[test]
fn ids_equal_the_librarys_for_whole_texts_with_any_tokenizer() {
    let mut rng = StdRng::seed_from_u64(7);
    let (mut cut_tokenizers, mut cut_texts, mut tokenizers) = (0, 0, 0);
    for _ in 0..900 {
        let json = tokenizer_json(&mut rng);
        let bytes = json.to_string();
        let Ok(tokenizer) = Tokenizer::from_bytes(bytes.as_bytes(), Path::new("shape"), 1, usize::MAX) else {
            continue;
        };
        let library = tokenizers::Tokenizer::from_bytes(&bytes).unwrap();
        let texts: Vec<String> = (0..60).map(|_| random_text(&mut rng)).collect();
        let all = tokenizer.encode_all(&texts, usize::MAX);
        for (text, from_all) in texts.iter().zip(all) {
            let whole = library.encode(text.as_str(), true).unwrap().get_ids().to_vec();
            assert_eq!(tokenizer.encode(text, usize::MAX).ids, whole, "{text:?} with {json}");
            assert_eq!(from_all.ids, whole, "{text:?} with {json}");
        }
        tokenizers += 1;
        if let Some(words) = &tokenizer.words {
            cut_tokenizers += 1;
            cut_texts += texts.iter().filter(|text| words.plain.words(text).is_some()).count();
        }
    }
    assert!(tokenizers > 600, "{tokenizers} tokenizers could be read");
    assert!(cut_tokenizers > 60 && cut_texts > 1000, "{cut_tokenizers} tokenizers split {cut_texts} texts");
}

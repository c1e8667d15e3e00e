//! `tokenizer.json`.

use serde_json::{Value, json};

use crate::common::Workspace;
use crate::harness::{Case, check};

const FILE: &str = "model/tokenizer.json";

fn edited(name: &str, change: impl Fn(&mut Value) + 'static) -> Case<'static> {
    let case = Case::new(format!("tokenizer.json with {name}"));
    case.with(move |w: &Workspace| {
        let mut tokenizer: Value = serde_json::from_str(&w.read(FILE)).unwrap();
        change(&mut tokenizer);
        w.write(FILE, &tokenizer.to_string());
    })
    .says(&["tokenizer.json"])
}

#[test]
fn malformed_tokenizers_are_named() {
    let deep = "[".repeat(100_000);
    let texts = [
        "{",
        "{}",
        "[]",
        "null",
        "{\"model\": {}}",
        "\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02",
        "<html>",
        &deep,
    ];
    let cases = texts.iter().map(|text| {
        let shown: String = text.chars().take(30).collect();
        Case::new(format!("tokenizer.json is {shown:?}"))
            .write(FILE, text.as_bytes())
            .says(&["tokenizer.json"])
    });
    let cut = Case::new("tokenizer.json ends early").with(|w| {
        let text = w.read(FILE);
        w.write(FILE, &text[..text.len() / 2]);
    });
    check(cases.chain([cut.says(&["tokenizer.json"])]).collect());
}

#[test]
fn tokenizers_that_do_not_fit_the_model_are_named() {
    check(vec![
        edited("an id outside the vocabulary", |t| t["model"]["vocab"]["good"] = json!(24)),
        edited("a huge id", |t| t["model"]["vocab"]["good"] = json!(4_294_967_295u64)),
        edited("an id beyond 32 bits", |t| t["model"]["vocab"]["good"] = json!(1u64 << 40)),
        edited("a negative id", |t| t["model"]["vocab"]["good"] = json!(-1)),
        // An added token that is in the vocabulary has its id there.
        edited("a huge added id", |t| t["added_tokens"][0]["id"] = json!(4_294_967_295u64)).may_succeed(),
        edited("no end token on texts", |t| t["post_processor"] = Value::Null),
        edited("the end token before texts", |t| {
            let single = t["post_processor"]["single"].as_array_mut().unwrap();
            single.reverse();
        }),
        edited("no unknown token", |t| t["model"]["unk_token"] = json!("<none>")),
        edited("no model", |t| t["model"] = Value::Null),
        edited("an unknown model", |t| t["model"]["type"] = json!("Magic")),
        edited("a list for a vocabulary", |t| t["model"]["vocab"] = json!([])),
        edited("no vocabulary", |t| t["model"]["vocab"] = json!({})),
        edited("an unknown normalizer", |t| t["normalizer"] = json!({"type": "Magic"})),
    ]);
}

#[test]
fn character_maps_with_a_wrong_length_are_named() {
    // "/////w==" are four bytes of ones: a length of 4 GiB.
    let charsmap = |map: &'static str| {
        edited(&format!("the character map {map:?}"), move |t| {
            t["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": map});
        })
    };
    check(
        ["/////w==", "////fwAAAAA=", "AAAAgA==", "AQ==", "", "no base64!"]
            .map(charsmap)
            .into_iter()
            .collect(),
    );
}

#[test]
fn invalid_regular_expressions_are_named() {
    let split = |pattern: &'static str| {
        edited(&format!("the pattern {pattern:?}"), move |t| {
            t["pre_tokenizer"] = json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
        })
    };
    check(["(", "[z-a]", "(?P<"].map(split).into_iter().collect());
}

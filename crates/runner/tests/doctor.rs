//! `peft-bench doctor` offline, at a fake hub, and with what is wrong.

mod common;
mod standin;

use std::process::Output;

use common::{Workspace, assert_success, stderr, stdout};
use serde_json::Value;
use standin::{Fault, GOOD_TOKEN, Standin};

/// Runs the checks with these variables; their status and detail by name.
fn doctor(w: &Workspace, code: i32, more: &[&str], variables: &[(&str, &str)]) -> Value {
    let output = run(w, &[&["doctor", "--json"], more].concat(), variables);
    assert_eq!(output.status.code(), Some(code), "{}{}", stdout(&output), stderr(&output));
    let parsed: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let failed = parsed["failed"].as_u64().unwrap();
    assert_eq!(failed > 0, code == 1, "{parsed:#}");
    let checks = parsed["checks"].as_array().unwrap().iter();
    let named = checks.map(|check| {
        let text = format!("{}: {}", check["status"].as_str().unwrap(), check["detail"].as_str().unwrap());
        (check["name"].as_str().unwrap().to_string(), Value::from(text))
    });
    Value::Object(named.collect())
}

fn run(w: &Workspace, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    w.command(arguments).envs(variables.iter().copied()).output().unwrap()
}

fn assert_says(checks: &Value, name: &str, parts: &[&str]) {
    let said = checks[name].as_str().unwrap_or_else(|| panic!("no check `{name}` in {checks:#}"));
    for part in parts {
        assert!(said.contains(part), "{name}: `{part}` is not in: {said}");
    }
}

const SMALL: &str = "model google-t5/t5-small";

#[test]
fn what_is_merely_absent_is_nothing_wrong() {
    let w = Workspace::new();
    let checks = doctor(&w, 0, &[], &[]);
    assert_says(&checks, "program", &["ok: peft-bench ", "commit ", "cpu"]);
    assert_says(&checks, "machine", &["ok: ", " threads, ", "GiB"]);
    assert_says(&checks, "device cpu", &["ok: ", "f32"]);
    assert_says(&checks, "hub", &["absent: HF_HUB_OFFLINE is set"]);
    assert_says(&checks, "hub token", &["absent: none"]);
    assert_says(&checks, "hub cache", &["absent: ", "hf-home/hub"]);
    assert_says(&checks, "suite models", &["absent: 0 of 1 in the cache", "google-t5/t5-base"]);
    assert_says(&checks, "suite datasets", &["absent: 0 of 22 in the cache", "mnli", "fetch"]);
    assert_says(&checks, "model pocket", &["ok: ", "-12.4246"]);
    assert_says(&checks, SMALL, &["absent: not in the cache: run `peft-bench doctor --fetch`"]);
    let text = run(&w, &["doctor"], &[]);
    assert_success(&text);
    for part in ["ok     program", "-      hub token", "nothing is wrong"] {
        assert!(stdout(&text).contains(part), "`{part}` is not in: {}", stdout(&text));
    }
    assert!(!w.path("hf-home").exists(), "nothing is written");
}

#[test]
fn a_hub_that_answers_is_told_from_one_that_does_not() {
    let (w, hub) = (Workspace::new(), Standin::start());
    let online = [("HF_HUB_OFFLINE", "0"), ("HF_ENDPOINT", hub.endpoint.as_str()), ("HF_TOKEN", GOOD_TOKEN)];
    let checks = doctor(&w, 0, &[], &online);
    assert_says(&checks, "hub", &["ok: ", &hub.endpoint, "answers"]);
    assert_says(&checks, "hub token", &["ok: present"]);
    assert!(!checks.to_string().contains(GOOD_TOKEN));
    let [request] = &hub.requests("", "")[..] else { panic!("one request") };
    assert_eq!((request.method.as_str(), &request.token), ("HEAD", &None), "no credentials");

    hub.spoil("HEAD", "", 1, Fault::Status(503, Vec::new()));
    assert_says(&doctor(&w, 1, &[], &online), "hub", &["failed: ", "status 503"]);
    hub.spoil("HEAD", "", 1, Fault::Raw(b"SSH-2.0-OpenSSH\r\n"));
    assert_says(&doctor(&w, 1, &[], &online), "hub", &["failed: "]);
    let nobody = [("HF_HUB_OFFLINE", "0"), ("HF_ENDPOINT", "http://127.0.0.1:1")];
    assert_says(&doctor(&w, 0, &[], &nobody), "hub", &["absent: no connection", "only the cache"]);
    let wrong = [("HF_HUB_OFFLINE", "0"), ("HF_ENDPOINT", "http://user:secret@")];
    let checks = doctor(&w, 1, &[], &wrong);
    assert_says(&checks, "hub", &["failed: ", "HF_ENDPOINT"]);
    assert!(!checks.to_string().contains("secret"));
    let token =
        [("HF_HUB_OFFLINE", "0"), ("HF_ENDPOINT", hub.endpoint.as_str()), ("HF_TOKEN", "hf_\u{1}secret")];
    let checks = doctor(&w, 1, &[], &token);
    assert_says(&checks, "hub", &["failed: ", "invalid characters"]);
    assert!(!checks.to_string().contains("secret"), "{checks:#}");
}

#[test]
fn a_pretrained_model_that_computes_something_else_is_a_failure() {
    let (w, hub) = (Workspace::new(), Standin::start());
    let content = |name: &str| std::fs::read(w.path("model").join(name)).unwrap();
    let files = ["config.json", "tokenizer.json", "model.safetensors"].map(|name| (name, content(name)));
    let files = files.each_ref().map(|(name, content)| (*name, content.as_slice()));
    hub.put("models/google-t5/t5-small", "main", &files);
    let online = [("HF_HUB_OFFLINE", "0"), ("HF_ENDPOINT", hub.endpoint.as_str())];
    // Nothing is downloaded unless it is asked for.
    assert_says(&doctor(&w, 0, &[], &online), SMALL, &["absent: "]);
    assert!(hub.downloads().is_empty());
    let checks = doctor(&w, 1, &["--fetch"], &online);
    assert_says(&checks, SMALL, &["failed: its vocabulary has only 24 tokens"]);
    assert_says(&checks, "model google/t5-v1_1-small", &["failed: ", "does not exist"]);
    // From now on it is in the cache.
    let checks = doctor(&w, 1, &[], &[]);
    assert_says(&checks, SMALL, &["failed: "]);
    assert_says(&checks, "hub cache", &["ok: ", "MiB"]);
}

#[test]
fn a_damaged_file_in_the_cache_is_a_failure() {
    let (w, hub) = (Workspace::new(), Standin::start());
    let content = std::fs::read(w.path("model/config.json")).unwrap();
    let names = ["config.json", "tokenizer.json", "model.safetensors"];
    hub.put("models/google-t5/t5-base", "main", &names.map(|name| (name, content.as_slice())));
    let online = [("HF_HUB_OFFLINE", "0"), ("HF_ENDPOINT", hub.endpoint.as_str())];
    assert_success(&run(&w, &["fetch", "pocket", "--model", "google-t5/t5-base"], &online));
    let checks = doctor(&w, 0, &[], &[]);
    assert_says(&checks, "suite models", &["ok: 1 of 1 in the cache: google-t5/t5-base"]);
    let commit = hub.commit("models/google-t5/t5-base", "main");
    let file = format!("hf-home/hub/models--google-t5--t5-base/snapshots/{commit}/config.json");
    let blob = std::fs::canonicalize(w.path(&file)).unwrap();
    std::fs::write(&blob, vec![b' '; content.len()]).unwrap();
    let checks = doctor(&w, 1, &[], &[]);
    assert_says(&checks, "google-t5/t5-base", &["failed: ", "config.json", "damaged"]);
}

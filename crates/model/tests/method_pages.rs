//! `docs/methods/` says of each method what its source says. `UPDATE_DOCS=1 cargo test -p peft-model --test method_pages`
//! writes the pages anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use peft_model::families;
use peft_model::peft::{self, METHODS, Registered};
use serde_json::{Map, Value};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The source of a method, in which its name has underscores.
fn source(method: &Registered) -> String {
    let path = root().join(format!("crates/model/src/peft/{}.rs", method.name.replace('-', "_")));
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The lines that begin with a mark, without it; the first run of them.
fn marked(text: &str, mark: &str) -> String {
    let lines = text.lines().take_while(|line| line.trim_start().starts_with(mark));
    let lines: Vec<&str> = lines.map(|line| line.trim_start()[mark.len()..].trim()).collect();
    lines.join("\n")
}

/// What the source says of each field that is a setting.
fn described(source: &str) -> BTreeMap<&str, String> {
    let mut fields = BTreeMap::new();
    let mut comment = Vec::new();
    for line in source.lines().map(str::trim) {
        match (line.strip_prefix("///"), line.strip_prefix("pub ")) {
            (Some(text), _) => comment.push(text.trim()),
            (None, Some(field)) if field.contains(": ") => {
                let name = field.split(':').next().unwrap();
                fields.entry(name).or_insert(comment.join(" "));
                comment.clear();
            }
            _ => comment.clear(),
        }
    }
    fields
}

/// Settings with their defaults, tables flattened: `prompt.length`.
fn settings(prefix: &str, defaults: &Map<String, Value>) -> Vec<(String, String)> {
    let flat = |(key, value): (&String, &Value)| match value {
        Value::Object(fields) => settings(&format!("{prefix}{key}."), fields),
        value => vec![(format!("{prefix}{key}"), value.to_string())],
    };
    defaults.iter().flat_map(flat).collect()
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap()).collect();
    groups.join(",")
}

fn page(method: &Registered) -> String {
    let source = source(method);
    let built = peft::build(method.name, &Map::new()).unwrap();
    let count = peft::num_trainable(built.method.as_ref(), families::reference().layout()).unwrap();
    let shared = |file| fs::read_to_string(root().join("crates/model/src/peft").join(file)).unwrap();
    let (prompt, low_rank) = (shared("prompt.rs"), shared("low_rank.rs"));
    let (own, of_prompts, of_low_ranks) = (described(&source), described(&prompt), described(&low_rank));
    let mut page = format!("# {} (`{}`)\n\n{}\n\n", method.title, method.name, marked(&source, "//!"));
    writeln!(page, "- Paper: {}", method.paper).unwrap();
    writeln!(page, "- Trainable parameters on T5-base with these settings: {}", thousands(count)).unwrap();
    let interchange = match method.hf_peft {
        Some(interchange) => format!("`peft_type` {}", interchange.types().join(" or ")),
        None => "none; [load_adapter.py](../load_adapter.py) shows how tensors are named".into(),
    };
    writeln!(page, "- In Python's peft: {interchange}").unwrap();
    writeln!(
        page,
        "- Source: [{0}](../../crates/model/src/peft/{0})\n",
        method.name.replace('-', "_") + ".rs"
    )
    .unwrap();
    page += "| Setting | Default | Meaning |\n|---|---|---|\n";
    for (key, default) in settings("", &built.settings) {
        let of_prompt = ["prompt.", "source_prompt."].iter().find_map(|table| key.strip_prefix(table));
        let meaning = match of_prompt {
            Some(key) => of_prompts.get(key),
            None => own.get(key.as_str()).or_else(|| of_low_ranks.get(key.as_str())),
        };
        let meaning =
            meaning.map_or("", String::as_str).replace("[`", "`").replace("`]", "`").replace('|', "\\|");
        writeln!(page, "| `{key}` | `{}` | {meaning} |", default.replace('|', "\\|")).unwrap();
    }
    page
}

fn index() -> String {
    let mut index = String::from(
        "# Methods\n\nA page for each method, made from its source.\n\n| Method | In suites | Paper | Trainable on T5-base |\n|---|---|---|---|\n",
    );
    for method in METHODS {
        let built = peft::build(method.name, &Map::new()).unwrap();
        let count = peft::num_trainable(built.method.as_ref(), families::reference().layout()).unwrap();
        let Registered { name, title, paper, .. } = method;
        writeln!(index, "| {title} | [`{name}`]({name}.md) | {paper} | {} |", thousands(count)).unwrap();
    }
    index
}

#[test]
fn the_page_of_each_method_is_current() {
    let folder = root().join("docs/methods");
    let mut pages: BTreeMap<String, String> =
        METHODS.iter().map(|method| (format!("{}.md", method.name), page(method))).collect();
    pages.insert("README.md".into(), index());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        pages.iter().for_each(|(name, page)| fs::write(folder.join(name), page).unwrap());
    }
    let mut found: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, pages.keys().cloned().collect::<Vec<_>>(), "UPDATE_DOCS=1 writes the pages anew");
    for (name, page) in pages {
        assert_eq!(fs::read_to_string(folder.join(&name)).unwrap(), page, "UPDATE_DOCS=1 writes {name} anew");
    }
}

#[test]
fn every_setting_is_explained() {
    for method in METHODS {
        let built = peft::build(method.name, &Map::new()).unwrap();
        let page = page(method);
        for (key, _) in settings("", &built.settings) {
            let row = page.lines().find(|line| line.starts_with(&format!("| `{key}` |"))).unwrap();
            assert!(!row.ends_with("|  |"), "{}: `{key}` has no comment in the source", method.name);
        }
    }
}

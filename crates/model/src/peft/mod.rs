//! PEFT methods, each in one file, beside a frozen backbone.
//!
//! A method declares its tensors as data ([`Method::parameters`]) and changes the forward pass at a few hooks;
//! counting, initializing, training, saving and running several seeds side by side follow from that. To add one: write
//! its file, then add its `mod` line and its line in [`METHODS`].

mod adalora;
mod adapter;
mod adapter_drop;
mod adept;
mod allocation;
mod attempt;
mod bitfit;
mod dept;
mod dora;
mod folded;
mod frozen;
mod full;
pub mod hf_peft;
mod hyperdecoder;
mod hyperformer;
mod ia3;
mod layer_norm;
mod lora;
mod low_rank;
mod lst;
mod mpt;
mod mpt_source;
mod p_tuning;
mod p_tuning_v2;
mod prefix_tuning;
mod prompt;
mod prompt_tuning;
mod rank_one;
mod registered;
mod residual_prompt_tuning;
mod rslora;
mod source_prompts;
mod spot;
mod targets;
mod tasks;
mod vera;

use std::sync::{PoisonError, RwLock};

use serde_json::{Map, Value};

pub(crate) use folded::Folded;
pub use frozen::frozen;
pub use prompt::{Prompt, PromptInit};
pub use registered::{ConfiguredMethod, Registered, Validate};

use crate::layout::Layout;
use crate::settings::{factor, learning_rate, nearest, positive, probability};
use crate::{Error, Method, Parameter};

/// The methods of this crate.
pub static METHODS: &[Registered] = &[
    full::REGISTERED,
    prompt_tuning::REGISTERED,
    dept::REGISTERED,
    adept::REGISTERED,
    adapter::REGISTERED,
    bitfit::REGISTERED,
    lora::REGISTERED,
    rslora::REGISTERED,
    dora::REGISTERED,
    adalora::REGISTERED,
    vera::REGISTERED,
    prefix_tuning::REGISTERED,
    ia3::REGISTERED,
    layer_norm::REGISTERED,
    adapter_drop::REGISTERED,
    hyperformer::REGISTERED,
    hyperdecoder::REGISTERED,
    lst::REGISTERED,
    p_tuning::REGISTERED,
    p_tuning_v2::REGISTERED,
    residual_prompt_tuning::REGISTERED,
    spot::REGISTERED,
    attempt::REGISTERED,
    mpt::REGISTERED,
    mpt_source::REGISTERED,
];

/// Methods of other crates.
static REGISTERED: RwLock<Vec<Registered>> = RwLock::new(Vec::new());

/// Makes a method of another crate known by its name, before suites are read.
///
/// # Errors
/// When the name is taken.
pub fn register(method: Registered) -> Result<(), Error> {
    if find(method.name).is_ok() {
        return Err(Error::MethodNameTaken { name: method.name.into() });
    }
    REGISTERED.write().unwrap_or_else(PoisonError::into_inner).push(method);
    Ok(())
}

/// Every method that is known: those of this crate, then registered ones.
pub fn methods() -> Vec<Registered> {
    let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
    METHODS.iter().chain(registered.iter()).copied().collect()
}

/// Looks a method up by name.
///
/// # Errors
/// When there is none; the message suggests the nearest name.
pub fn find(name: &str) -> Result<Registered, Error> {
    let methods = methods();
    methods.iter().find(|m| m.name == name).copied().ok_or_else(|| {
        let names = methods.iter().map(|m| m.name);
        Error::UnknownMethod {
            name: name.into(),
            suggestion: nearest(name, names.clone()).map(str::to_string),
            known: names.collect::<Vec<_>>().join(", "),
        }
    })
}

/// Builds a method from its settings; those left out take the published defaults.
///
/// # Errors
/// When the method is unknown, or a setting is unknown or out of range.
pub fn build(name: &str, settings: &Map<String, Value>) -> Result<ConfiguredMethod, Error> {
    let registered = find(name)?;
    registered
        .build(Value::Object(settings.clone()))
        .map_err(|problem| Error::InvalidSetting { method: name.into(), problem })
}

/// Builds a method for sources of up to so many tokens: its setting for their length, where it has one and
/// that is left out, takes this value.
///
/// # Errors
/// As [`build`].
pub fn build_for(
    name: &str,
    settings: &Map<String, Value>,
    source_tokens: usize,
) -> Result<ConfiguredMethod, Error> {
    let mut settings = settings.clone();
    if let Some(key) = find(name)?.length_setting {
        settings.entry(key).or_insert(source_tokens.into());
    }
    build(name, &settings)
}

/// Number of trainable parameters of one run.
///
/// # Errors
/// When a setting asks for what the backbone does not have.
pub fn num_trainable(method: &dyn Method, layout: &Layout) -> Result<usize, String> {
    Ok(method.parameters(layout)?.iter().filter(|parameter| parameter.trains).map(Parameter::len).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::reference;
    use serde_json::json;

    fn trainable(name: &str, settings: Value) -> usize {
        let Value::Object(settings) = settings else { panic!("settings are an object") };
        let built = build(name, &settings).unwrap();
        num_trainable(built.method.as_ref(), reference().layout()).unwrap()
    }

    #[test]
    fn trainable_parameters_on_t5_base_are_the_published_ones() {
        assert_eq!(trainable("full", json!({})), 222_903_552);
        assert_eq!(trainable("prompt-tuning", json!({})), 76_800);
        for (m, r, s) in [(40, 45, 256), (60, 30, 256), (80, 15, 256), (20, 60, 256), (60, 24, 512)] {
            let settings = json!({"prompt": {"length": m}, "rank": r, "max_length": s});
            assert_eq!(trainable("dept", settings), 76_800);
        }
        for (m, r, count) in
            [(60, 19, 76_051), (0, 49, 76_081), (20, 39, 76_071), (40, 29, 76_061), (80, 9, 76_041)]
        {
            assert_eq!(trainable("adept", json!({"prompt": {"length": m}, "bottleneck": r})), count);
        }
        assert_eq!(trainable("adapter", json!({})), 1_855_104);
        assert_eq!(trainable("bitfit", json!({})), 280_960);
        assert_eq!(trainable("bitfit", json!({"norms": "scale"})), 280_960);
        assert_eq!(trainable("bitfit", json!({"norms": "none"})), 280_960 - 60 * 768);
        assert_eq!(trainable("lora", json!({})), 3_538_944);
        assert_eq!(trainable("lora", json!({"rank": 34})), 3_760_128);
        // Queries and values of 36 attentions.
        let adapted = 2 * 36;
        assert_eq!(trainable("rslora", json!({})), adapted * 32 * (768 + 768));
        assert_eq!(trainable("dora", json!({})), adapted * (32 * (768 + 768) + 768));
        assert_eq!(trainable("adalora", json!({})), adapted * 12 * (768 + 768 + 1));
        assert_eq!(trainable("vera", json!({})), adapted * (256 + 768));
        // Two factors of 768 in each of 36 attentions, one of 3,072 in each of 24 feed-forward layers.
        assert_eq!(trainable("ia3", json!({})), 2 * 768 * 36 + 3072 * 24);
        assert_eq!(trainable("layer-norm", json!({})), 62 * 768);
        assert_eq!(trainable("prefix-tuning", json!({"hidden": 0})), 20 * 2 * 768 * 36);
        let network = 20 * 768 + 512 * 768 + 512 + (512 + 1) * 12 * 2 * 768;
        assert_eq!(trainable("prefix-tuning", json!({})), 3 * network);
        // Two adapters in each of 7 of 12 blocks of two stacks, and the scales of 62 norms.
        let adapter = 2 * 768 * 24 + 768 + 24;
        // 1.1M in tables of other papers.
        assert_eq!(trainable("adapter-drop", json!({})), 7 * 2 * 2 * adapter + 62 * 768);
        assert_eq!(trainable("adapter-drop", json!({"drop_layers": 0})), trainable("adapter", json!({})));
        assert_eq!(trainable("p-tuning", json!({})), 20 * 768 + 3 * (768 * 768 + 768));
        let narrow = json!({"hidden": 100});
        assert_eq!(
            trainable("p-tuning", narrow),
            20 * 768 + (768 + 1) * 100 + (100 + 1) * 100 + (100 + 1) * 768
        );
        assert_eq!(trainable("p-tuning-v2", json!({})), 20 * 2 * 768 * 36);
        assert_eq!(trainable("p-tuning-v2", json!({"attentions": ["decoder"]})), 20 * 2 * 768 * 12);
        let network = 2 * 768 * 800 + 800 + 768 + 2 * 768;
        assert_eq!(trainable("residual-prompt-tuning", json!({})), 10 * 768 + network);
        let separate = json!({"separate": true});
        assert_eq!(trainable("residual-prompt-tuning", separate), 10 * 768 + 10 * network);
        let projection = (3 * 64 + 1) * 128 + (128 + 1) * 64 + 2 * 64;
        let generators = (64 + 1) * (2 * 768 * 24 + 768 + 24 + 2 * 768);
        let hyper = 64 + 2 * (14 * 64 + projection + generators);
        assert_eq!(trainable("hyperformer", json!({"train_norms": false})), hyper);
        assert_eq!(trainable("hyperformer", json!({})), hyper + 62 * 768);
        // 0.29% per task, norms left out.
        let eight = trainable("hyperformer", json!({"tasks": 8, "train_norms": false}));
        assert_eq!(format!("{:.2}", 100.0 * eight as f64 / 8.0 / 222_903_552.0), "0.29");
        // Adapters of the encoder; the mlp, the embeddings of layers, the projection, and the generators of the decoder's.
        let adapter = 2 * 768 * 64 + 768 + 64;
        let generators = 12 * 10 + (768 + 10 + 1) * 128 + (128 + 1) * adapter;
        let decoder = json!({"mlp": false});
        assert_eq!(trainable("hyperdecoder", decoder), 12 * adapter + generators);
        // 1.8M for each of eight tasks in tables of other papers.
        assert_eq!((12 * adapter + generators, 2 * (768 * 768 + 768)), (14_078_008, 1_181_184));
        assert_eq!(trainable("hyperdecoder", json!({})), 15_259_192);
        // Side blocks of width 96 beside 9 of 12 blocks, 10 projections down in each stack and one up.
        let (attention, feed_forward) = (4 * 96 * 96 + 96, 2 * 96 * 384 + 96);
        let blocks = 9 * (attention + feed_forward) + 9 * (2 * attention + feed_forward);
        let side = blocks + 2 * 9 + 2 * 96 + 20 * (768 * 96 + 96) + (96 + 1) * 768;
        assert_eq!(trainable("lst", json!({})), side);
        // 3.8M in tables of other papers.
        assert_eq!(side, 3_877_938);
        assert_eq!(trainable("spot", json!({})), 76_800);
        // "232k": the prompt, two projections, and the norm's scale and bias; source prompts do not train.
        assert_eq!(trainable("attempt", json!({})), 100 * 768 + 2 * 100 * 768 + 2 * 768);
        assert_eq!(trainable("attempt", json!({"sources": ["mnli"]})), 231_936);
        // "77.6k": the shared prompt and two factors.
        assert_eq!(trainable("mpt", json!({})), 77_668);
        assert_eq!(trainable("mpt", json!({"prompt": {"length": 60}})), 60 * 768 + 60 + 768);
        assert_eq!(trainable("mpt-source", json!({})), 100 * 768 + 6 * (100 + 768));
        // "96k" and "10.5k" for each of eight tasks.
        assert_eq!(trainable("attempt", json!({"tasks": 8})), 8 * 96_192);
        assert_eq!(trainable("mpt", json!({"tasks": 8})), 8 * 10_468);
    }

    #[test]
    fn a_length_that_is_left_out_follows_the_sources() {
        let length = |settings: Value, source_tokens| {
            let built = build_for("dept", settings.as_object().unwrap(), source_tokens).unwrap();
            (built.settings["max_length"].clone(), built.method.max_source_length())
        };
        assert_eq!(length(json!({}), 512), (512.into(), Some(512)));
        assert_eq!(length(json!({"max_length": 96}), 512), (96.into(), Some(96)));
        let built = build_for("lora", &Map::new(), 512).unwrap();
        assert_eq!(built.settings, build("lora", &Map::new()).unwrap().settings);
    }

    #[test]
    fn what_a_table_leaves_out_is_the_methods_own_default() {
        let prompt = |name: &str| {
            let given = json!({"prompt": {"learning_rate": 0.1}});
            build(name, given.as_object().unwrap()).unwrap().settings["prompt"].clone()
        };
        assert_eq!(prompt("dept")["length"], 40);
        assert_eq!(prompt("adept")["length"], 60);
        assert_eq!(
            (&prompt("adept")["init"], &prompt("dept")["init"]),
            (&json!("text"), &json!("vocabulary"))
        );
        assert_eq!(prompt("prompt-tuning")["learning_rate"], 0.1);
    }

    #[test]
    fn sizes_that_a_backbone_has_no_room_for_are_refused() {
        for (name, key, value) in
            [("adapter-drop", "drop_layers", 12), ("hyperformer", "reduction", 769), ("lst", "reduction", 65)]
        {
            let built = build(name, json!({key: value}).as_object().unwrap()).unwrap();
            let error = num_trainable(built.method.as_ref(), reference().layout()).unwrap_err();
            assert!(error.contains(key) && error.contains(&value.to_string()), "{error}");
        }
    }

    #[test]
    fn targets_that_a_backbone_lacks_are_refused() {
        for name in ["lora", "rslora", "dora", "adalora", "vera"] {
            let built = build(name, json!({"targets": ["q", "wi_0"]}).as_object().unwrap()).unwrap();
            let error = num_trainable(built.method.as_ref(), reference().layout()).unwrap_err();
            assert!(error.contains("`wi_0`") && error.contains("q, k, v, o, wi, wo"), "{error}");
        }
    }

    #[test]
    fn the_readme_shows_a_method_as_it_is() {
        let readme = include_str!("../../../../README.md");
        let shown = readme.split("```").find_map(|block| block.strip_prefix("rust\n")).unwrap();
        let paragraphs = include_str!("ia3.rs").split("\n\n");
        let without_imports: Vec<_> = paragraphs.filter(|p| !p.starts_with("use ")).collect();
        assert_eq!(shown, without_imports.join("\n\n"));
    }

    #[test]
    fn unknown_names_and_bad_settings_are_explained() {
        let error = find("adapt").err().unwrap().to_string();
        assert!(error.contains("did you mean `adapter`?"), "{error}");
        let error = build("lora", json!({"rnk": 8}).as_object().unwrap()).unwrap_err().to_string();
        assert!(error.contains("rnk") && error.contains("did you mean `rank`?"), "{error}");
        let error = build("lora", json!({"rank": "high"}).as_object().unwrap()).unwrap_err().to_string();
        assert!(error.contains("`rank`"), "{error}");
        for (name, key, value) in [
            ("prompt-tuning", "prompt", json!({"length": usize::MAX})),
            ("dept", "prompt", json!({"length": 1u64 << 40})),
            ("adept", "prompt", json!({"length": 1u64 << 40})),
            ("adept", "prompt", json!({"learning_rate": 0})),
            ("adept", "prompt", json!({"lenght": 8})),
            ("adept", "prompt", json!(8)),
            ("lora", "rank", json!(0)),
            ("lora", "alpha", json!(-1.0)),
            ("dept", "alpha", json!(0)),
            ("adapter", "bottleneck", json!(1 << 25)),
            ("adalora", "initial_rank", json!(1 << 24)),
            ("adalora", "target_rank", json!(13)),
            ("adalora", "initial_warmup", json!(0.5)),
            ("adalora", "final_warmup", json!(0.9)),
            ("adalora", "orthogonality", json!(-0.1)),
            ("adalora", "interval", json!(0)),
            ("vera", "initial_d", json!(0)),
            ("prefix-tuning", "prefix_length", json!(0)),
            ("prefix-tuning", "hidden", json!(1 << 25)),
            ("adapter-drop", "drop_layers", json!(1 << 25)),
            ("p-tuning", "prompt", json!({"length": 0})),
            ("p-tuning", "network", json!("lstm")),
            ("p-tuning-v2", "attentions", json!([])),
            ("p-tuning-v2", "attentions", json!(["self"])),
            ("p-tuning-v2", "prefix_length", json!(0)),
            ("residual-prompt-tuning", "bottleneck", json!(0)),
            ("hyperformer", "tasks", json!(0)),
            ("lst", "reduction", json!(0)),
            ("lst", "dropout", json!(1.0)),
            ("spot", "sources", json!(["mnli", "qqp"])),
            ("attempt", "sources", json!([])),
            ("attempt", "temperature", json!(0)),
            ("mpt", "sources", json!(["qqp", "qqp"])),
            ("mpt", "distillation", json!(-1.0)),
            ("mpt", "source_learning_rate", json!(0)),
            ("mpt-source", "temperature", json!(0)),
        ] {
            let error = build(name, json!({key: value}).as_object().unwrap()).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(key), "{error}");
        }
        let error =
            build("bitfit", json!({"train_norms": true}).as_object().unwrap()).unwrap_err().to_string();
        assert!(error.contains("train_norms") && error.contains("norms"), "{error}");
        for registered in METHODS {
            let error = build(registered.name, json!({"learning_rate": -1.0}).as_object().unwrap());
            let message = error.unwrap_err().to_string();
            assert!(message.contains(registered.name) && message.contains("learning_rate"), "{message}");
        }
    }
}

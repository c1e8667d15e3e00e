//! PEFT methods, each in one file, beside a frozen T5.
//!
//! A method declares its trainable parameters as data ([`Method::parameters`]) and changes the
//! forward pass at a few hooks; counting, initializing, training, saving and running several seeds
//! side by side follow from that. To add one: write its file, then add its `mod` line and its line in
//! [`METHODS`].

mod adapter;
mod adept;
mod bitfit;
mod dept;
mod full;
mod ia3;
mod layer_norm;
mod lora;
mod parameters;
mod prefix_tuning;
mod prompt;
mod prompt_tuning;

use std::fmt::Debug;
use std::sync::{PoisonError, RwLock};

use burn::tensor::Tensor;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

pub use parameters::{Gradients, Group, Init, Parameter, Parameters, select_runs};
pub use prompt::PromptInit;

use crate::Error;
pub use crate::settings::nearest;
use crate::settings::{self, positive};
pub use crate::t5::attention::KeysValues;
use crate::t5::{Pass, Site, Stack, Sublayer, T5Config};

/// Embeddings on their way into a stack.
pub struct Input {
    /// `[runs, batch, length, d_model]`.
    pub embeddings: Tensor<4>,
    /// 1 for real positions, 0 for padding: `[runs, batch, length]`.
    pub mask: Tensor<3>,
}

/// A way to adapt a frozen T5. Every hook defaults to "unchanged".
///
/// A trainable parameter that has the name of a backbone tensor replaces it.
pub trait Method: Debug + Send + Sync {
    /// The trainable parameters, without the runs axis.
    fn parameters(&self, config: &T5Config) -> Vec<Parameter>;

    /// The learning rate of each parameter group.
    fn learning_rates(&self) -> Vec<(Group, f64)>;

    /// Longest source that the method can take, in tokens; `None` where any length will do.
    fn max_source_length(&self) -> Option<usize> {
        None
    }

    /// Positions that the method puts before the source, or before the keys of an attention.
    fn prompt_length(&self) -> usize {
        0
    }

    /// The setting that holds [`Method::prompt_length`], for messages.
    fn prompt_setting(&self) -> &'static str {
        "prompt_length"
    }

    /// Whether runs side by side share the backbone; those that do not gain nothing from company.
    fn side_by_side(&self) -> bool {
        true
    }

    /// Changes the embeddings that enter a stack.
    fn input(&self, pass: &Pass, stack: Stack, input: Input) -> Input {
        let _ = (pass, stack);
        input
    }

    /// Changes what enters a linear map: `[runs, batch, length, in]`.
    fn projection_input(&self, pass: &Pass, site: Site, input: Tensor<4>) -> Tensor<4> {
        let _ = (pass, site);
        input
    }

    /// Puts positions before the keys and values of an attention. They are visible to every query, have no position
    /// bias, and do not count as decoded.
    fn keys_values(&self, pass: &Pass, at: Sublayer, memory: KeysValues) -> KeysValues {
        let _ = (pass, at);
        memory
    }

    /// Changes what a linear map makes of `input` `[runs, batch, length, in]`.
    fn projection(&self, pass: &Pass, site: Site, input: &Tensor<4>, output: Tensor<4>) -> Tensor<4> {
        let _ = (pass, site, input);
        output
    }

    /// Changes what the norm whose scale has this name gives, `[runs, batch, length, d_model]`.
    fn norm(&self, pass: &Pass, name: &str, output: Tensor<4>) -> Tensor<4> {
        let _ = (pass, name);
        output
    }

    /// Changes a sub-layer's output `[runs, batch, length, d_model]` before it joins the residual stream.
    fn sublayer(&self, pass: &Pass, at: Sublayer, output: Tensor<4>) -> Tensor<4> {
        let _ = (pass, at);
        output
    }
}

/// Number of trainable parameters of one run.
pub fn num_trainable(method: &dyn Method, config: &T5Config) -> usize {
    method.parameters(config).iter().map(Parameter::len).sum()
}

/// Bytes that training so many runs side by side takes beside the backbone and the activations: each parameter,
/// its gradient and the optimizer's two moments, in f32.
pub fn training_bytes(method: &dyn Method, config: &T5Config, runs: usize) -> u64 {
    let floats = num_trainable(method, config) as u128 * runs as u128 * 4;
    u64::try_from(floats * size_of::<f32>() as u128).unwrap_or(u64::MAX)
}

/// A line of the registry.
#[derive(Clone, Copy)]
pub struct Registered {
    /// Name in configuration files and on the command line.
    pub name: &'static str,
    /// Name in tables.
    pub title: &'static str,
    /// Where the method comes from.
    pub paper: &'static str,
    /// The setting that says how many source tokens the method can take, if it has one.
    pub length_setting: Option<&'static str>,
    build: fn(Value) -> Result<Built, String>,
}

/// A method and its settings, defaults filled in.
#[derive(Debug)]
pub struct Built {
    /// The method.
    pub method: Box<dyn Method>,
    /// All of its settings.
    pub settings: Map<String, Value>,
}

/// The methods of this crate.
pub static METHODS: &[Registered] = &[
    full::REGISTERED,
    prompt_tuning::REGISTERED,
    dept::REGISTERED,
    adept::REGISTERED,
    adapter::REGISTERED,
    bitfit::REGISTERED,
    lora::REGISTERED,
    prefix_tuning::REGISTERED,
    ia3::REGISTERED,
    layer_norm::REGISTERED,
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

impl Registered {
    /// A registry line for a method: its name in configuration files, its title in tables, and its paper.
    pub const fn new<M>(name: &'static str, title: &'static str, paper: &'static str) -> Self
    where
        M: Method + Checked + Serialize + DeserializeOwned + 'static,
    {
        Self { name, title, paper, length_setting: M::LENGTH_SETTING, build: build_as::<M> }
    }
}

/// Settings that can be out of range.
pub trait Checked {
    /// The setting that says how many source tokens the method can take, if it has one.
    const LENGTH_SETTING: Option<&'static str> = None;

    /// Checks the settings.
    ///
    /// # Errors
    /// The message names the setting and says what would be right.
    fn check(&self) -> Result<(), String>;
}

fn build_as<M>(settings: Value) -> Result<Built, String>
where
    M: Method + Checked + Serialize + DeserializeOwned + 'static,
{
    let method: M = settings::read(settings)?;
    method.check()?;
    let Ok(Value::Object(settings)) = serde_json::to_value(&method) else {
        unreachable!("settings are a struct of plain values");
    };
    Ok(Built { method: Box::new(method), settings })
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
pub fn build(name: &str, settings: &Map<String, Value>) -> Result<Built, Error> {
    let registered = find(name)?;
    (registered.build)(Value::Object(settings.clone()))
        .map_err(|problem| Error::Setting { method: name.into(), problem })
}

/// Builds a method for sources of up to so many tokens: its setting for their length, where it has one and
/// that is left out, takes this value.
///
/// # Errors
/// As [`build`].
pub fn build_for(name: &str, settings: &Map<String, Value>, source_tokens: usize) -> Result<Built, Error> {
    let mut settings = settings.clone();
    if let Some(key) = find(name)?.length_setting {
        settings.entry(key).or_insert(source_tokens.into());
    }
    build(name, &settings)
}

/// The backbone as it is: no trainable parameters, every hook unchanged.
pub fn frozen() -> Built {
    Built { method: Box::new(Frozen), settings: Map::new() }
}

#[derive(Debug)]
struct Frozen;

impl Method for Frozen {
    fn parameters(&self, _config: &T5Config) -> Vec<Parameter> {
        Vec::new()
    }

    fn learning_rates(&self) -> Vec<(Group, f64)> {
        Vec::new()
    }
}

/// Refuses a learning rate that is not a positive number.
///
/// # Errors
/// The message names the setting.
pub fn learning_rate(setting: &str, value: f64) -> Result<(), String> {
    factor(setting, value)
}

fn factor(setting: &str, value: f64) -> Result<(), String> {
    if !(value.is_finite() && value > 0.0) {
        return Err(format!("`{setting}` is {value}; it must be a positive number"));
    }
    Ok(())
}

fn probability(setting: &str, value: f64) -> Result<(), String> {
    if !(0.0..1.0).contains(&value) {
        return Err(format!("`{setting}` is {value}; it must be in [0, 1)"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn trainable(name: &str, settings: Value) -> usize {
        let Value::Object(settings) = settings else { panic!("settings are an object") };
        let built = build(name, &settings).unwrap();
        num_trainable(built.method.as_ref(), &T5Config::t5_base())
    }

    #[test]
    fn trainable_parameters_on_t5_base_are_the_published_ones() {
        assert_eq!(trainable("full", json!({})), 222_903_552);
        assert_eq!(trainable("prompt-tuning", json!({})), 76_800);
        for (m, r, s) in [(40, 45, 256), (60, 30, 256), (80, 15, 256), (20, 60, 256), (60, 24, 512)] {
            let settings = json!({"prompt_length": m, "rank": r, "max_length": s});
            assert_eq!(trainable("dept", settings), 76_800);
        }
        for (m, r, count) in
            [(60, 19, 76_051), (0, 49, 76_081), (20, 39, 76_071), (40, 29, 76_061), (80, 9, 76_041)]
        {
            assert_eq!(trainable("adept", json!({"prompt_length": m, "bottleneck": r})), count);
        }
        assert_eq!(trainable("adapter", json!({})), 1_855_104);
        assert_eq!(trainable("bitfit", json!({})), 280_960);
        assert_eq!(trainable("bitfit", json!({"norms": "scale"})), 280_960);
        assert_eq!(trainable("bitfit", json!({"norms": "none"})), 280_960 - 60 * 768);
        assert_eq!(trainable("lora", json!({})), 3_538_944);
        assert_eq!(trainable("lora", json!({"rank": 34})), 3_760_128);
        // Two factors of 768 in each of 36 attentions, one of 3,072 in each of 24 feed-forward layers.
        assert_eq!(trainable("ia3", json!({})), 2 * 768 * 36 + 3072 * 24);
        assert_eq!(trainable("layer-norm", json!({})), 62 * 768);
        assert_eq!(trainable("prefix-tuning", json!({"hidden": 0})), 20 * 2 * 768 * 36);
        let network = 20 * 768 + 512 * 768 + 512 + (512 + 1) * 12 * 2 * 768;
        assert_eq!(trainable("prefix-tuning", json!({})), 3 * network);
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
            ("prompt-tuning", "prompt_length", json!(usize::MAX)),
            ("dept", "prompt_length", json!(1u64 << 40)),
            ("adept", "prompt_length", json!(1u64 << 40)),
            ("lora", "rank", json!(0)),
            ("lora", "alpha", json!(-1.0)),
            ("dept", "alpha", json!(0)),
            ("adapter", "bottleneck", json!(1 << 25)),
            ("prefix-tuning", "prefix_length", json!(0)),
            ("prefix-tuning", "hidden", json!(1 << 25)),
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

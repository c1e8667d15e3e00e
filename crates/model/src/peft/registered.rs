use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::hf_peft::{HfPeft, Interchange};
use crate::Method;
use crate::settings;

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
    /// How Python's peft keeps its adapters, where it has the method.
    pub hf_peft: Option<Interchange>,
    build: fn(Value) -> Result<ConfiguredMethod, String>,
}

/// A method and all of its settings.
#[derive(Debug)]
pub struct ConfiguredMethod {
    /// The method.
    pub method: Box<dyn Method>,
    /// Its settings, defaults filled in.
    pub settings: Map<String, Value>,
}

/// Settings that can be out of range.
pub trait Validate {
    /// The setting that says how many source tokens the method can take, if it has one.
    const LENGTH_SETTING: Option<&'static str> = None;

    /// Checks the settings.
    ///
    /// # Errors
    /// The message names the setting and says what would be right.
    fn validate(&self) -> Result<(), String>;
}

impl Registered {
    /// A registry line for a method: its name in configuration files, its title in tables, and its paper. The method is
    /// the struct of its settings, whose defaults are the published ones.
    pub const fn new<M>(name: &'static str, title: &'static str, paper: &'static str) -> Self
    where
        M: Method + Validate + Default + Serialize + DeserializeOwned + 'static,
    {
        let length_setting = M::LENGTH_SETTING;
        Self { name, title, paper, length_setting, hf_peft: None, build: build::<M> }
    }

    /// The same line for a method that Python's peft has too.
    pub const fn as_in_peft<M: HfPeft + Serialize + DeserializeOwned>(self) -> Self {
        Self { hf_peft: Some(Interchange::of::<M>()), ..self }
    }

    /// Builds the method; settings that are left out take their defaults.
    pub(super) fn build(&self, settings: Value) -> Result<ConfiguredMethod, String> {
        (self.build)(settings)
    }
}

fn build<M>(given: Value) -> Result<ConfiguredMethod, String>
where
    M: Method + Validate + Default + Serialize + DeserializeOwned + 'static,
{
    let mut all = settings_of(&M::default());
    settings::merge(&mut all, given);
    let method: M = settings::read(all)?;
    method.validate()?;
    let Value::Object(settings) = settings_of(&method) else { unreachable!("a method is a struct") };
    Ok(ConfiguredMethod { method: Box::new(method), settings })
}

fn settings_of(method: &impl Serialize) -> Value {
    serde_json::to_value(method).expect("settings are plain values")
}

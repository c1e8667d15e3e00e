use peft_model::SourceSpec;
use peft_model::peft::ConfiguredMethod;

/// A method with its settings, under the name it has in tables.
#[derive(Debug)]
pub struct Instance {
    pub name: String,
    /// Name in the registry.
    pub method: String,
    pub built: ConfiguredMethod,
    /// What the method starts from on its task.
    pub sources: Vec<SourceSpec>,
    /// The task, most often a mixture, that it trains on, where that is not the one on which it is scored.
    pub train_on: Option<String>,
}

#[cfg(test)]
impl Instance {
    /// A method under its own name, with these settings.
    pub(super) fn of(method: &str, settings: serde_json::Value) -> Self {
        let built = peft_model::peft::build(method, settings.as_object().unwrap()).unwrap();
        Self { name: method.into(), method: method.into(), built, sources: Vec::new(), train_on: None }
    }
}

use peft_model::peft::ConfiguredMethod;

/// A method with its settings, under the name it has in tables.
#[derive(Debug)]
pub struct Instance {
    pub name: String,
    /// Name in the registry.
    pub method: String,
    pub built: ConfiguredMethod,
    /// The task, most often a mixture, that it trains on, where that is not the one on which it is scored.
    pub train_on: Option<String>,
}

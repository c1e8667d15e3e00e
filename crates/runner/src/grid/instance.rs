use peft_model::peft::ConfiguredMethod;

/// A method with its settings, under the name it has in tables.
#[derive(Debug)]
pub struct Instance {
    pub name: String,
    /// Name in the registry.
    pub method: String,
    pub built: ConfiguredMethod,
}

//! Adapters in the layout of Python's peft: `adapter_config.json` beside `adapter_model.safetensors`.
//!
//! A method that peft has too says which fields and tensors there are its settings and parameters ([`HfPeft`], a file each);
//! reading and writing follow from that. A field that changes the arithmetic is honored or refused by its
//! name, and so is every tensor.

mod fields;
mod read;
mod write;

mod adalora;
mod dept;
mod ia3;
mod layer_norm;
mod lora;
mod p_tuning_v2;
mod prompt_tuning;
mod vera;

use std::ops::Range;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

pub use fields::Fields;
pub use read::{HfAdapter, base_model, is_hf_adapter, read};
pub use write::{write, write_prompt};

use crate::layout::Layout;
use crate::settings;

/// Name of the file that describes an adapter.
pub const CONFIG: &str = "adapter_config.json";

/// Name of the file that holds its tensors.
pub const TENSORS: &str = "adapter_model.safetensors";

/// What peft puts before the names of the backbone's modules.
pub const PREFIX: &str = "base_model.model.";

/// A parameter of a method as peft keeps it: the same elements in the same order.
#[derive(Debug, Clone, PartialEq)]
pub struct HfTensor {
    /// Name of the parameter.
    pub ours: String,
    /// Name in `adapter_model.safetensors`.
    pub theirs: String,
    /// Shape of the tensor there.
    pub shape: Vec<usize>,
    /// The first of its columns, where parameters lie side by side in one tensor of rows.
    pub column: Option<usize>,
}

impl HfTensor {
    /// Pairs two names; the shape is that of the file.
    pub fn new(ours: impl Into<String>, theirs: impl Into<String>, shape: &[usize]) -> Self {
        Self { ours: ours.into(), theirs: theirs.into(), shape: shape.to_vec(), column: None }
    }

    /// Where the parameter, of so many values, lies among those of the tensor.
    fn places(&self, values: usize) -> Vec<Range<usize>> {
        let (rows, columns, column) = match self.column {
            Some(column) => (self.shape[0], self.shape[1], column),
            None => (1, values, 0),
        };
        (0..rows).map(|row| row * columns + column).map(|start| start..start + values / rows).collect()
    }
}

/// A method that Python's peft has too. The method is the struct of its settings.
pub trait HfPeft: Sized {
    /// The values of `peft_type` that it may be described by; the first is written.
    const TYPES: &'static [&'static str];

    /// Takes the fields that are settings; `None` where they describe another method of the same `peft_type`. Fields
    /// that are left are refused unless they change nothing.
    ///
    /// # Errors
    /// When a field asks for what the method does not do; the message names it.
    fn from_fields(fields: &mut Fields, layout: &Layout) -> Result<Option<Self>, String>;

    /// The settings as fields, without `peft_type` and what is the same for every method.
    ///
    /// # Errors
    /// When a setting has no counterpart in peft; the message names it.
    fn to_fields(&self, layout: &Layout) -> Result<Map<String, Value>, String>;

    /// Where peft keeps each parameter. Those that do not train and start from zero may be left out.
    fn tensors(&self, layout: &Layout) -> Vec<HfTensor>;
}

/// The fields of a description.
type Description = Map<String, Value>;

/// How the adapters of a registered method are read and written.
#[derive(Clone, Copy)]
pub struct Interchange {
    types: &'static [&'static str],
    from_fields: fn(&mut Fields, &Layout) -> Result<Option<Value>, String>,
    to_fields: fn(Value, &Layout) -> Result<Description, String>,
    tensors: fn(Value, &Layout) -> Result<Vec<HfTensor>, String>,
}

impl Interchange {
    /// The values of `peft_type` that describe the method.
    pub fn types(&self) -> &'static [&'static str] {
        self.types
    }

    pub(crate) const fn of<M>() -> Self
    where
        M: HfPeft + Serialize + DeserializeOwned,
    {
        Self {
            types: M::TYPES,
            from_fields: |fields, layout| {
                let method = M::from_fields(fields, layout)?;
                Ok(method.map(|method| serde_json::to_value(method).expect("settings are plain values")))
            },
            to_fields: |settings, layout| settings::read::<M>(settings)?.to_fields(layout),
            tensors: |settings, layout| Ok(settings::read::<M>(settings)?.tensors(layout)),
        }
    }
}

use serde_json::{Map, Value, json};

use super::{Fields, HfPeft, HfTensor, PREFIX};
use crate::layout::{Layout, Linear};
use crate::peft::targets::Targets;
use crate::peft::vera::{A, B, Vera, vector_b, vector_d};

impl HfPeft for Vera {
    const TYPES: &'static [&'static str] = &["VERA"];

    fn from_fields(fields: &mut Fields, _layout: &Layout) -> Result<Option<Self>, String> {
        fields.expect("bias", "none")?;
        // A and B are in the file, or else they are missing there; that they can be drawn again is of no use here.
        fields.ignore(&["init_weights", "projection_prng_key", "save_projection"]);
        Ok(Some(Self {
            rank: fields.size("r")?,
            initial_d: fields.number("d_initial")?,
            dropout: fields.number("vera_dropout")?,
            targets: Targets(fields.names("target_modules")?),
            ..Self::default()
        }))
    }

    fn to_fields(&self, _layout: &Layout) -> Result<Map<String, Value>, String> {
        let Self { rank, initial_d, dropout, targets, learning_rate: _ } = self;
        let fields = json!({
            "r": rank,
            "d_initial": initial_d,
            "vera_dropout": dropout,
            "target_modules": targets,
            "bias": "none",
            "fan_in_fan_out": false,
            "save_projection": true,
        });
        Ok(fields.as_object().cloned().unwrap_or_default())
    }

    fn tensors(&self, layout: &Layout) -> Vec<HfTensor> {
        let [out, input] = self.largest(layout);
        let vectors = |linear: &Linear| {
            let theirs = |part: &str| format!("{PREFIX}{}.vera_lambda_{part}", linear.path);
            [
                HfTensor::new(vector_d(linear), theirs("d"), &[self.rank]),
                HfTensor::new(vector_b(linear), theirs("b"), &linear.shape[..1]),
            ]
        };
        let adapted = layout.linears.iter().filter(|linear| self.targets.adapt(linear));
        [
            HfTensor::new(A, "base_model.vera_A", &[self.rank, input]),
            HfTensor::new(B, "base_model.vera_B", &[out, self.rank]),
        ]
        .into_iter()
        .chain(adapted.flat_map(vectors))
        .collect()
    }
}

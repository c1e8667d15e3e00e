//! Trains LoRA on a few rows of token ids, saves it, and loads it again.
//!
//! `cargo run --release -p peft-model --example train_lora -- FOLDER_OF_A_T5`

use std::path::Path;

use burn::tensor::{DType, Device};
use peft_model::dropout::Dropout;
use peft_model::optim::{AdamW, AdamWSettings, Part, Update, linear};
use peft_model::{Adaptation, Batch, StepCount, adapter, families, peft};
use serde_json::json;

const STEPS: u64 = 20;

/// The losses before and after training, and after loading.
pub(crate) fn train(model: &Path, file: &Path) -> Result<[f32; 3], Box<dyn std::error::Error>> {
    let device = Device::flex();
    let backbone = families::load(model, &device, DType::F32)?;
    let settings = json!({"rank": 4, "learning_rate": 1e-2});
    let lora = peft::build("lora", settings.as_object().ok_or("a table")?)?.method;

    // One run of two rows, each a source and a target; several runs would train side by side.
    let rows: [(&[u32], &[u32]); 2] = [(&[5, 8, 13, 1], &[21, 1]), (&[34, 55, 1], &[3, 1])];
    let batch = Batch::new(&[rows.to_vec()], backbone.layout().tokens.pad, &device);
    let seeds = [42];
    let mut parameters = backbone.start(lora.as_ref(), &seeds, &|_| Vec::new())?;
    let mut optimizer =
        AdamW::new(&parameters, AdamWSettings { epsilon: 1e-6, weight_decay: 0.0, max_gradient_norm: 1.0 });

    let before = backbone.target_loss(&Adaptation::new(lora.as_ref(), &parameters), &batch);
    for step in 0..STEPS {
        let update = Update {
            backbone: backbone.as_ref(),
            method: lora.as_ref(),
            count: StepCount { step: step + 1, steps: STEPS },
            rates: &[lora.learning_rates()],
            factor: linear(step, 0, STEPS),
            gradient_checkpointing: false,
        };
        let part = Part { slices: vec![batch.clone()], dropout: Dropout::new(&seeds, step), share: 1.0 };
        update.apply(&mut parameters, &mut optimizer, [part]);
    }
    let after = backbone.target_loss(&Adaptation::new(lora.as_ref(), &parameters), &batch);

    adapter::save(&parameters, 0, file)?;
    let declared = lora.parameters(backbone.layout())?;
    let loaded = adapter::load(declared, file, 1 << 20, &device, DType::F32)?;
    let again = backbone.target_loss(&Adaptation::new(lora.as_ref(), &loaded), &batch);
    Ok([before, after, again].map(|loss| loss.into_scalar()))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("which folder is the T5 in?")?;
    let [before, after, again] = train(Path::new(&folder), Path::new("lora.safetensors"))?;
    println!("loss before {before:.4}, after {after:.4}, of the saved adapter {again:.4}");
    Ok(())
}

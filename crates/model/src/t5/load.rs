//! Takes T5's tensors out of a checkpoint.

use std::collections::HashMap;

use burn::tensor::{DType, Device};

use super::layout::{HEAD, SHARED, final_norm};
use super::{T5Config, T5Configuration};
use crate::Error;
use crate::layout::Stack;
use crate::weights::{Checkpoint, Reader, Weights, unreadable};

/// Other names under which checkpoints keep the shared embedding table.
const SHARED_ALIASES: [&str; 2] = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];

/// In old checkpoints of T5; nothing ever used it.
const RELIC: &str = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";

/// Takes the tensors out of a checkpoint; the head is its own where its weight differs from the embedding table,
/// whatever the configuration says.
pub(super) fn load(
    config: &T5Config,
    checkpoint: &Checkpoint,
    device: &Device,
    dtype: DType,
) -> Result<(T5Configuration, Weights), Error> {
    let mut reader = Reader::new(checkpoint, &final_norm(Stack::Encoder).weight)?;
    let table = embedding_table(&mut reader, config)?;
    let head = head(&mut reader, config, &table)?;
    let configuration =
        T5Configuration::new(T5Config { tie_word_embeddings: head.is_none(), ..config.clone() })
            .map_err(|problem| Error::Config { path: reader.path().into(), problem })?;
    let mut given = HashMap::from([(SHARED, Some(table)), (HEAD, head)]);
    let mut weights = Weights::try_new(&configuration.layout, device, dtype, |name, shape| {
        match given.get_mut(name).and_then(Option::take) {
            Some(values) => Ok(values),
            None => reader.tensor(name, shape),
        }
    })?;
    weights.note(reader.unused(&[RELIC]));
    Ok((configuration, weights))
}

/// The embedding table, from whichever of its names is there first; the others must hold the same.
fn embedding_table(reader: &mut Reader, config: &T5Config) -> Result<Vec<f32>, Error> {
    let shape = [config.vocab_size, config.d_model];
    let embeddings = [SHARED].into_iter().chain(SHARED_ALIASES);
    // A tied head is the table.
    let head = config.tie_word_embeddings.then_some(HEAD);
    let first = embeddings.clone().chain(head).find(|name| reader.contains(name)).unwrap_or(SHARED);
    let table = reader.tensor(first, &shape)?;
    for name in embeddings.filter(|&name| name != first) {
        if reader.contains(name) && reader.tensor(name, &shape)? != table {
            let problem = format!(
                "tensor `{name}` differs from `{first}`; only models whose encoder and decoder share one embedding \
                 table can be used"
            );
            return Err(unreadable(reader.path(), problem));
        }
    }
    Ok(table)
}

/// The head's own weight; `None` where it is the embedding table, which transformers 5 tells by the values.
fn head(reader: &mut Reader, config: &T5Config, table: &[f32]) -> Result<Option<Vec<f32>>, Error> {
    if config.tie_word_embeddings && !reader.contains(HEAD) {
        return Ok(None);
    }
    let head = reader.tensor(HEAD, &[config.vocab_size, config.d_model])?;
    Ok((head != table).then_some(head))
}

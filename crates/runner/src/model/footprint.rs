//! What a pass through a backbone must have in memory at once, at least: the tensors that cannot but exist together.
//!
//! Less than what it will use, so that nothing is refused that could run; [`training_row`] alone is an estimate from
//! above. All numbers are bytes of one run, and as large as can be counted where they are larger.

use peft_model::layout::{Layout, Projection, Site, Stack};

use crate::host::memory::floats;

/// The position bias of a self-attention over so many tokens, with the bucket of each pair: runs share it.
pub fn position_bias(layout: &Layout, length: usize) -> u64 {
    // A bucket takes as much as two floats.
    floats(&[length, length, layout.num_heads.saturating_add(2)])
}

/// Scoring given targets, or training on them: rows of so many source and target tokens.
pub fn teacher_forcing(layout: &Layout, rows: usize, source: usize, target: usize) -> u64 {
    let encoded = layer(layout, rows, source);
    let decoded = layer(layout, rows, target);
    let logits = floats(&[rows, target, layout.vocab_size]);
    encoded.max(decoded).max(logits)
}

/// What training keeps from the forward for the backward pass, beside [`teacher_forcing`]: in every layer but the
/// first, which a method may leave alone, the input of each norm and the queries, keys and values.
pub fn kept_for_gradients(layout: &Layout, rows: usize, source: usize, target: usize) -> u64 {
    let (d, inner) = (layout.d_model, layout.inner_dim);
    let encoder = [rows, source, layout.layers(Stack::Encoder).saturating_sub(1), 2 * d + 3 * inner];
    // Self-attention, attention to the source and the feed-forward layer.
    let decoder = [rows, target, layout.layers(Stack::Decoder).saturating_sub(1), 3 * d + 3 * inner];
    floats(&encoder).saturating_add(floats(&decoder))
}

/// Training on one row of so many source and target tokens, in a type of so many bytes: everything that any method
/// keeps from the forward for the backward pass, the layer at work there, and the logits.
pub fn training_row(
    layout: &Layout,
    bytes: u64,
    source: usize,
    target: usize,
    gradient_checkpointing: bool,
) -> u64 {
    let (d, inner) = (layout.d_model, layout.inner_dim);
    let gated =
        layout.linears.iter().any(|linear| matches!(linear.site, Site::Projection(_, Projection::Gate)));
    // A gate's activation is kept in its parts.
    let hidden = layout.d_ff.saturating_mul(if gated { 8 } else { 2 });
    // What goes into a norm and comes out, and into the attention and comes out.
    let (attention, feed_forward) = (2 * d + 4 * inner, (2 * d).saturating_add(hidden));
    let block = attention.saturating_mul(2).saturating_add(feed_forward);
    let (encoder, decoder) = (layout.layers(Stack::Encoder), layout.layers(Stack::Decoder));
    let kept = match gradient_checkpointing {
        // The states between blocks, and one block.
        true => [[source, encoder + 1, d], [target, decoder + 1, d], [source, 2, block]],
        // The last are the keys and values of the source.
        false => [
            [source, encoder, attention.saturating_add(feed_forward)],
            [target, decoder, block],
            [source, decoder, 2 * inner],
        ],
    };
    let at_work = [[source.max(target), 2, block], [target, 3, layout.vocab_size]];
    let count = |sizes: &[usize; 3]| sizes.iter().fold(bytes, |n, &size| n.saturating_mul(size as u64));
    kept.iter().chain(&at_work).map(count).fold(0, u64::saturating_add)
}

/// Generating answers of up to so many tokens: the keys and values of the source and of the answers.
pub fn generation(layout: &Layout, rows: usize, source: usize, new_tokens: usize) -> u64 {
    let caches = |length| floats(&[rows, length, 2 * layout.layers(Stack::Decoder), layout.inner_dim]);
    let decoding = floats(&[rows, layout.vocab_size]);
    let held = caches(source).saturating_add(caches(new_tokens)).saturating_add(decoding);
    held.max(layer(layout, rows, source))
}

/// The states that enter a layer and the widest of what it makes of them.
fn layer(layout: &Layout, rows: usize, length: usize) -> u64 {
    floats(&[rows, length, layout.d_model.saturating_add(layout.d_ff.max(layout.inner_dim))])
}

//! Pretrains a T5 on the pocket world, on span corruption mixed with supervised examples, as T5 itself was.

mod error;
mod examples;
mod publish;
mod recipe;
mod span_corruption;
mod tokenizer;
mod training;

pub use error::PretrainError;
pub use examples::{Example, Examples, held_out_text};
pub use recipe::Recipe;
pub use training::{HeldOut, Report, held_out_loss, pretrain};

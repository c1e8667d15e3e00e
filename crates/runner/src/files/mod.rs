//! Files: read whole and bounded, written whole or not at all, checked, digested, locked.

pub mod atomic;
pub mod checksum;
pub mod digest;
pub mod embedded;
pub mod lock;
mod parse;
mod regular;
pub mod tensors;
mod text;

pub use parse::{parse_json, parse_toml};
pub use regular::{FileError, bytes, open};
pub use text::{foreign, read_settings, read_text};

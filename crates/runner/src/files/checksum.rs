//! Files that carry the checksum of their own content, so that what was damaged or edited is never trusted.
//!
//! The checksum stands where the format has room for a text: in the metadata of safetensors and Parquet files, in a
//! field of JSON. It is that of the whole file with zeros in its place.

use std::ops::Range;

use super::digest::Digest;

/// The key under which formats with keys hold the checksum.
pub const KEY: &str = "checksum";

/// What the text begins with; found nowhere else in a file.
const MARK: &str = "peft-bench-sha256:";

/// Hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;

/// What can be wrong with a file's checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    #[error("it has no checksum: this program did not write it, or an older version did")]
    Missing,
    #[error("its checksum is not that of its content: it is damaged or edited")]
    Wrong,
}

/// What a file must contain before its checksum is filled in.
pub fn blank() -> String {
    format!("{MARK}{}", "0".repeat(DIGITS))
}

/// Where in a file the digits stand.
pub fn place(bytes: &[u8]) -> Option<Range<usize>> {
    let start = MARK.len() + find(bytes, MARK)?;
    (start + DIGITS <= bytes.len()).then_some(start..start + DIGITS)
}

/// Fills the checksum in.
///
/// # Panics
/// When the bytes have no [`blank`].
pub fn fill_in(bytes: &mut [u8]) {
    let place = place(bytes).expect("a blank for the checksum");
    let digits = of(bytes, &place);
    bytes[place].copy_from_slice(digits.as_bytes());
}

/// Checks a file's content.
///
/// # Errors
/// When it has no checksum, or one of another content.
pub fn check(bytes: &[u8]) -> Result<(), Damage> {
    let Some(place) = place(bytes) else {
        // A damaged checksum is not the lack of one.
        return Err(if find(bytes, KEY).is_some() { Damage::Wrong } else { Damage::Missing });
    };
    match bytes[place.clone()] == *of(bytes, &place).as_bytes() {
        true => Ok(()),
        false => Err(Damage::Wrong),
    }
}

fn find(bytes: &[u8], text: &str) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text.as_bytes())
}

fn of(bytes: &[u8], place: &Range<usize>) -> String {
    Digest::of(&bytes[..place.start]).and([b'0'; DIGITS]).and(&bytes[place.end..]).hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bit_can_change_unseen() {
        let mut bytes = format!("before {} after", blank()).into_bytes();
        assert_eq!(check(&bytes), Err(Damage::Wrong));
        fill_in(&mut bytes);
        assert_eq!(check(&bytes), Ok(()));
        for bit in 0..8 * bytes.len() {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(check(&changed).is_err(), "bit {bit}");
        }
        assert!(check(&[&bytes[..], b"x"].concat()).is_err());
        assert!((0..bytes.len()).all(|len| check(&bytes[..len]).is_err()));
    }

    #[test]
    fn a_damaged_checksum_is_not_the_lack_of_one() {
        assert_eq!(check(b"{\"method\": \"lora\"}"), Err(Damage::Missing));
        let mut bytes = format!("{{\"{KEY}\": \"{}\"}}", blank()).into_bytes();
        fill_in(&mut bytes);
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert_eq!(check(&changed), Err(Damage::Wrong), "byte {place}");
        }
    }
}

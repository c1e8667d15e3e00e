//! Checks the table of a SentencePiece normalizer, which the tokenizers library follows without bounds checks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Longest plausible replacement of a character, in bytes; Unicode's longest has 33.
const LONGEST: usize = 256;

/// Checks a `precompiled_charsmap`: the size of a double array in bytes, its units, and the zero-terminated
/// replacements that they point to.
///
/// # Errors
/// When some text would lead outside the table.
pub(super) fn check(base64: &str) -> Result<(), String> {
    let bytes = STANDARD.decode(base64).map_err(|e| format!("it is not base64 ({e})"))?;
    let (size, rest) = bytes.split_first_chunk().ok_or("it is truncated")?;
    let size = u32::from_le_bytes(*size) as usize / 4 * 4;
    let (units, replacements) = rest
        .split_at_checked(size)
        .ok_or_else(|| format!("it has {} of the {size} bytes that it declares", rest.len()))?;
    let replacements = std::str::from_utf8(replacements).map_err(|_| "its replacements are not UTF-8")?;
    let units =
        units.chunks_exact(4).map(|unit| Unit(u32::from_le_bytes(unit.try_into().unwrap_or_default())));
    Charsmap { units: units.collect(), replacements }.check()
}

/// An element of the double array.
#[derive(Clone, Copy)]
struct Unit(u32);

impl Unit {
    fn has_leaf(self) -> bool {
        self.0 >> 8 & 1 == 1
    }

    /// Where a leaf's replacement begins.
    fn value(self) -> usize {
        (self.0 & 0x7fff_ffff) as usize
    }

    /// The byte that leads here; none for a leaf.
    fn label(self) -> usize {
        (self.0 & 0x8000_00ff) as usize
    }

    fn offset(self) -> usize {
        (self.0 as usize >> 10) << ((self.0 & 1 << 9) >> 6)
    }
}

struct Charsmap<'a> {
    units: Vec<Unit>,
    replacements: &'a str,
}

impl Charsmap<'_> {
    /// Visits every node that a text could reach.
    fn check(&self) -> Result<(), String> {
        let root = self.units.first().ok_or("it is empty")?.offset();
        let mut seen = vec![false; self.units.len()];
        let mut nodes = vec![root];
        while let Some(node) = nodes.pop() {
            if node | 0xff >= self.units.len() {
                return Err("its table points outside itself".into());
            }
            if std::mem::replace(&mut seen[node], true) {
                continue;
            }
            for byte in 1..=0xff {
                let unit = self.units[node ^ byte];
                if unit.label() != byte {
                    continue;
                }
                let next = node ^ byte ^ unit.offset();
                if unit.has_leaf() {
                    let leaf = self.units.get(next).ok_or("its table points outside itself")?;
                    self.check_replacement(leaf.value())?;
                }
                nodes.push(next);
            }
        }
        Ok(())
    }

    fn check_replacement(&self, start: usize) -> Result<(), String> {
        let rest = self.replacements.get(start..).ok_or("its table points outside its replacements")?;
        match rest.bytes().take(LONGEST + 1).position(|byte| byte == 0).unwrap_or(rest.len()) {
            length if length > LONGEST => {
                Err(format!("it replaces a character with more than {LONGEST} bytes"))
            }
            _ => Ok(()),
        }
    }
}

/// A charsmap with these replacements.
#[cfg(test)]
pub(super) fn made_of(replacements: &[(&str, &str)]) -> String {
    use std::collections::BTreeMap;
    let prefixes = replacements.iter().flat_map(|(from, _)| (0..=from.len()).map(|n| &from.as_bytes()[..n]));
    let nodes: BTreeMap<&[u8], usize> = prefixes.map(|prefix| (prefix, 0)).collect();
    // Every node gets its own block.
    let nodes: BTreeMap<&[u8], usize> = nodes.into_keys().zip((1..).map(|block| block << 8)).collect();
    let mut units = vec![0; (nodes.len() + 1) << 8];
    units[0] = (nodes[&[][..]] as u32) << 10;
    for (prefix, node) in &nodes {
        if let Some((byte, parent)) = prefix.split_last() {
            let place = nodes[parent] ^ usize::from(*byte);
            units[place] = ((place ^ node) as u32) << 10 | u32::from(*byte);
        }
    }
    let mut text = String::new();
    for (from, to) in replacements {
        let node = nodes[from.as_bytes()];
        units[node] = 1 << 31 | text.len() as u32;
        let (byte, parent) = from.as_bytes().split_last().expect("something to replace");
        units[nodes[parent] ^ usize::from(*byte)] |= 1 << 8;
        text += to;
        text.push('\0');
    }
    let mut bytes = (4 * units.len() as u32).to_le_bytes().to_vec();
    bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
    bytes.extend(text.bytes());
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    use tokenizers::normalizers::Precompiled;

    use super::*;

    fn valid() -> String {
        made_of(&[("…", "..."), ("ﬁ", "fi"), ("f", "g"), ("\n", " "), ("e\u{301}", "é"), ("😀", "")])
    }

    #[test]
    fn a_valid_table_passes_and_works() {
        assert_eq!(check(&valid()), Ok(()));
        let charsmap = Precompiled::from(&STANDARD.decode(valid()).unwrap()).unwrap();
        assert_eq!(charsmap.normalize_string("ﬁf…\ne\u{301}x😀"), "fig... éx");
    }

    #[test]
    fn a_table_that_points_outside_itself_is_refused() {
        let refused = |bytes: &[u8], part: &str| {
            let problem = check(&STANDARD.encode(bytes)).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        };
        refused(b"", "truncated");
        refused(&[0; 3], "truncated");
        refused(&[0; 4], "is empty");
        refused(&[0xff; 4096], "declares");
        refused(&[4, 0, 0, 0, 0, 4, 0, 0], "outside itself");
        refused(&[4, 0, 0, 0, 0, 4, 0, 0, 0xff], "not UTF-8");
        let mut outside = STANDARD.decode(valid()).unwrap();
        outside.truncate(outside.len() - 8);
        refused(&outside, "outside its replacements");
        refused(&STANDARD.decode(made_of(&[("a", &"b".repeat(300))])).unwrap(), "more than 256 bytes");
        assert!(check("not base64").unwrap_err().contains("not base64"));
    }

    #[test]
    fn a_table_that_passes_never_panics() {
        let bytes = STANDARD.decode(valid()).unwrap();
        let mut rng = StdRng::seed_from_u64(1);
        let texts: Vec<String> =
            (0..200).map(|_| (0..8).map(|_| rng.random_range('\u{1}'..='\u{ffff}')).collect()).collect();
        let mut passed = 0;
        for _ in 0..3000 {
            let mut damaged = bytes.clone();
            for _ in 0..rng.random_range(1..40) {
                let place = rng.random_range(4..damaged.len());
                damaged[place] = rng.random();
            }
            if check(&STANDARD.encode(&damaged)).is_ok() {
                let charsmap = Precompiled::from(&damaged).unwrap();
                for text in &texts {
                    charsmap.normalize_string(&format!("f…ﬁ\n{text}e\u{301}😀"));
                }
                passed += 1;
            }
        }
        assert!(passed > 100, "{passed} damaged tables passed");
    }
}

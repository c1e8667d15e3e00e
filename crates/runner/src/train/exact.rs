//! Floats by a key, such as curves and scores, in JSON to the bit: as text, since JSON numbers are neither NaN nor
//! infinite, and not every reader keeps their last bit.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(super) fn serialize<'a, C, K, S>(values: &'a C, serializer: S) -> Result<S::Ok, S::Error>
where
    &'a C: IntoIterator,
    <&'a C as IntoIterator>::Item: Entry<Key = K>,
    K: Serialize,
    S: Serializer,
{
    let entries = values.into_iter().map(|entry| {
        let (key, value) = entry.parts();
        (key, format!("{value:?}"))
    });
    serializer.collect_seq(entries)
}

pub(super) fn deserialize<'de, C, K, D>(deserializer: D) -> Result<C, D::Error>
where
    C: FromIterator<(K, f64)>,
    K: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let entries: Vec<(K, String)> = Vec::deserialize(deserializer)?;
    entries.into_iter().map(|(key, text)| Ok((key, text.parse().map_err(D::Error::custom)?))).collect()
}

/// What lists of pairs and maps give when they are iterated over.
pub(super) trait Entry {
    type Key;

    fn parts(self) -> (Self::Key, f64);
}

impl<'a, K> Entry for &'a (K, f64) {
    type Key = &'a K;

    fn parts(self) -> (&'a K, f64) {
        (&self.0, self.1)
    }
}

impl<'a, K> Entry for (&'a K, &'a f64) {
    type Key = &'a K;

    fn parts(self) -> (&'a K, f64) {
        (self.0, *self.1)
    }
}

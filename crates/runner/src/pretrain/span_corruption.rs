//! T5's unsupervised objective (Raffel et al. 2020, section 3.1.4): spans of the text are replaced by
//! sentinels, and the target lists the masked span of each sentinel.

use rand::Rng;
use rand::seq::index;

/// How much is masked, and in spans of which length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Corruption {
    /// Fraction of tokens that are masked.
    pub density: f64,
    /// Mean length of a masked span, in tokens.
    pub mean_span: f64,
}

/// Corrupts the ids of a text without the EOS token to `(source, target)`, both with the EOS token.
///
/// `sentinels` are the ids for the first span, the second, and so on; their number limits the number of spans. A text
/// of fewer than two tokens is not corrupted.
pub(super) fn corrupt(
    ids: &[u32],
    corruption: Corruption,
    sentinels: &[u32],
    eos: u32,
    rng: &mut impl Rng,
) -> (Vec<u32>, Vec<u32>) {
    if ids.len() < 2 || sentinels.is_empty() {
        return ([ids, &[eos]].concat(), vec![eos]);
    }
    let masked = ((ids.len() as f64 * corruption.density).round() as usize).clamp(1, ids.len() - 1);
    let spans = ((masked as f64 / corruption.mean_span).round() as usize).max(1);
    let spans = spans.min(sentinels.len()).min(masked).min(ids.len() - masked);
    let lengths = composition(masked, spans, rng);
    let gaps = composition(ids.len() - masked, spans, rng);
    let (mut source, mut target, mut at) = (Vec::new(), Vec::new(), 0);
    for ((gap, length), &sentinel) in gaps.into_iter().zip(lengths).zip(sentinels) {
        source.extend(&ids[at..at + gap]);
        source.push(sentinel);
        target.push(sentinel);
        target.extend(&ids[at + gap..at + gap + length]);
        at += gap + length;
    }
    source.push(eos);
    target.push(eos);
    (source, target)
}

/// A uniformly random composition of `total` into `parts` positive parts.
fn composition(total: usize, parts: usize, rng: &mut impl Rng) -> Vec<usize> {
    let mut cuts: Vec<usize> = index::sample(rng, total - 1, parts - 1).iter().map(|cut| cut + 1).collect();
    cuts.sort_unstable();
    cuts.insert(0, 0);
    cuts.push(total);
    cuts.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[cfg(test)]
mod tests {
    use peft_model::random::keyed_rng;

    use super::*;

    #[test]
    fn source_and_target_together_restore_the_text() {
        let sentinels: Vec<u32> = (900..916).collect();
        let corruption = Corruption { density: 0.15, mean_span: 3.0 };
        let mut rng = keyed_rng(1, "test");
        for length in 2..80 {
            let ids: Vec<u32> = (10..10 + length).collect();
            let (source, target) = corrupt(&ids, corruption, &sentinels, 1, &mut rng);
            assert_eq!((source.last(), target.last()), (Some(&1), Some(&1)));
            let mut restored = Vec::new();
            for &id in &source[..source.len() - 1] {
                match sentinels.contains(&id) {
                    false => restored.push(id),
                    true => {
                        let start = target.iter().position(|&t| t == id).unwrap() + 1;
                        let masked = target[start..target.len() - 1].iter();
                        restored.extend(masked.take_while(|t| !sentinels.contains(t)));
                    }
                }
            }
            assert_eq!(restored, ids);
            let masked = target.iter().filter(|t| ids.contains(t)).count();
            assert_eq!(masked, ((f64::from(length) * 0.15).round() as usize).max(1));
        }
    }

    #[test]
    fn a_text_too_short_to_corrupt_is_unchanged() {
        let mut rng = keyed_rng(3, "test");
        let extreme = [(0.0, 1.0), (1.0, 1.0), (1.0, 1e300), (0.5, f64::MIN_POSITIVE)];
        for (density, mean_span) in extreme {
            let corruption = Corruption { density, mean_span };
            assert_eq!(corrupt(&[], corruption, &[9], 1, &mut rng), (vec![1], vec![1]));
            assert_eq!(corrupt(&[5], corruption, &[9], 1, &mut rng), (vec![5, 1], vec![1]));
            assert_eq!(corrupt(&[5, 6], corruption, &[], 1, &mut rng), (vec![5, 6, 1], vec![1]));
            let (source, target) = corrupt(&[5, 6], corruption, &[9], 1, &mut rng);
            assert_eq!((source, target), (vec![5, 9, 1], vec![9, 6, 1]));
        }
    }

    #[test]
    fn spans_have_the_requested_mean_length() {
        let ids: Vec<u32> = (10..210).collect();
        let sentinels: Vec<u32> = (900..916).collect();
        let corruption = Corruption { density: 0.15, mean_span: 3.0 };
        let (_, target) = corrupt(&ids, corruption, &sentinels, 1, &mut keyed_rng(2, "test"));
        assert_eq!(target.iter().filter(|t| sentinels.contains(t)).count(), 10);
    }
}

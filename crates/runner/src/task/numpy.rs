//! NumPy's `default_rng(seed).permutation(size)`, with which the reference's `datasets` library shuffles.

/// The permutation of `0..size`, equal to NumPy's for each of the 2^64 seeds.
pub(super) fn permutation(size: usize, seed: u64) -> Vec<u32> {
    let mut generator = Pcg64::new(seed);
    let mut rows: Vec<u32> = (0..size as u32).collect();
    for i in (1..size).rev() {
        rows.swap(i, generator.up_to(i as u32) as usize);
    }
    rows
}

/// PCG XSL RR 128/64 (O'Neill 2014), seeded as in NumPy.
struct Pcg64 {
    state: u128,
    increment: u128,
    /// The upper half of the last 64 bits, if only the lower one has been used.
    spare: Option<u32>,
}

const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;

impl Pcg64 {
    fn new(seed: u64) -> Self {
        let [state, stream] = seed_words(seed);
        let mut generator = Self { state: 0, increment: (stream << 1) | 1, spare: None };
        generator.step();
        generator.state = generator.state.wrapping_add(state);
        generator.step();
        generator
    }

    fn step(&mut self) {
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(self.increment);
    }

    fn next_u32(&mut self) -> u32 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        self.step();
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        let word = folded.rotate_right((self.state >> 122) as u32);
        self.spare = Some((word >> 32) as u32);
        word as u32
    }

    /// A number from 0 to `most`, inclusive: masked draws until one fits.
    fn up_to(&mut self, most: u32) -> u32 {
        let mask = u32::MAX >> most.leading_zeros();
        loop {
            let draw = self.next_u32() & mask;
            if draw <= most {
                return draw;
            }
        }
    }
}

/// NumPy's `SeedSequence(seed).generate_state(4, uint64)`: the state and the stream of a generator.
fn seed_words(seed: u64) -> [u128; 2] {
    let entropy = [seed as u32, (seed >> 32) as u32, 0, 0];
    let mut hash = Hash { constant: 0x43b0_d7e5, multiplier: 0x931e_8875 };
    let mut pool = entropy.map(|word| hash.mix(word));
    for source in 0..pool.len() {
        for target in (0..pool.len()).filter(|&target| target != source) {
            let hashed = hash.mix(pool[source]);
            let mixed = pool[target].wrapping_mul(0xca01_f9dd).wrapping_sub(hashed.wrapping_mul(0x4973_f715));
            pool[target] = mixed ^ (mixed >> 16);
        }
    }
    let mut hash = Hash { constant: 0x8b51_f9dd, multiplier: 0x58f3_8ded };
    let mut word = |i: usize| u128::from(hash.mix(pool[i % pool.len()]));
    // Two halves of 64 bits, the upper one first, of two words each, the lower one first.
    let mut number = || word(0) << 64 | word(1) << 96 | word(2) | word(3) << 32;
    [number(), number()]
}

/// The hash of NumPy's `SeedSequence`, whose constant changes with every word.
struct Hash {
    constant: u32,
    multiplier: u32,
}

impl Hash {
    fn mix(&mut self, word: u32) -> u32 {
        let word = word ^ self.constant;
        self.constant = self.constant.wrapping_mul(self.multiplier);
        let word = word.wrapping_mul(self.constant);
        word ^ (word >> 16)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        size: usize,
        seed: u64,
        first: Vec<u32>,
        last: Vec<u32>,
    }

    #[test]
    fn permutations_equal_numpys() {
        let file = include_str!("../../tests/fixtures/few_shot/permutations.json");
        let cases: Vec<Case> = serde_json::from_str(file).unwrap();
        assert!(cases.len() > 20);
        for Case { size, seed, first, last } in cases {
            let found = permutation(size, seed);
            assert!(found.starts_with(&first) && found.ends_with(&last), "{size} rows, seed {seed}");
        }
    }
}

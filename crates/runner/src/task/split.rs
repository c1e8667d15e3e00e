//! The reference's split rules: which rows are for training, validation and test.

use serde::{Deserialize, Serialize};

/// The seed of splits that name none, as in the reference: whatever the seed of a training.
const SPLIT_SEED: u32 = 42;

/// One of the three roles that rows play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Train,
    Validation,
    Test,
}

impl Role {
    /// Train, validation, test.
    pub const ALL: [Role; 3] = [Role::Train, Role::Validation, Role::Test];

    /// Lowercase name.
    pub fn name(self) -> &'static str {
        match self {
            Role::Train => "train",
            Role::Validation => "validation",
            Role::Test => "test",
        }
    }
}

/// How a dataset's own splits become train, validation and test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SplitRule {
    /// The dataset's own splits.
    Official {
        #[serde(default = "train")]
        train: String,
        #[serde(default = "validation")]
        validation: String,
        #[serde(default = "test")]
        test: String,
    },
    /// Small sets: the first half of the permuted validation split is for validation, the rest for test.
    HalveValidation {
        #[serde(default = "train")]
        train: String,
        #[serde(default = "validation")]
        validation: String,
        /// Of the permutation.
        #[serde(default = "split_seed", skip_serializing_if = "is_split_seed")]
        seed: u32,
    },
    /// Large sets: the first `held_out` rows of the permuted train split are for validation, the rest for training.
    HoldOut {
        #[serde(default = "train")]
        train: String,
        #[serde(default = "validation")]
        test: String,
        #[serde(default = "thousand")]
        held_out: usize,
        /// Most training rows that are kept, in permuted order.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_train: Option<usize>,
        /// Of the permutation.
        #[serde(default = "split_seed", skip_serializing_if = "is_split_seed")]
        seed: u32,
    },
    /// Datasets of one split: permuted and divided by these fractions; the rest is for training.
    Random {
        #[serde(default = "train")]
        from: String,
        #[serde(default = "tenth")]
        validation: f64,
        #[serde(default = "tenth")]
        test: f64,
        /// Of the permutation.
        #[serde(default = "split_seed", skip_serializing_if = "is_split_seed")]
        seed: u32,
    },
}

fn train() -> String {
    "train".into()
}
fn validation() -> String {
    "validation".into()
}
fn test() -> String {
    "test".into()
}
fn tenth() -> f64 {
    0.1
}
fn thousand() -> usize {
    1000
}
fn split_seed() -> u32 {
    SPLIT_SEED
}
/// Left out of what identifies rows, as before there was a choice.
fn is_split_seed(seed: &u32) -> bool {
    *seed == SPLIT_SEED
}

impl SplitRule {
    /// Splits of the usual names.
    pub(super) fn official() -> Self {
        Self::Official { train: train(), validation: validation(), test: test() }
    }

    /// The dataset's split that feeds a role.
    pub fn split(&self, role: Role) -> &str {
        match (self, role) {
            (Self::Official { train, .. }, Role::Train) => train,
            (Self::Official { validation, .. }, Role::Validation) => validation,
            (Self::Official { test, .. }, Role::Test) => test,
            (Self::HalveValidation { train, .. }, Role::Train) => train,
            (Self::HalveValidation { validation, .. }, _) => validation,
            (Self::HoldOut { test, .. }, Role::Test) => test,
            (Self::HoldOut { train, .. }, _) => train,
            (Self::Random { from, .. }, _) => from,
        }
    }

    /// The same rule with another seed; rules that draw nothing have none.
    pub fn with_seed(mut self, new: u32) -> Self {
        match &mut self {
            Self::Official { .. } => {}
            Self::HalveValidation { seed, .. } | Self::HoldOut { seed, .. } | Self::Random { seed, .. } => {
                *seed = new;
            }
        }
        self
    }

    /// Whether rows are drawn at random.
    pub fn is_drawn(&self) -> bool {
        !matches!(self, Self::Official { .. })
    }

    /// Checks the fractions; the error names the settings.
    pub fn check(&self) -> Result<(), String> {
        let Self::Random { validation, test, .. } = self else { return Ok(()) };
        let fits = *validation > 0.0 && *test > 0.0 && validation + test < 1.0;
        let wrong = || {
            format!(
                "`split.validation` and `split.test` are {validation} and {test}; they must be positive fractions that leave rows for training"
            )
        };
        if fits { Ok(()) } else { Err(wrong()) }
    }

    /// The row indices of a role, given the size of the split that feeds it.
    pub fn rows(&self, role: Role, size: usize) -> Vec<u32> {
        match (self, role) {
            (Self::HalveValidation { seed, .. }, Role::Validation) => {
                permutation(size, *seed)[..size / 2].to_vec()
            }
            (Self::HalveValidation { seed, .. }, Role::Test) => permutation(size, *seed)[size / 2..].to_vec(),
            (Self::HoldOut { held_out, seed, .. }, Role::Validation) => {
                permutation(size, *seed)[..(*held_out).min(size)].to_vec()
            }
            (Self::HoldOut { held_out, max_train, seed, .. }, Role::Train) => {
                let rest = permutation(size, *seed).into_iter().skip(*held_out);
                rest.take(max_train.unwrap_or(usize::MAX)).collect()
            }
            (Self::Random { validation, test, seed, .. }, _) => {
                let share = |share: f64| (size as f64 * share).round() as usize;
                let (tested, validated) = (share(*test).min(size), share(*validation));
                let mut rest = permutation(size, *seed).split_off(tested);
                let train = rest.split_off(validated.min(rest.len()));
                match role {
                    Role::Train => train,
                    Role::Validation => rest,
                    Role::Test => permutation(size, *seed)[..tested].to_vec(),
                }
            }
            _ => (0..size as u32).collect(),
        }
    }
}

/// PyTorch's `randperm(size)` on the CPU with a generator seeded by `seed`.
pub fn permutation(size: usize, seed: u32) -> Vec<u32> {
    let mut generator = MersenneTwister::new(seed);
    let mut rows: Vec<u32> = (0..size as u32).collect();
    for i in 0..size.saturating_sub(1) {
        let offset = generator.next_u32() as usize % (size - i);
        rows.swap(i, i + offset);
    }
    rows
}

/// MT19937 (Matsumoto and Nishimura 1998), the generator behind PyTorch's CPU random numbers.
struct MersenneTwister {
    state: [u32; 624],
    index: usize,
}

impl MersenneTwister {
    fn new(seed: u32) -> Self {
        let mut state = [seed; 624];
        for i in 1..624 {
            let previous = state[i - 1];
            state[i] = 1_812_433_253u32.wrapping_mul(previous ^ (previous >> 30)).wrapping_add(i as u32);
        }
        Self { state, index: 624 }
    }

    fn next_u32(&mut self) -> u32 {
        if self.index == 624 {
            self.twist();
        }
        let mut y = self.state[self.index];
        self.index += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn twist(&mut self) {
        for i in 0..624 {
            let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % 624] & 0x7fff_ffff);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + 397) % 624] ^ (y >> 1) ^ odd;
        }
        self.index = 0;
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn the_permutation_equals_pytorchs() {
        assert_eq!(permutation(10, 42), [2, 6, 1, 8, 4, 5, 0, 9, 3, 7]);
        assert!(permutation(0, 42).is_empty());
    }

    /// The rows of these roles from a split of this size, sorted.
    fn all_rows(rule: &SplitRule, roles: &[Role], size: usize) -> Vec<u32> {
        let mut rows: Vec<u32> = roles.iter().flat_map(|&role| rule.rows(role, size)).collect();
        rows.sort_unstable();
        rows
    }

    #[test]
    fn the_roles_of_one_split_partition_it() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..300 {
            let size = rng.random_range(0..600);
            let every: Vec<u32> = (0..size as u32).collect();

            let halves = SplitRule::HalveValidation { train: train(), validation: validation(), seed: 7 };
            assert_eq!(all_rows(&halves, &[Role::Validation, Role::Test], size), every);
            assert_eq!(halves.rows(Role::Train, size), every);
            assert_eq!(halves.rows(Role::Validation, size).len(), size / 2);

            let (first, second) = (rng.random_range(0.01..0.5), rng.random_range(0.01..0.49));
            let random = SplitRule::Random { from: train(), validation: first, test: second, seed: 7 };
            assert_eq!(all_rows(&random, &Role::ALL, size), every, "{random:?}");

            let held_out = rng.random_range(0..700);
            let hold_out = |max_train| SplitRule::HoldOut {
                train: train(),
                test: validation(),
                held_out,
                max_train,
                seed: 7,
            };
            assert_eq!(all_rows(&hold_out(None), &[Role::Train, Role::Validation], size), every);
            assert_eq!(hold_out(None).rows(Role::Test, size), every);

            // Only training rows beyond the limit are unused.
            let limit = rng.random_range(0..200);
            let mut some = all_rows(&hold_out(Some(limit)), &[Role::Train, Role::Validation], size);
            some.dedup();
            assert_eq!(some.len(), held_out.min(size) + limit.min(size.saturating_sub(held_out)));

            let official = SplitRule::Official { train: train(), validation: validation(), test: test() };
            assert!(Role::ALL.iter().all(|&role| official.rows(role, size) == every));
        }
    }

    #[test]
    fn a_seed_draws_other_rows_and_the_references_seed_goes_without_saying() {
        for rule in ["halve-validation", "hold-out", "random"] {
            let parse =
                |more: &str| toml::from_str::<SplitRule>(&format!("rule = \"{rule}\"\n{more}")).unwrap();
            let (plain, same, other) = (parse(""), parse("seed = 42"), parse("seed = 43"));
            assert!(plain.is_drawn());
            assert_eq!((&plain, &plain.clone().with_seed(43)), (&same, &other));
            assert_ne!(plain.rows(Role::Validation, 3000), other.rows(Role::Validation, 3000), "{rule}");
            let json = |rule: &SplitRule| serde_json::to_string(rule).unwrap();
            assert!(
                !json(&same).contains("seed") && json(&other).contains("\"seed\":43"),
                "{}",
                json(&other)
            );
        }
        let official: SplitRule = toml::from_str("rule = \"official\"").unwrap();
        assert_eq!(official.clone().with_seed(43), official);
        assert!(
            !official.is_drawn() && toml::from_str::<SplitRule>("rule = \"official\"\nseed = 1").is_err()
        );
    }

    #[test]
    fn fractions_are_rounded() {
        let random = SplitRule::Random { from: train(), validation: 0.2, test: 0.1, seed: 7 };
        assert_eq!(Role::ALL.map(|role| random.rows(role, 101).len()), [71, 20, 10]);
    }
}

//! Statistics for comparing methods over tasks, seeds and items.
//!
//! Pure functions of finite numbers. A function that has no answer for its input, such as an interval of one
//! value, returns `None` rather than NaN.

mod bootstrap;
mod detectable;
mod holm;
mod interval;
mod letters;
mod mcnemar;
mod quantile;
mod rliable;
mod student;
mod wilcoxon;

pub use bootstrap::{hierarchical_bootstrap, stratified_bootstrap};
pub use detectable::detectable_difference;
pub use holm::holm;
pub use interval::{Interval, deviation, mean, t_interval};
pub use letters::compact_letters;
pub use mcnemar::mcnemar_exact;
pub use quantile::quantile;
pub use rliable::{interquartile_mean, probability_of_improvement};
pub use wilcoxon::{SignedRank, wilcoxon};

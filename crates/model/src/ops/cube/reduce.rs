//! Sums and maxima over a cube, in an order that the number of units alone decides.

use cubecl::prelude::*;

/// Below every score; finite, since WGSL has no infinity.
pub const LOWEST: f32 = -3.0e38;

/// Sum of one value of each unit, which every unit gets.
#[cube]
pub fn sum(value: f32, #[comptime] units: usize) -> f32 {
    let mut lanes = Shared::<[f32]>::new_slice(units);
    let unit = UNIT_POS as usize;
    lanes[unit] = value;
    sync_cube();
    let mut width = comptime!(units / 2).runtime();
    while width > 0 {
        if unit < width {
            let other = lanes[unit + width];
            lanes[unit] += other;
        }
        sync_cube();
        width /= 2;
    }
    lanes[0]
}

/// Largest of one value of each unit, which every unit gets.
#[cube]
pub fn max(value: f32, #[comptime] units: usize) -> f32 {
    let mut lanes = Shared::<[f32]>::new_slice(units);
    let unit = UNIT_POS as usize;
    lanes[unit] = value;
    sync_cube();
    let mut width = comptime!(units / 2).runtime();
    while width > 0 {
        if unit < width {
            let other = lanes[unit + width];
            // A comparison that is false for NaN: NaN shows in the sum.
            if other > lanes[unit] {
                lanes[unit] = other;
            }
        }
        sync_cube();
        width /= 2;
    }
    lanes[0]
}

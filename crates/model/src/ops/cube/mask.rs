//! Dropout masks drawn on the device: the same hash as [`Mask`], so the same bits.

use std::sync::{Mutex, PoisonError};

use burn_cubecl::CubeDevice;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use cubecl::server::Handle;

use crate::dropout::Mask;

/// A [`Mask`] as kernels read it.
#[derive(CubeType, CubeLaunch)]
pub struct DeviceMask {
    /// Two halves of each run's key, the high one first.
    runs: Box<[u32]>,
    site_high: u32,
    site_low: u32,
    rows_per_run: u32,
    length: u32,
    first: u32,
    threshold: u32,
    scale: f32,
}

/// The keys of runs on a device.
struct Uploaded {
    device: CubeDevice,
    runs: Vec<u64>,
    handle: Handle,
}

/// The keys that were sent last: all masks of a training step share theirs.
static LAST: Mutex<Vec<Uploaded>> = Mutex::new(Vec::new());

/// Keys that are kept: those of a step of several trainings at once.
const MOST_KEPT: usize = 8;

/// Sends the keys of a mask's runs to the device of a tensor, eight bytes each, unless they are there.
fn runs(mask: &Mask, like: &CubeTensor) -> Handle {
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = last.iter().find(|keys| keys.device == like.device && keys.runs == mask.runs) {
        return found.handle.clone();
    }
    let halves: Vec<u32> = mask.runs.iter().flat_map(|key| [(key >> 32) as u32, *key as u32]).collect();
    let handle = like.client.create_from_slice(u32::as_bytes(&halves));
    last.truncate(MOST_KEPT - 1);
    last.insert(0, Uploaded { device: like.device.clone(), runs: mask.runs.clone(), handle: handle.clone() });
    handle
}

/// A mask on the device of a tensor.
pub fn upload(mask: &Mask, like: &CubeTensor) -> DeviceMaskLaunch {
    // SAFETY: there are two halves of each run's key.
    let runs = unsafe { BufferArg::from_raw_parts(runs(mask, like), 2 * mask.runs.len()) };
    let [rows_per_run, length, first] = [mask.rows_per_run, mask.length, mask.first].map(|n| n as u32);
    let (high, low) = ((mask.site >> 32) as u32, mask.site as u32);
    DeviceMaskLaunch::new(runs, high, low, rows_per_run, length, first, mask.threshold(), mask.scale())
}

#[cube]
impl DeviceMask {
    /// [`Mask::row_key`].
    pub fn row_key(&self, row: u32) -> u32 {
        let run = (row / self.rows_per_run) as usize;
        let row = row % self.rows_per_run;
        let key = mix(Wide {
            high: self.runs[2 * run] ^ self.site_high,
            low: self.runs[2 * run + 1] ^ self.site_low,
        });
        let high = key.high ^ (self.first + row / self.length);
        let low = key.low ^ (row % self.length);
        mix(Wide { high, low }).low
    }

    /// [`Mask::factor`].
    pub fn factor(&self, row_key: u32, column: u32) -> f32 {
        let draw = hash(row_key + column * 0x9e37_79b9u32) >> 8u32;
        select(draw < self.threshold, 0.0f32, self.scale)
    }

    /// The factors of neighboring elements of a row.
    pub fn factors<N: Size>(&self, row_key: u32, column: u32) -> Vector<f32, N> {
        let mut factors = Vector::<f32, N>::empty();
        #[unroll]
        for i in 0..N::value() {
            factors.insert(i, self.factor(row_key, column + i as u32));
        }
        factors
    }
}

/// A 64-bit number in two halves: not every device has 64-bit integers.
#[derive(CubeType, Clone, Copy)]
struct Wide {
    high: u32,
    low: u32,
}

/// SplitMix64's finalizer, [`crate::random::mix`].
#[cube]
fn mix(x: Wide) -> Wide {
    let sum = x.low + 0x7f4a_7c15u32;
    let carry = select(sum < x.low, 1u32, 0u32);
    let x = Wide { high: x.high + 0x9e37_79b9u32 + carry, low: sum };
    let x = multiply(fold(x, 30u32), 0xbf58_476du32, 0x1ce4_e5b9u32);
    let x = multiply(fold(x, 27u32), 0x94d0_49bbu32, 0x1331_11ebu32);
    fold(x, 31u32)
}

/// `x ^ (x >> shift)`, for a shift below 32.
#[cube]
fn fold(x: Wide, shift: u32) -> Wide {
    let low = (x.low >> shift) | (x.high << (32u32 - shift));
    Wide { high: x.high ^ (x.high >> shift), low: x.low ^ low }
}

/// The low 64 bits of a product.
#[cube]
fn multiply(x: Wide, high: u32, low: u32) -> Wide {
    Wide { high: x.low.mul_hi(low) + x.low * high + x.high * low, low: x.low * low }
}

/// The hash of [`crate::dropout`].
#[cube]
fn hash(x: u32) -> u32 {
    let x = (x ^ (x >> 16u32)) * 0x7feb_352du32;
    let x = (x ^ (x >> 15u32)) * 0x846c_a68bu32;
    x ^ (x >> 16u32)
}

/// What a kernel without dropout gets in a mask's place; anything, for it is not read.
pub fn absent(like: &CubeTensor) -> DeviceMaskLaunch {
    DeviceMaskLaunch::new(like.clone().into_buffer_arg(), 0, 0, 1, 1, 0, 0, 0.0)
}

use burn::tensor::{Int, Tensor, TensorData};

use super::{Cache, Pass, decode, encode};

/// Greedy decoding: for each run and row the ids after the start token, up to and including the end
/// token, at most `max_new_tokens` of them.
///
/// The source is encoded once and keys and values are cached; rows stop at their EOS token, the loop
/// when all have stopped. `source` and `source_mask` are `[runs, batch, length]`.
pub fn generate(
    pass: &Pass,
    source: Tensor<3, Int>,
    source_mask: Tensor<3>,
    max_new_tokens: usize,
) -> Vec<Vec<Vec<u32>>> {
    let [runs, batch, _] = source.dims();
    let config = pass.config();
    let device = source.device();
    let encoded = encode(pass, source, source_mask);
    let mut cache = Cache::new(config.decoder_layers());
    let mut rows: Vec<Vec<u32>> = vec![Vec::new(); runs * batch];
    let mut last = vec![i64::from(config.decoder_start_token_id); runs * batch];
    let mut stopped = vec![false; runs * batch];

    for _ in 0..max_new_tokens {
        let ids = Tensor::<3, Int>::from_data(TensorData::new(last.clone(), [runs, batch, 1]), &device);
        let next = decode(pass, ids, &encoded, Some(&mut cache)).argmax(3);
        let next: Vec<i64> = next.try_into_vec_as().expect("ids as i64");
        for ((row, stopped), &id) in rows.iter_mut().zip(&mut stopped).zip(&next) {
            if !*stopped {
                row.push(id as u32);
                *stopped = id == i64::from(config.eos_token_id);
            }
        }
        if stopped.iter().all(|&s| s) {
            break;
        }
        last = next;
    }
    let mut rows = rows.into_iter();
    (0..runs).map(|_| rows.by_ref().take(batch).collect()).collect()
}

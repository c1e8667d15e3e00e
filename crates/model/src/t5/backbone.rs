use std::collections::HashMap;

use burn::tensor::{DType, Device, Tensor, TensorData};
use rand_distr::{Distribution, Normal};

use super::position::relative_position_bucket;
use super::{Site, Stack, Sublayer, T5Config};
use crate::peft::Parameters;
use crate::random::keyed_rng;

/// A frozen T5: loaded once, never changed, shared by every run of every method.
///
/// Tensors keep the names of the hub's checkpoints and are all two-dimensional: linear weights
/// `[out, in]`, embedding tables `[rows, d_model]`, norm scales `[1, d_model]`.
#[derive(Debug, Clone)]
pub struct Backbone {
    config: T5Config,
    tensors: HashMap<String, Tensor<2>>,
    device: Device,
    pub(super) notes: Vec<String>,
}

impl Backbone {
    /// Gathers a backbone from its tensors.
    ///
    /// # Panics
    /// When a tensor that [`Backbone::shapes`] lists is missing.
    pub(super) fn new(config: T5Config, tensors: HashMap<String, Tensor<2>>, device: Device) -> Self {
        for (name, _) in Self::shapes(&config) {
            assert!(tensors.contains_key(&name), "tensor `{name}` is missing");
        }
        Self { config, tensors, device, notes: Vec::new() }
    }

    /// A backbone with T5's own random initialization (Raffel et al. 2020, in the Mesh TensorFlow
    /// code), for pretraining and for measurements that do not need trained weights.
    pub fn random(config: &T5Config, seed: u64, device: &Device) -> Self {
        let tensors = Self::shapes(config)
            .into_iter()
            .map(|(name, shape)| {
                let values = initial_values(config, &name, shape, seed);
                (name, Tensor::from_data(TensorData::new(values, shape), device))
            })
            .collect();
        Self::new(config.clone(), tensors, device.clone())
    }

    /// The backbone with a bias added to the encoder's relative position bias, so that the first heads look
    /// at the token before, the token after and the token itself.
    pub fn with_local_attention(mut self, bias: f32) -> Self {
        let name = Stack::Encoder.position_bias();
        let [_, heads] = self.tensor(&name).dims();
        let (buckets, distance) =
            (self.config.relative_attention_num_buckets, self.config.relative_attention_max_distance);
        for (head, offset) in (0..heads).zip([-1, 1, 0]) {
            let bucket = relative_position_bucket(offset, true, buckets, distance) as usize;
            let table = self.tensors[&name].clone();
            let cell = [bucket..bucket + 1, head..head + 1];
            let value = table.clone().slice(cell.clone()) + bias;
            self.tensors.insert(name.clone(), table.slice_assign(cell, value));
        }
        self
    }

    /// The backbone with another dropout rate.
    pub fn with_dropout_rate(mut self, rate: f64) -> Self {
        self.config.dropout_rate = rate;
        self
    }

    /// A backbone of what full fine-tuning or pretraining made of one, from its first run.
    ///
    /// # Panics
    /// When a tensor of the configuration is not among the parameters.
    pub fn from_parameters(config: &T5Config, parameters: &Parameters, device: &Device) -> Self {
        let trained: HashMap<&str, Vec<f32>> = parameters
            .declared()
            .iter()
            .zip(parameters.run_to_host(0))
            .map(|(parameter, values)| (parameter.name.as_str(), values))
            .collect();
        let tensors = Self::shapes(config)
            .into_iter()
            .map(|(name, shape)| {
                let values = trained[name.as_str()].clone();
                (name, Tensor::from_data(TensorData::new(values, shape), device))
            })
            .collect();
        Self::new(config.clone(), tensors, device.clone())
    }

    /// Name and shape of every tensor that the configuration asks for, in the order of computation.
    pub fn shapes(config: &T5Config) -> Vec<(String, [usize; 2])> {
        let mut shapes = vec![("shared.weight".into(), [config.vocab_size, config.d_model])];
        for stack in Stack::ALL {
            let buckets = [config.relative_attention_num_buckets, config.num_heads];
            shapes.push((stack.position_bias(), buckets));
            shapes.push((stack.final_norm(), [1, config.d_model]));
        }
        for sublayer in Sublayer::all(config) {
            shapes.push((sublayer.norm(), [1, config.d_model]));
            for &projection in sublayer.projections(config) {
                let site = sublayer.site(projection);
                shapes.push((site.weight(config), site.shape(config)));
            }
        }
        if !config.tie_word_embeddings {
            shapes.push((Site::Head.weight(config), Site::Head.shape(config)));
        }
        shapes
    }

    /// Number of parameters that the configuration asks for; it fits wherever the configuration was checked.
    pub fn num_parameters(config: &T5Config) -> usize {
        Self::shapes(config).iter().map(|(_, [rows, columns])| rows * columns).sum()
    }

    /// Bytes that the backbone takes, in f32.
    pub fn num_bytes(config: &T5Config) -> u64 {
        (Self::num_parameters(config) * size_of::<f32>()) as u64
    }

    /// Name of every norm, the two final ones last.
    pub fn norms(config: &T5Config) -> Vec<String> {
        let mut norms: Vec<String> = Sublayer::all(config).iter().map(Sublayer::norm).collect();
        norms.extend(Stack::ALL.map(Stack::final_norm));
        norms
    }

    /// The configuration.
    pub fn config(&self) -> &T5Config {
        &self.config
    }

    /// The device that holds the tensors.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The type in which the backbone computes.
    pub fn dtype(&self) -> DType {
        self.tensor("shared.weight").dtype()
    }

    /// What its files hold that the backbone does not use, a line each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// A tensor by its name in the checkpoint.
    ///
    /// # Panics
    /// When the configuration has no tensor of that name.
    pub fn tensor(&self, name: &str) -> &Tensor<2> {
        self.tensors.get(name).unwrap_or_else(|| panic!("T5 has no tensor `{name}`"))
    }

    /// All names and values, for writing a checkpoint or comparing two backbones.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Tensor<2>)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }
}

fn initial_values(config: &T5Config, name: &str, shape: [usize; 2], seed: u64) -> Vec<f32> {
    let count = shape[0] * shape[1];
    let factor = config.initializer_factor as f32;
    if name.ends_with("norm.weight") {
        return vec![factor; count];
    }
    let normal =
        Normal::new(0.0, factor * initial_deviation(config, name, shape)).expect("a finite deviation");
    let mut rng = keyed_rng(seed, name);
    (0..count).map(|_| normal.sample(&mut rng)).collect()
}

fn initial_deviation(config: &T5Config, name: &str, [_, inputs]: [usize; 2]) -> f32 {
    let d_model = config.d_model as f32;
    match name {
        // Queries absorb the 1/sqrt(d_kv) that T5's attention leaves out.
        _ if name.ends_with(".q.weight") => (d_model * config.d_kv as f32).powf(-0.5),
        _ if name.ends_with("relative_attention_bias.weight") => d_model.powf(-0.5),
        _ if name.contains(".block.") => (inputs as f32).powf(-0.5),
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t5_base_has_its_published_size() {
        assert_eq!(Backbone::num_parameters(&T5Config::t5_base()), 222_903_552);
        assert_eq!(Backbone::norms(&T5Config::t5_base()).len(), 62);
    }

    #[test]
    fn an_untied_head_and_unequal_depths_are_listed() {
        let config = T5Config {
            num_decoder_layers: Some(1),
            tie_word_embeddings: false,
            feed_forward_proj: "gated-gelu".into(),
            ..T5Config::t5_small()
        };
        let names: Vec<String> = Backbone::shapes(&config).into_iter().map(|(n, _)| n).collect();
        assert!(names.contains(&"lm_head.weight".into()));
        assert!(names.contains(&"decoder.block.0.layer.2.DenseReluDense.wi_1.weight".into()));
        assert!(!names.iter().any(|n| n.starts_with("decoder.block.1")));
    }
}

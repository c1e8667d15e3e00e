//! `config.json` and `generation_config.json`, read as transformers 5 reads them.
//!
//! Keys that the files leave out, that another key implies, or that ask for what is not T5 are dealt with here;
//! [`T5Config`] sees plain values.

use serde_json::{Map, Value};

use super::{FeedForward, T5Config, T5Configuration};
use crate::generation_config::NAME as GENERATION;

type Fields = Map<String, Value>;

/// Reads and checks the fields of a `config.json`, with those of a `generation_config.json`.
///
/// # Errors
/// When a field is missing or out of range, or asks for what is not T5, or the two files contradict each other.
pub fn read(given: &Fields, generation: &Fields) -> Result<T5Configuration, String> {
    let mut fields = given.clone();
    let kind = Kind::of(given);
    refuse_what_is_not_t5(given)?;
    agree_with_other_names(given)?;
    for key in ["num_decoder_layers", "tie_word_embeddings"] {
        if given.get(key) == Some(&Value::Null) {
            fields.remove(key);
        }
    }
    token_ids(&mut fields, generation)?;
    fields.entry("feed_forward_proj").or_insert_with(|| kind.feed_forward().into());
    agree_with_feed_forward(&fields)?;
    fields.insert("scale_decoder_outputs".into(), kind.scales(given)?.into());
    let config: T5Config = crate::settings::read(Value::Object(fields))?;
    T5Configuration::new(config)
}

/// The two families that have T5's tensors and arithmetic.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    T5,
    Mt5,
}

impl Kind {
    fn of(fields: &Fields) -> Self {
        match fields.get("model_type").is_some_and(|kind| kind == "mt5") {
            true => Self::Mt5,
            false => Self::T5,
        }
    }

    fn feed_forward(self) -> &'static str {
        match self {
            Self::T5 => "relu",
            Self::Mt5 => "gated-gelu",
        }
    }

    /// Whether decoder states are scaled before the head. transformers 4 tells by `tie_word_embeddings`;
    /// transformers 5 has a key of its own for T5, and never scales in mT5.
    fn scales(self, fields: &Fields) -> Result<bool, String> {
        match (self, fields.get("scale_decoder_outputs")) {
            (Self::Mt5, _) => Ok(false),
            (Self::T5, Some(&Value::Bool(scales))) => Ok(scales),
            (Self::T5, Some(other)) => {
                Err(format!("field `scale_decoder_outputs` is {other}; it must be true or false"))
            }
            (Self::T5, None) => Ok(fields.get("tie_word_embeddings") != Some(&Value::Bool(false))),
        }
    }
}

/// Keys that ask for another arithmetic than T5's, unless they have this value or are absent.
fn refuse_what_is_not_t5(fields: &Fields) -> Result<(), String> {
    let nothing = [Value::Null, Value::Bool(false), Value::Object(Map::new())];
    for (key, what) in [
        ("quantization_config", "quantized weights"),
        ("pruned_heads", "pruned attention heads"),
        ("per_layer_config", "layers that differ in shape"),
        ("tie_encoder_decoder", "a decoder that shares the encoder's weights"),
    ] {
        if let Some(value) = fields.get(key).filter(|value| !nothing.contains(value)) {
            return Err(format!("field `{key}` is {value}, but {what} cannot be used here; leave it out"));
        }
    }
    match fields.get("is_encoder_decoder") {
        None | Some(Value::Bool(true)) => Ok(()),
        Some(other) => Err(format!("field `is_encoder_decoder` is {other}; T5 needs true")),
    }
}

/// transformers lets these names overrule T5's own.
fn agree_with_other_names(fields: &Fields) -> Result<(), String> {
    for (other, own) in [
        ("hidden_size", "d_model"),
        ("num_attention_heads", "num_heads"),
        ("num_hidden_layers", "num_layers"),
        ("head_dim", "d_kv"),
    ] {
        if let (Some(a), Some(b)) = (fields.get(other), fields.get(own))
            && a != b
        {
            return Err(format!(
                "field `{other}` is {a}, but `{own}` is {b}; they are two names of one size"
            ));
        }
    }
    Ok(())
}

/// `dense_act_fn` and `is_gated_act` follow from `feed_forward_proj`; transformers lets them overrule it.
fn agree_with_feed_forward(fields: &Fields) -> Result<(), String> {
    let Some(Value::String(projection)) = fields.get("feed_forward_proj") else { return Ok(()) };
    let FeedForward { activation, gated } =
        projection.clone().try_into().map_err(|problem| format!("field `feed_forward_proj`: {problem}"))?;
    let implied =
        [("dense_act_fn", Value::String(activation.name().into())), ("is_gated_act", Value::Bool(gated))];
    for (key, implied) in implied {
        if let Some(value) = fields.get(key).filter(|value| **value != implied) {
            return Err(format!(
                "field `{key}` is {value}, but `feed_forward_proj` is \"{projection}\", which means {implied}"
            ));
        }
    }
    Ok(())
}

/// Ids of special tokens, from `generation_config.json` where `config.json` is silent.
fn token_ids(fields: &mut Fields, generation: &Fields) -> Result<(), String> {
    for key in ["pad_token_id", "eos_token_id", "decoder_start_token_id"] {
        let own = token_id(key, fields.get(key))?;
        let generated = token_id(key, generation.get(key)).map_err(|e| format!("{e} (in {GENERATION})"))?;
        match (&own, generated) {
            (Some(own), Some(generated)) if *own != generated => {
                return Err(format!(
                    "field `{key}` is {own}, but {GENERATION} says {generated}; answers would not end or begin as \
                     they are trained to"
                ));
            }
            (None, Some(generated)) => {
                fields.insert(key.into(), generated);
            }
            (Some(own), _) => {
                fields.insert(key.into(), own.clone());
            }
            // T5 starts its decoder with the pad token.
            (None, None) if key == "decoder_start_token_id" => {
                fields.remove(key);
                if let Some(pad) = fields.get("pad_token_id").cloned() {
                    fields.insert(key.into(), pad);
                }
            }
            (None, None) if fields.contains_key(key) => {
                return Err(format!("field `{key}` is null; it must be a token id"));
            }
            (None, None) => {}
        }
    }
    Ok(())
}

/// A single id, given as such or as a list of one; `None` where the file has none.
fn token_id(key: &str, value: Option<&Value>) -> Result<Option<Value>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(ids)) => match ids.as_slice() {
            [first, rest @ ..] if rest.iter().all(|id| id == first) => Ok(Some(first.clone())),
            _ => Err(format!("field `{key}` is {}; it must be a single token id", Value::from(ids.clone()))),
        },
        Some(id) => Ok(Some(id.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Activation;
    use super::*;
    use crate::generation_config::object;

    const MINIMAL: &str = r#"{"vocab_size":32,"d_model":8,"d_kv":4,"d_ff":16,"num_layers":2,"num_heads":3}"#;

    fn parse(text: &str) -> Result<T5Config, String> {
        read(&object(text)?, &Fields::new()).map(|configuration| configuration.config)
    }

    fn with(more: &str) -> Result<T5Config, String> {
        parse(&MINIMAL.replace(r#""d_kv":4"#, &format!(r#""d_kv":4,{more}"#)))
    }

    #[test]
    fn missing_fields_take_the_defaults_of_transformers() {
        let config = parse(MINIMAL).unwrap();
        assert_eq!(config.decoder_layers(), 2);
        assert_eq!(config.inner_dim(), 12);
        assert_eq!(config.feed_forward_proj.activation, Activation::Relu);
        assert!(
            config.tie_word_embeddings && config.scale_decoder_outputs && !config.feed_forward_proj.gated
        );
        assert_eq!((config.eos_token_id, config.pad_token_id, config.decoder_start_token_id), (1, 0, 0));
        let config = with(r#""model_type":"mt5""#).unwrap();
        assert!(config.feed_forward_proj.gated && !config.scale_decoder_outputs);
        assert_eq!(config.feed_forward_proj.activation, Activation::GeluNew);
    }

    #[test]
    fn scaling_follows_its_own_key_or_the_tie() {
        for (more, scales) in [
            (r#""tie_word_embeddings":true"#, true),
            (r#""tie_word_embeddings":null"#, true),
            (r#""tie_word_embeddings":false"#, false),
            (r#""tie_word_embeddings":true,"scale_decoder_outputs":false"#, false),
            (r#""scale_decoder_outputs":false"#, false),
            (r#""tie_word_embeddings":false,"scale_decoder_outputs":true"#, true),
            (r#""model_type":"mt5","tie_word_embeddings":true"#, false),
        ] {
            assert_eq!(with(more).unwrap().scale_decoder_outputs, scales, "{more}");
        }
    }

    #[test]
    fn what_says_the_same_twice_or_nothing_is_taken() {
        for more in [
            r#""feed_forward_proj":"gated-gelu","dense_act_fn":"gelu_new","is_gated_act":true"#,
            r#""dense_act_fn":"relu","is_gated_act":false,"num_decoder_layers":null,"decoder_start_token_id":null"#,
            r#""eos_token_id":[1],"pad_token_id":[0],"decoder_start_token_id":[0]"#,
            r#""hidden_size":8,"num_attention_heads":3,"num_hidden_layers":2,"head_dim":4"#,
            r#""quantization_config":null,"pruned_heads":{},"tie_encoder_decoder":false"#,
            r#""dtype":"bfloat16","torch_dtype":null,"is_decoder":false,"use_cache":false,"chunk_size_feed_forward":2"#,
        ] {
            with(more).unwrap();
        }
    }

    #[test]
    fn contradictions_and_what_t5_does_not_compute_are_refused_by_name() {
        for (field, more) in [
            ("dense_act_fn", r#""feed_forward_proj":"gated-gelu","dense_act_fn":"gelu""#),
            ("dense_act_fn", r#""dense_act_fn":"gelu_new""#),
            ("dense_act_fn", r#""dense_act_fn":null"#),
            ("is_gated_act", r#""is_gated_act":true"#),
            ("feed_forward_proj", r#""feed_forward_proj":"tanh""#),
            ("feed_forward_proj", r#""feed_forward_proj":null"#),
            ("scale_decoder_outputs", r#""scale_decoder_outputs":null"#),
            ("scale_decoder_outputs", r#""scale_decoder_outputs":0"#),
            ("tie_word_embeddings", r#""tie_word_embeddings":"false""#),
            ("hidden_size", r#""hidden_size":16"#),
            ("num_attention_heads", r#""num_attention_heads":4"#),
            ("num_hidden_layers", r#""num_hidden_layers":3"#),
            ("head_dim", r#""head_dim":8"#),
            ("quantization_config", r#""quantization_config":{"load_in_8bit":true}"#),
            ("pruned_heads", r#""pruned_heads":{"0":[1]}"#),
            ("tie_encoder_decoder", r#""tie_encoder_decoder":true"#),
            ("is_encoder_decoder", r#""is_encoder_decoder":false"#),
            ("eos_token_id", r#""eos_token_id":[1,2]"#),
            ("eos_token_id", r#""eos_token_id":[]"#),
            ("eos_token_id", r#""eos_token_id":null"#),
            ("eos_token_id", r#""eos_token_id":32"#),
            ("eos_token_id", r#""eos_token_id":"1""#),
            ("pad_token_id", r#""pad_token_id":null"#),
            ("pad_token_id", r#""pad_token_id":-1"#),
            ("dropout_rate", r#""dropout_rate":1.5"#),
            ("dropout_rate", r#""dropout_rate":null"#),
            ("layer_norm_epsilon", r#""layer_norm_epsilon":-1.0"#),
        ] {
            let error = with(more).unwrap_err();
            assert!(error.contains(field), "{more}: {error}");
        }
    }

    #[test]
    fn sizes_out_of_bounds_are_refused_by_name() {
        for (field, value) in [
            ("d_kv", "-1"),
            ("d_kv", "0"),
            ("d_kv", "16.5"),
            ("d_kv", "1000000000000"),
            ("d_kv", "99999999999999999999999"),
            ("num_layers", "16777216"),
            ("num_decoder_layers", "16777216"),
            ("num_heads", "16777216"),
            ("relative_attention_num_buckets", "3"),
            ("relative_attention_num_buckets", "18446744073709551615"),
            ("relative_attention_max_distance", "18446744073709551615"),
        ] {
            let mut fields = object(MINIMAL).unwrap();
            fields.insert(field.into(), serde_json::from_str(value).unwrap());
            let error = read(&fields, &Fields::new()).unwrap_err();
            assert!(error.contains(field), "{field} {value}: {error}");
        }
        let error = parse(&MINIMAL.replace(r#""d_ff":16,"#, "")).unwrap_err();
        assert!(error.contains("d_ff"), "{error}");
    }

    #[test]
    fn generation_ids_fill_gaps_and_must_not_contradict() {
        let read = |config: &str, generation: &str| {
            let config = MINIMAL.replace(r#""d_kv":4"#, &format!(r#""d_kv":4{config}"#));
            let read = read(&object(&config).unwrap(), &object(generation).unwrap());
            read.map(|configuration| configuration.config)
        };
        let config = read("", r#"{"decoder_start_token_id":7,"eos_token_id":[5],"num_beams":4}"#).unwrap();
        assert_eq!((config.decoder_start_token_id, config.eos_token_id), (7, 5));
        assert_eq!(read(r#","pad_token_id":3"#, "{}").unwrap().decoder_start_token_id, 3);
        for (key, config, generation) in [
            ("eos_token_id", r#","eos_token_id":1"#, r#"{"eos_token_id":2}"#),
            ("eos_token_id", r#","eos_token_id":1"#, r#"{"eos_token_id":[1,2]}"#),
            ("decoder_start_token_id", r#","decoder_start_token_id":0"#, r#"{"decoder_start_token_id":1}"#),
        ] {
            let error = read(config, generation).unwrap_err();
            assert!(error.contains(key) && error.contains(GENERATION), "{error}");
        }
    }
}

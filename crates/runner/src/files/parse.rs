//! TOML and JSON whose errors are one line.

use serde::de::DeserializeOwned;

/// Parses TOML.
///
/// # Errors
/// In one line: where the text is malformed, or which key does not fit.
pub fn parse_toml<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|mut error| {
        let line = error.span().map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        // Without the text, the message is short and names the key.
        error.set_input(None);
        let message = error.to_string().trim_end().replace('\n', ", ");
        line.map_or(message.clone(), |line| format!("line {line}: {message}"))
    })
}

/// Parses a JSON object.
///
/// # Errors
/// In one line: where the text is malformed, or which key does not fit.
pub fn parse_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    // Serde takes a list for an object's values in the order of its fields.
    if text.trim_ascii_start().first().is_some_and(|&byte| byte == b'[') {
        return Err("it is a list, not an object".into());
    }
    let mut json = serde_json::Deserializer::from_slice(text);
    let object =
        serde_path_to_error::deserialize(&mut json).map_err(|error| match error.path().iter().next() {
            Some(_) => format!("`{}`: {}", error.path(), error.inner()),
            None => error.inner().to_string(),
        })?;
    json.end().map_err(|error| error.to_string())?;
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_in_toml_and_json_are_one_line_that_names_the_key() {
        #[derive(Debug, serde::Deserialize)]
        struct Outer {
            #[expect(dead_code)]
            inner: Inner,
        }
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Inner {
            #[expect(dead_code)]
            size: usize,
        }
        let [toml, json] = [parse_toml::<Outer>, |text: &str| parse_json::<Outer>(text.as_bytes())];
        let nested = format!("a = {}", "[".repeat(100_000));
        for (parse, text, parts) in [
            (toml, "[inner]\nsize = -1\n", &["line 2", "`inner.size`", "-1"][..]),
            (toml, "[inner]\nsize = 1\nsiez = 2\n", &["line 3", "`siez`"]),
            (toml, "[inner\n", &["line 1"]),
            (toml, "[inner]\nsize = 99999999999999999999\n", &["line 2"]),
            (toml, &nested, &["line 1"]),
            (json, r#"{"inner": {"size": -1}}"#, &["`inner.size`", "-1"]),
            (json, r#"{"inner": {"siez": 1}}"#, &["`siez`"]),
            (json, r#"{"inner": {}}"#, &["`size`"]),
            (json, r#"{"inner": {"size": 1}} {}"#, &["trailing"]),
            (json, " [[1]]", &["list"]),
            (json, "", &["EOF"]),
            (json, &nested[4..], &["list"]),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(parts.iter().all(|part| problem.contains(part)), "{problem}");
            assert!(!problem.contains('\n') && problem.len() < 300, "{problem}");
        }
    }
}

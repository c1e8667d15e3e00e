//! Makes untrusted text safe for a terminal.

use std::borrow::Cow;

/// Text with control characters other than line ends, and marks of writing direction, escaped, so that it can neither
/// control a terminal nor reorder what the reader sees.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            _ if !is_unsafe(c) => safe.push(c),
            '\t' | '\r' => safe.extend(c.escape_default()),
            _ if (c as u32) < 0x100 => safe += &format!("\\x{:02x}", c as u32),
            _ => safe.extend(c.escape_unicode()),
        }
    }
    safe.into()
}

/// Whether a terminal would obey a character instead of showing it.
pub(super) fn is_unsafe(c: char) -> bool {
    let direction =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    direction || (c.is_control() && c != '\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_of_any_script_is_unchanged() {
        for text in ["", "two\nlines", "mean ± 1 …", "שלום", "日本語", "👩‍💻"] {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn terminal_control_characters_are_escaped() {
        for (text, shown) in [
            ("\u{1b}[31mred\u{7}", "\\x1b[31mred\\x07"),
            ("a\tb\r\n", "a\\tb\\r\n"),
            ("\0\u{7f}\u{9b}2J", "\\x00\\x7f\\x9b2J"),
            ("\u{202e}txt\u{2069}", "\\u{202e}txt\\u{2069}"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }
}

//! Lists of names with descriptions, for a terminal of 80 columns.

use comfy_table::{ContentArrangement, Table, presets};

/// Columns of a default terminal.
pub(super) const WIDTH: usize = 80;

/// Column where descriptions begin.
const INDENT: usize = 22;

/// An empty table of that width.
pub(super) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH as u16);
    table.set_header(header);
    table
}

/// A name and its description, wrapped between words.
pub(super) fn entry(name: &str, paragraphs: &[String]) -> String {
    let lines: Vec<String> = paragraphs.iter().flat_map(|text| wrap(text, WIDTH - INDENT)).collect();
    let mut entry = format!("{name:<INDENT$}");
    // A longer name gets its own line.
    if name.chars().count() >= INDENT {
        entry += &format!("\n{}", " ".repeat(INDENT));
    }
    entry + &lines.join(&format!("\n{}", " ".repeat(INDENT)))
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped_beside_the_name() {
        let text = ["word ".repeat(20), "end".into()];
        let entry = entry("name", &text);
        let lines: Vec<&str> = entry.lines().collect();
        assert_eq!(lines.len(), 3, "{entry}");
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        assert!(lines[0].starts_with("name  ") && lines[1].starts_with(&" ".repeat(INDENT)));
    }
}

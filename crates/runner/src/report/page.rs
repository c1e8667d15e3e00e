//! `report.html`: the data of a report and the page that shows it, in one file.

use super::data::ReportData;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");

/// The parts of the script, each after those that it uses.
const SCRIPTS: [&str; 15] = [
    include_str!("page/dom.js"),
    include_str!("page/controls.js"),
    include_str!("page/tips.js"),
    include_str!("page/format.js"),
    include_str!("page/model.js"),
    include_str!("page/table.js"),
    include_str!("page/plot.js"),
    include_str!("page/comparison.js"),
    include_str!("page/scatter.js"),
    include_str!("page/statistics.js"),
    include_str!("page/curves.js"),
    include_str!("page/charts.js"),
    include_str!("page/items.js"),
    include_str!("page/records.js"),
    include_str!("page/main.js"),
];

/// The page of a report. Whatever data contain is inert: it stands in a block of JSON that no text of it can end.
pub fn page(data: &ReportData) -> String {
    let json = serde_json::to_string(data).expect("plain data serializes");
    let mut page = String::new();
    let mut rest = PAGE;
    // In one pass, so that a placeholder in data is no placeholder.
    while let Some((before, (name, after))) =
        rest.split_once("{{").and_then(|(before, after)| Some((before, after.split_once("}}")?)))
    {
        page += before;
        match name {
            "title" => page += &escaped(&data.title),
            "style" => page += STYLE,
            "script" => page += &SCRIPTS.join("\n"),
            "data" => page += &inert(&json),
            other => panic!("the page has no `{other}`"),
        }
        rest = after;
    }
    page + rest
}

/// A page that leads to others, by file name and title.
pub fn index(pages: &[(String, String)]) -> String {
    let link = |(file, title): &(String, String)| {
        format!("<li><a href=\"{}\">{}</a></li>\n", escaped(file), escaped(title))
    };
    let links: String = pages.iter().map(link).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Reports</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<h1>Reports</h1>\n<ul>\n{links}</ul>\n</html>\n"
    )
}

/// JSON that no parser of HTML or of JavaScript takes for anything else.
fn inert(json: &str) -> String {
    let escape = |c: char| match c {
        '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => format!("\\u{:04x}", u32::from(c)),
        other => other.to_string(),
    };
    json.chars().map(escape).collect()
}

/// Text in HTML.
fn escaped(text: &str) -> String {
    let escape = |c: char| match c {
        '<' => "&lt;".into(),
        '>' => "&gt;".into(),
        '&' => "&amp;".into(),
        '"' => "&quot;".into(),
        other => other.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_stay_data() {
        let hostile = "</script><!--<b>{{script}} \u{2028}&amp;\"";
        let data = ReportData { title: hostile.into(), ..ReportData::default() };
        let page = page(&data);
        let start = page.find("id=\"data\">").unwrap() + "id=\"data\">".len();
        let json = &page[start..start + page[start..].find("</script>").unwrap()];
        assert!(!json.contains(['<', '>', '&', '\u{2028}']), "{json}");
        let value: serde_json::Value = serde_json::from_str(json.trim()).unwrap();
        assert_eq!(value["title"], hostile);
        let title = "&lt;/script&gt;&lt;!--&lt;b&gt;{{script}}";
        assert!(page.contains(title), "text of data is no placeholder");
    }
}

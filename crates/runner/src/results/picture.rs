//! The comparison as a picture: score against trainable parameters.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::shown::ReportedSplit;
use super::table::{Comparison, thousands};

const SIZE: (u32, u32) = (860, 520);
const GREY: RGBColor = RGBColor(120, 120, 120);

/// Height of a line of the methods' names, and about the width of a letter, in pixels.
const LINE: i32 = 15;
const LETTER: i32 = 8;

/// Between a point and its name.
const GAP: i32 = 9;

/// Draws the average of every method over tasks (filled) and each task (hollow) as SVG, with a standard deviation
/// up and down; probes and errors, which are no percentages, are left out.
///
/// `majority` is the average score of always giving the most frequent answer, where it is known.
///
/// # Errors
/// Only if the drawing library fails; there is nothing to draw without scores, so the text is empty.
pub fn to_svg(
    title: &str,
    split: ReportedSplit,
    rows: &[Comparison],
    majority: Option<f64>,
) -> Result<String, String> {
    let mut svg = String::new();
    let drawn: Vec<&Comparison> =
        rows.iter().filter(|row| !row.probe && !row.is_error() && row.mean.is_some()).collect();
    if !drawn.is_empty() {
        draw(&mut svg, title, split, &drawn, majority).map_err(|e| e.to_string())?;
    }
    Ok(svg)
}

fn draw(
    svg: &mut String,
    title: &str,
    split: ReportedSplit,
    drawn: &[&Comparison],
    majority: Option<f64>,
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let ends = drawn.iter().flat_map(|row| {
        let (mean, deviation) = (row.mean.unwrap_or_default(), row.deviation.unwrap_or_default());
        [mean - deviation, mean + deviation]
    });
    let scores: Vec<f64> = ends.chain(majority).collect();
    let low = scores.iter().copied().fold(f64::INFINITY, f64::min);
    let high = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let counts = drawn.iter().map(|row| row.trainable_parameters.max(1) as f64);
    let (least, most) = counts.fold((f64::INFINITY, 1.0), |(a, b), n| (a.min(n), f64::max(b, n)));
    let (left, right) = (least / 2.0, most * 2.0);
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(52)
        .build_cartesian_2d((left..right).log_scale(), low - 3.0..high + 3.0)?;
    chart
        .configure_mesh()
        .x_desc("trainable parameters")
        .y_desc(format!("score on the {} split, %", split.name()))
        .x_label_formatter(&|n| thousands(*n as u64))
        .light_line_style(WHITE)
        .draw()?;
    if let Some(majority) = majority {
        let ends = [(left, majority), (right, majority)];
        chart.draw_series(DashedLineSeries::new(ends, 6, 4, GREY.stroke_width(1)))?;
        chart.draw_series([Text::new(
            "majority",
            (left * 1.05, majority),
            ("sans-serif", 13).into_font().color(&GREY),
        )])?;
    }
    let mut names = Names::default();
    for (index, method) in methods(drawn).into_iter().enumerate() {
        let color = Palette99::pick(index);
        let own: Vec<&&Comparison> = drawn.iter().filter(|row| row.method == method).collect();
        for row in &own {
            let (mean, count) = (row.mean.unwrap_or_default(), row.trainable_parameters.max(1) as f64);
            if let Some(deviation) = row.deviation {
                let ends = [(count, mean - deviation), (count, mean + deviation)];
                chart.draw_series([PathElement::new(
                    ends,
                    color.stroke_width(if row.average { 2 } else { 1 }),
                )])?;
            }
            match row.average {
                true => chart.draw_series([Circle::new((count, mean), 6, color.filled())])?,
                false => chart.draw_series([Circle::new((count, mean), 3, color.stroke_width(1))])?,
            };
        }
        // Without an average, the method's first task has its name.
        if let Some(row) = own.iter().find(|row| row.average).or(own.first()) {
            let mean = row.mean.unwrap_or_default();
            names.add(chart.backend_coord(&(row.trainable_parameters.max(1) as f64, mean)), method);
        }
    }
    for Name { text, left, y, .. } in names.placed() {
        let style = ("sans-serif", 14).into_font().color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center));
        root.draw(&Text::new(text, (left, y), style))?;
    }
    root.present()?;
    Ok(())
}

/// A method's name beside its point; `y` is the middle of its line.
#[derive(Debug, Clone, PartialEq)]
struct Name {
    text: String,
    left: i32,
    y: i32,
}

impl Name {
    fn right(&self) -> i32 {
        self.left + LETTER * self.text.chars().count() as i32
    }

    fn lies_on(&self, other: &Self) -> bool {
        let beside = self.right() <= other.left || other.right() <= self.left;
        !beside && (self.y - other.y).abs() < LINE
    }

    fn is_inside(&self) -> bool {
        let (width, height) = (SIZE.0 as i32, SIZE.1 as i32);
        self.left >= 0 && self.right() <= width && (LINE..=height - LINE).contains(&self.y)
    }
}

#[derive(Default)]
struct Names {
    points: Vec<((i32, i32), String)>,
}

impl Names {
    fn add(&mut self, point: (i32, i32), text: &str) {
        self.points.push((point, text.into()));
    }

    /// Each name at the nearest place beside its point, right or left, where it is inside the picture and lies on
    /// no other.
    fn placed(mut self) -> Vec<Name> {
        // From the top, so that names of close points keep the order of their points.
        self.points.sort_by_key(|&((x, y), _)| (y, x));
        let mut placed: Vec<Name> = Vec::new();
        for ((x, y), text) in self.points {
            let text = shortened(text);
            let width = LETTER * text.chars().count() as i32;
            let lines = SIZE.1 as i32 / LINE;
            let offsets = (0..=lines).flat_map(|line| [line * LINE, -line * LINE]);
            let places = offsets.flat_map(|offset| {
                [x + GAP, x - GAP - width].map(|left| Name { text: text.clone(), left, y: y + offset })
            });
            let free = |name: &Name| name.is_inside() && !placed.iter().any(|other| other.lies_on(name));
            let name = places.into_iter().find(free);
            placed.push(name.unwrap_or(Name { text: text.clone(), left: x + GAP, y }));
        }
        placed
    }
}

/// A name that fits beside a point anywhere in the picture.
fn shortened(name: String) -> String {
    let most = (SIZE.0 as i32 / 2 / LETTER) as usize - 2;
    match name.chars().count() > most {
        true => name.chars().take(most - 1).chain(['…']).collect(),
        false => name,
    }
}

fn methods<'a>(rows: &[&'a Comparison]) -> Vec<&'a str> {
    let mut methods: Vec<&str> = Vec::new();
    for row in rows {
        if !methods.contains(&row.method.as_str()) {
            methods.push(&row.method);
        }
    }
    methods
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(method: &str, task: &str, average: bool, count: u64, mean: f64) -> Comparison {
        Comparison {
            group: "Group".into(),
            task: task.into(),
            average,
            probe: false,
            method: method.into(),
            metric: "accuracy".into(),
            mean: Some(mean),
            deviation: Some(2.0),
            seeds: 3,
            diverged: 0,
            trainable_parameters: count,
            seconds: 1.0,
            peak_memory_bytes: None,
        }
    }

    /// Twelve methods, most of one size and score.
    fn crowd() -> Vec<Comparison> {
        let mut rows = Vec::new();
        for method in 0..12 {
            let count = if method < 9 { 76_800 + 40 * method } else { 222_903_552 };
            let score = 80.0 + f64::from(method as u32 % 4) / 3.0;
            let name = format!("method number {method} (steps = 1000)");
            rows.push(row(&name, "One", false, count, score + 4.0));
            rows.push(row(&name, "average", true, count, score));
        }
        rows
    }

    #[test]
    fn names_lie_apart_and_inside_the_picture() {
        let mut names = Names::default();
        let points = [(60, 20), (62, 22), (840, 200), (845, 204), (846, 500), (3, 505), (61, 24), (400, 200)];
        for (i, point) in points.into_iter().enumerate() {
            names.add(point, &format!("a method of number {i}"));
        }
        let placed = names.placed();
        assert_eq!(placed.len(), points.len());
        for (i, name) in placed.iter().enumerate() {
            assert!(name.is_inside(), "{name:?}");
            assert!(placed[..i].iter().all(|other| !name.lies_on(other)), "{placed:?}");
        }
        let lone = placed.iter().find(|name| name.text.ends_with('7'));
        assert_eq!(lone.map(|name| (name.left, name.y)), Some((400 + GAP, 200)), "nothing is near it");
    }

    #[test]
    fn the_axis_names_the_split_and_bars_reach_a_deviation_up_and_down() {
        let draw = |split| to_svg("Title", split, &crowd(), Some(50.0)).unwrap();
        assert!(draw(ReportedSplit::Validation).contains("score on the validation split, %"));
        let svg = draw(ReportedSplit::Test);
        assert!(svg.contains("score on the test split, %"));
        let mut without = crowd();
        without.iter_mut().for_each(|row| row.deviation = None);
        let plain = to_svg("Title", ReportedSplit::Test, &without, Some(50.0)).unwrap();
        let is_axis = |line: &&str| ["#000000", "#FFFFFF"].iter().any(|color| line.contains(color));
        let bars = |svg: &str| svg.lines().filter(|l| l.contains("<polyline") && !is_axis(l)).count();
        // The line of the majority is dashed, and each dash a line of its own.
        assert_eq!(bars(&svg) - bars(&plain), crowd().len(), "one bar for each point");
    }

    #[test]
    fn probes_errors_and_rows_without_scores_are_not_drawn() {
        let mut rows = crowd();
        rows.iter_mut().for_each(|row| row.probe = true);
        rows.push(Comparison { mean: None, ..row("other", "One", false, 1, 0.0) });
        rows.push(row("seen", "One", false, 5, 80.0));
        rows.push(Comparison { metric: "mean-absolute-error".into(), ..row("erring", "Two", false, 5, 0.8) });
        let svg = to_svg("Title", ReportedSplit::Test, &rows, None).unwrap();
        assert!(!svg.contains("erring"), "an error is no percentage");
        assert!(svg.contains("seen") && !svg.contains("other") && !svg.contains("method number"));
        assert!(to_svg("Title", ReportedSplit::Test, &rows[..25], None).unwrap().is_empty());
    }
}

//! The comparison as a picture: score against trainable parameters.

use plotters::prelude::*;

use super::Comparison;
use super::table::{AVERAGE, thousands};

const SIZE: (u32, u32) = (860, 520);
const GREY: RGBColor = RGBColor(120, 120, 120);

/// Draws the average of every method over tasks (filled) and each task (hollow) as SVG, probes left out.
///
/// `majority` is the average score of always giving the most frequent answer, where it is known.
///
/// # Errors
/// Only if the drawing library fails; there is nothing to draw without scores, so the text is empty.
pub fn to_svg(title: &str, rows: &[Comparison], majority: Option<f64>) -> Result<String, String> {
    let mut svg = String::new();
    if rows.iter().any(|row| row.mean.is_some()) {
        draw(&mut svg, title, rows, majority).map_err(|e| e.to_string())?;
    }
    Ok(svg)
}

fn draw(
    svg: &mut String,
    title: &str,
    rows: &[Comparison],
    majority: Option<f64>,
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let scores: Vec<f64> = rows.iter().filter_map(|row| row.mean).chain(majority).collect();
    let low = scores.iter().copied().fold(f64::INFINITY, f64::min);
    let high = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let counts = rows.iter().map(|row| row.trainable_parameters.max(1) as f64);
    let (least, most) = counts.fold((f64::INFINITY, 1.0), |(a, b), n| (a.min(n), f64::max(b, n)));
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(52)
        // Room for the names at the right-hand points.
        .build_cartesian_2d((least / 2.0..most * 6.0).log_scale(), low - 3.0..high + 3.0)?;
    chart
        .configure_mesh()
        .x_desc("trainable parameters")
        .y_desc("score on the test split, %")
        .x_label_formatter(&|n| thousands(*n as u64))
        .light_line_style(WHITE)
        .draw()?;
    if let Some(majority) = majority {
        let ends = [(least / 2.0, majority), (most * 6.0, majority)];
        chart.draw_series(DashedLineSeries::new(ends, 6, 4, GREY.stroke_width(1)))?;
        chart.draw_series([Text::new(
            "majority",
            (least / 1.9, majority),
            ("sans-serif", 13).into_font().color(&GREY),
        )])?;
    }
    let mut names: Vec<(i32, i32, &str)> = Vec::new();
    for (index, method) in methods(rows).into_iter().enumerate() {
        let colour = Palette99::pick(index);
        let own = rows.iter().filter(|row| row.method == method && !row.probe);
        for row in own {
            let (Some(mean), count) = (row.mean, row.trainable_parameters.max(1) as f64) else { continue };
            if row.task != AVERAGE {
                chart.draw_series([Circle::new((count, mean), 3, colour.stroke_width(1))])?;
                continue;
            }
            chart.draw_series([Circle::new((count, mean), 6, colour.filled())])?;
            let (x, y) = chart.backend_coord(&(count, mean));
            names.push((x + 9, y - 7, method));
        }
    }
    for (x, y, name) in apart(names) {
        root.draw(&Text::new(name.to_string(), (x, y), ("sans-serif", 14)))?;
    }
    root.present()?;
    Ok(())
}

/// Names moved down where they would lie on each other.
fn apart(mut names: Vec<(i32, i32, &str)>) -> Vec<(i32, i32, &str)> {
    const LINE: i32 = 15;
    names.sort_by_key(|&(x, y, _)| (y, x));
    let mut placed: Vec<(i32, i32, &str)> = Vec::new();
    for (x, mut y, name) in names {
        for &(other_x, other_y, other) in &placed {
            // About 8 pixels a letter.
            let width = 8 * if x < other_x { name.len() } else { other.len() } as i32;
            if (x - other_x).abs() < width && (y - other_y).abs() < LINE {
                y = other_y + LINE;
            }
        }
        placed.push((x, y, name));
    }
    placed
}

fn methods(rows: &[Comparison]) -> Vec<&str> {
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

    #[test]
    fn names_at_one_place_are_told_apart() {
        let names = vec![(9, 50, "adept"), (10, 52, "dept"), (11, 47, "prompt-tuning"), (400, 50, "full")];
        let placed = apart(names);
        assert_eq!(placed.len(), 4);
        assert!(placed.contains(&(400, 50, "full")), "nothing is near it");
        let mut near: Vec<i32> = placed.iter().filter(|(x, ..)| *x < 100).map(|(_, y, _)| *y).collect();
        near.sort_unstable();
        assert!(near.windows(2).all(|pair| pair[1] - pair[0] >= 15), "{near:?}");
    }
}

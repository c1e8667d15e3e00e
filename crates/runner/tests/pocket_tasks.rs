//! The pocket world's tasks as read by the harness.

use std::collections::HashMap;

use peft_pocket::Part;

#[test]
fn the_stated_majority_baselines_are_right() {
    for task in peft_pocket::all() {
        let spec = peft_bench::task::find(&format!("pocket-{}", task.name)).unwrap().spec;
        let rows = task.rows(Part::Test);
        let mut counts: HashMap<String, usize> = HashMap::new();
        for row in &rows {
            *counts.entry(format!("{:?}", row.label)).or_default() += 1;
        }
        let share = 100.0 * *counts.values().max().unwrap() as f64 / rows.len() as f64;
        // The correlation with a constant is 0.
        let metric = spec.metrics.select.to_string();
        let majority = if ["matthews", "pearson"].contains(&metric.as_str()) { 0.0 } else { share };
        if !task.targets.is_empty() {
            let mut words = spec.labels.unwrap().words().into_iter().map(String::from).collect::<Vec<_>>();
            words.sort();
            assert_eq!(words, task.targets[..task.classes.len()], "{}", task.name);
        }
        let stated = spec.reference.unwrap();
        assert_eq!((stated.majority, stated.ceiling), (majority, 100.0), "{}", task.name);
    }
}

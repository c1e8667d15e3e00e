//! Examples at the end of help texts.

pub(super) const TOP: &str = "\
Examples:
  peft-bench                             a miniature of the paper, no network
  peft-bench fetch paper                 model and datasets, for offline runs
  peft-bench run paper --task rte        one task with the paper's settings
  peft-bench report results/paper        its table, at any time
  peft-bench tasks show reviews.toml     check a dataset of your own
  peft-bench doctor                      is anything wrong here?
  peft-bench help run                    all that `run` can do

Exit codes: 0 success, 1 some runs diverged or a check failed, 2 invalid input,
130, 143 or 129 stopped by SIGINT, SIGTERM or SIGHUP.
";

pub(super) const RUN: &str = "\
Examples:
  Three seeds of two methods on two tasks:
    peft-bench run paper --task rte --task cola --method dept --method adept \\
      --seed 42 --seed 43 --seed 44
  Other settings than the suite's:
    peft-bench run pocket --set methods.lora.rank=16 --set training.steps=500
  A dataset and a model of your own:
    peft-bench run pocket --task reviews.toml --model google-t5/t5-base \\
      --out results/reviews
  A GPU of 24 GiB:
    peft-bench run glue --device cuda --precision bf16 --memory-limit 22
  A log for a program:
    peft-bench run glue --log-format json

The same command again resumes an interrupted run, and computes only what is
missing.
";

pub(super) const REPORT: &str = "\
Examples:
  The table of a run that is still going on:
    peft-bench report results/pocket
  Tables for a paper:
    peft-bench report results/pocket --format latex
  Published scores beside ours:
    peft-bench report results/paper --compare paper
  What is in an adapter, from here or from Python's peft:
    peft-bench report --adapter results/pocket/adapters/CELL
";

pub(super) const TASKS: &str = "\
Examples:
  All tasks:
    peft-bench tasks
  What a model reads, how long it is, and how labels are balanced:
    peft-bench tasks show rte --rows 5
    peft-bench tasks show reviews.toml --model google-t5/t5-base
  A split as text:
    peft-bench tasks dump rte --split validation --output rte.jsonl
";

pub(super) const SCORE: &str = "\
Examples:
  A pretrained model:
    echo '{\"source\": \"summarize: a b\", \"target\": \"a\"}' > pairs.jsonl
    peft-bench score --model google-t5/t5-base --input pairs.jsonl
  With an adapter that a run has trained, and longer answers:
    peft-bench score --model pocket --adapter results/pocket/adapters/CELL \\
      --input pairs.jsonl --max-new-tokens 20 --output scored.jsonl
";

pub(super) const EXPORT: &str = "\
Examples:
  An adapter for Python's peft:
    peft-bench export results/paper/adapters/CELL --out lora-rte
  A model of its own for transformers, where the method can be merged:
    peft-bench export results/paper/adapters/CELL --merge --out t5-rte
  From the first to Python:
    PeftModel.from_pretrained(
      AutoModelForSeq2SeqLM.from_pretrained(\"google-t5/t5-base\"), \"lora-rte\")
";

pub(super) const DOCTOR: &str = "\
Examples:
  What this machine can do, and whether anything is wrong:
    peft-bench doctor
  The same with the published values of two pretrained T5, downloaded once:
    peft-bench doctor --fetch
  For a bug report:
    peft-bench doctor --json
";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Arguments;

    /// The commands of an example, with lines that end in a backslash joined and comments left out.
    fn commands(text: &str) -> Vec<String> {
        let joined = text.replace(" \\\n      ", " ");
        let lines = joined.lines().filter_map(|line| line.trim_start().strip_prefix("peft-bench"));
        // A comment is two spaces behind the command.
        lines.map(|line| format!("peft-bench{}", line.trim_end().split("   ").next().unwrap())).collect()
    }

    #[test]
    fn every_example_is_a_command() {
        let all =
            [super::TOP, super::RUN, super::REPORT, super::TASKS, super::SCORE, super::EXPORT, super::DOCTOR]
                .map(commands);
        assert!(all.iter().all(|commands| !commands.is_empty()), "{all:?}");
        for command in all.concat() {
            let words = command.split_whitespace();
            match Arguments::try_parse_from(words) {
                Err(problem) if problem.use_stderr() && !problem.to_string().contains("--device") => {
                    panic!("{command}: {problem}")
                }
                _ => {}
            }
        }
    }

    #[test]
    fn examples_fit_into_80_columns() {
        for text in
            [super::TOP, super::RUN, super::REPORT, super::TASKS, super::SCORE, super::EXPORT, super::DOCTOR]
        {
            assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        }
    }
}

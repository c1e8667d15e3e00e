use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use peft_model::layout::Layout;
use peft_model::peft::{self, ConfiguredMethod};
use peft_model::{Adaptation, Batch, Parameters};
use serde::{Deserialize, Serialize};

use super::choice::DEFAULT_SUITE;
use super::fetch::Fetch;
use super::json_lines;
use crate::host::device::DeviceName;
use crate::host::memory;
use crate::hub::{Hub, Progress};
use crate::model::{Model, Precision, footprint};
use crate::results::Trained;
use crate::tokenizer::Encoded;

/// Upper bound of `--max-new-tokens`, since the time to generate grows quadratically.
const MOST_NEW_TOKENS: i64 = 4096;

/// Upper bound of `--max-source-length`; larger values are typos.
const LONGEST_SOURCE: i64 = 1 << 20;

const DEFAULT_SOURCE_LENGTH: usize = 256;

/// Rows scored together.
const BATCH: usize = 16;

#[derive(Debug, Args)]
#[command(after_help = super::examples::SCORE)]
pub(super) struct Score {
    /// Backbone: a folder or a hub id
    #[arg(long, value_name = "DIR_OR_HUB_ID")]
    model: String,
    /// Folder of a trained adapter, from a run of this program or from Python's peft
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// JSON lines with "source" and "target"; with "task", a number from 0, for adapters that tell tasks apart
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// File for the JSON lines [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Maximum number of tokens to generate; 0 generates nothing
    #[arg(long, value_name = "N", default_value_t = 8, allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(..=MOST_NEW_TOKENS))]
    max_new_tokens: u32,
    /// Longest source in tokens; longer ones are truncated [default: 256, or the adapter's limit if lower]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(2..=LONGEST_SOURCE))]
    max_source_length: Option<u32>,
    /// Device: cpu, cuda, cuda:1, vulkan, metal or wgpu; `peft-bench devices` lists this machine's
    #[arg(long, default_value = "cpu")]
    device: DeviceName,
    /// Precision of the backbone: f32 or bf16
    #[arg(long, value_name = "P", default_value = "f32")]
    precision: Precision,
}

#[derive(Debug, Deserialize)]
struct PairText {
    source: String,
    target: String,
    /// The place of its task in the mixture that the adapter was trained on.
    task: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Scored {
    source_ids: Vec<u32>,
    target_ids: Vec<u32>,
    /// Sum over the target's tokens, including the EOS token.
    logprob: f32,
    /// Including the decoder's start token.
    generated_ids: Vec<u32>,
    generated_text: String,
}

impl Score {
    /// The `fetch` command for the model.
    pub(super) fn fetch(&self) -> String {
        Fetch::command(Some(DEFAULT_SUITE), &[], Some(&self.model))
    }

    pub(super) fn execute(self) -> Result<ExitCode> {
        let lines: Vec<(usize, PairText)> =
            json_lines::read_numbered(&self.input, "\"source\" and \"target\"")?;
        let device = self.device.open()?;
        self.precision.ensure(&device, self.device)?;
        let model = Model::open(&self.model, &Hub::from_env(Progress::detect())?, &device, self.precision)?;
        let (built, parameters) = self.method(&model)?;
        let longest = self.source_length(&built)?;
        self.check_tasks(built.method.tasks(), &lines)?;
        let pairs: Vec<PairText> = lines.into_iter().map(|(_, pair)| pair).collect();
        let adaptation = Adaptation::new(built.method.as_ref(), &parameters);
        let mut lines = Vec::new();
        let mut truncated = 0;
        for pairs in pairs.chunks(BATCH) {
            truncated += self.score(&adaptation, &model, longest, pairs, &mut lines)?;
        }
        if truncated > 0 {
            crate::terminal::progress::say!(
                "note: {truncated} of {} sources are longer than {longest} tokens and were truncated",
                pairs.len()
            );
        }
        json_lines::write(self.output.as_deref(), &lines)?;
        Ok(ExitCode::SUCCESS)
    }

    fn method(&self, model: &Model) -> Result<(ConfiguredMethod, Parameters)> {
        let backbone = &model.backbone;
        let Some(folder) = &self.adapter else {
            return Ok((peft::frozen(), Parameters::none(1, backbone.dtype())));
        };
        let trained = Trained::read(folder, backbone.layout())?;
        if let Some(other) = trained.other_backbone(&model.id, &model.revision) {
            crate::terminal::progress::say!(
                "note: the adapter in {} was trained on {other}, not on this backbone ({})",
                folder.display(),
                model.revision
            );
        }
        let parameters = trained.parameters(backbone.device(), backbone.dtype());
        Ok((trained.built, parameters))
    }

    /// Refuses a line that does not say which of the adapter's tasks it is of.
    fn check_tasks(&self, tasks: Option<usize>, lines: &[(usize, PairText)]) -> Result<()> {
        let Some(tasks) = tasks else { return Ok(()) };
        let is_wrong = |(_, pair): &&(usize, PairText)| pair.task.is_none_or(|task| task as usize >= tasks);
        match lines.iter().find(is_wrong) {
            None => Ok(()),
            Some((number, _)) => bail!(
                "{}, line {number}: the adapter tells {tasks} tasks apart, so that each line needs \"task\", a number from 0 \
                 to {}",
                self.input.display(),
                tasks - 1
            ),
        }
    }

    /// Refuses a batch that does not fit into memory, in scoring or in generation.
    fn ensure_memory(
        &self,
        adaptation: &Adaptation,
        layout: &Layout,
        sources: &[Encoded],
        targets: &[Encoded],
    ) -> Result<()> {
        let longest = |texts: &[Encoded]| texts.iter().map(|text| text.ids.len()).max().unwrap_or(0);
        let (source, target) = (longest(sources) + adaptation.method.prompt_length(), longest(targets));
        let batch = footprint::teacher_forcing(layout, sources.len(), source, target);
        let attention = footprint::position_bias(layout, source.max(target));
        let texts = || {
            format!(
                "{}: a source of {source} tokens (--max-source-length) and a target of {target}",
                self.input.display()
            )
        };
        memory::ensure(texts, batch.saturating_add(attention))?;
        let answers = || format!("--max-new-tokens {}", self.max_new_tokens);
        memory::ensure(
            answers,
            footprint::generation(layout, sources.len(), source, self.max_new_tokens as usize),
        )?;
        Ok(())
    }

    /// Longest source in tokens: the requested length, which the adapter must support.
    fn source_length(&self, built: &ConfiguredMethod) -> Result<usize> {
        match (self.max_source_length.map(|length| length as usize), built.method.max_source_length()) {
            (Some(length), Some(most)) if most < length => {
                bail!("--max-source-length is {length}, but the adapter supports at most {most} tokens")
            }
            (Some(length), _) => Ok(length),
            (None, most) => Ok(most.map_or(DEFAULT_SOURCE_LENGTH, |most| most.min(DEFAULT_SOURCE_LENGTH))),
        }
    }

    /// Scores a batch; returns the number of truncated sources.
    fn score(
        &self,
        adaptation: &Adaptation,
        model: &Model,
        longest: usize,
        pairs: &[PairText],
        lines: &mut Vec<u8>,
    ) -> Result<usize> {
        let sources: Vec<&str> = pairs.iter().map(|p| p.source.as_str()).collect();
        let targets: Vec<&str> = pairs.iter().map(|p| p.target.as_str()).collect();
        let sources = model.tokenizer.encode_all(&sources, longest);
        let targets = model.tokenizer.encode_all(&targets, usize::MAX);
        let rows = sources.iter().zip(&targets).map(|(s, t)| (&s.ids[..], &t.ids[..])).collect();
        let (backbone, layout) = (&model.backbone, model.backbone.layout());
        self.ensure_memory(adaptation, layout, &sources, &targets)?;
        let mut batch = Batch::new(&[rows], layout.tokens.pad, backbone.device());
        if adaptation.method.tasks().is_some() {
            batch.tell_tasks(&[pairs.iter().filter_map(|pair| pair.task).collect()]);
        }
        let log_probabilities: Vec<f32> = backbone
            .target_log_probabilities(adaptation, &batch)
            .try_into_vec_as()
            .context("reading log-probabilities")?;
        let generated = backbone.generate(adaptation, batch.source, self.max_new_tokens as usize);
        let truncated = sources.iter().filter(|s| s.truncated).count();
        for (((source, target), logprob), ids) in
            sources.into_iter().zip(targets).zip(log_probabilities).zip(&generated[0])
        {
            let mut generated_ids = vec![layout.tokens.decoder_start];
            generated_ids.extend(ids);
            if !logprob.is_finite() {
                bail!(
                    "{}, target `{}`: its log-probability is {logprob}; the weights of the model or the adapter \
                     are not all finite",
                    self.input.display(),
                    model.tokenizer.decode(&target.ids)
                );
            }
            let scored = Scored {
                source_ids: source.ids,
                target_ids: target.ids,
                logprob,
                generated_text: model.tokenizer.decode(&generated_ids),
                generated_ids,
            };
            serde_json::to_writer(&mut *lines, &scored)?;
            lines.push(b'\n');
        }
        Ok(truncated)
    }
}

use crate::task::{Task, TaskError};
use crate::tokenizer::Tokenizer;

/// How long the answers of a task may be, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AnswerLimits {
    /// Longest target, with its EOS token.
    pub target: usize,
    /// Most tokens to generate.
    pub generated: usize,
}

impl AnswerLimits {
    /// The limits of a task.
    ///
    /// No answer longer than every label can be right, so generation stops one token after the longest. Free
    /// text may have one token less than a target: the reference's limit counts the decoder's start token too.
    ///
    /// # Errors
    /// When the model cannot write the word of a class.
    pub(super) fn of(task: &Task, tokenizer: &Tokenizer) -> Result<Self, TaskError> {
        let Some(labels) = &task.spec.labels else {
            let target = task.spec.limits.target_tokens;
            return Ok(Self { target, generated: target - 1 });
        };
        let mut longest = 1;
        for word in labels.words() {
            let ids = tokenizer.encode(word, usize::MAX).ids;
            let written = tokenizer.decode_cleaned(&ids);
            if written != word {
                return Err(task.wrong(format!(
                    "`labels.words`: the model's tokenizer turns `{word}` into `{written}`, which would never be \
                     right; take a word that it can write"
                )));
            }
            longest = longest.max(ids.len());
        }
        Ok(Self { target: longest, generated: longest + 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task;

    #[test]
    fn free_text_is_generated_up_to_the_references_limit_with_its_start_token() {
        let limits = |task| AnswerLimits::of(&task::find(task).unwrap(), &Tokenizer::pocket()).unwrap();
        assert_eq!(limits("pocket-answer"), AnswerLimits { target: 20, generated: 19 });
        // A class's word, here of two tokens, and the EOS token; and one more.
        assert_eq!(limits("pocket-entailment"), AnswerLimits { target: 3, generated: 4 });
    }
}

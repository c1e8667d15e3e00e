//! Errors as one message.

use crate::hub::HubError;

/// Whether `peft-bench fetch` on a machine with network access would help.
pub(super) fn is_fixed_by_fetching(error: &anyhow::Error) -> bool {
    let of_hub = |cause: &(dyn std::error::Error + 'static)| {
        let boxed = cause.downcast_ref::<Box<HubError>>().map(|boxed| &**boxed);
        cause.downcast_ref::<HubError>().or(boxed).is_some_and(HubError::is_fixed_by_fetching)
    };
    error.chain().any(of_hub)
}

/// An error and its causes, without those that the text before them already contains.
pub(super) fn message(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

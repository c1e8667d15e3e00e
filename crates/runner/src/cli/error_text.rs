//! Errors as one message.

use crate::grid::SuiteError;
use crate::host::device::DeviceError;
use crate::hub::HubError;
use crate::model::PrecisionError;
use crate::results::StoreError;

/// What to do about an error, if that is known; `fetch` is the command that fetches what the failed one needs.
pub(super) fn hint(error: &anyhow::Error, fetch: Option<String>) -> Option<String> {
    let fetch = fetch.filter(|_| is_fixed_by_fetching(error));
    let fetch = fetch.map(|fetch| format!("run `{fetch}` on a machine with network access"));
    fetch.or_else(|| error.chain().find_map(own_hint).map(String::from))
}

fn own_hint(cause: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let store = || cause.downcast_ref().and_then(StoreError::hint);
    let suite = || cause.downcast_ref().and_then(SuiteError::hint);
    let device = || cause.is::<DeviceError>().then_some(DeviceError::HINT);
    let precision = || cause.is::<PrecisionError>().then_some(PrecisionError::HINT);
    store().or_else(suite).or_else(device).or_else(precision)
}

/// Whether `peft-bench fetch` on a machine with network access would help.
fn is_fixed_by_fetching(error: &anyhow::Error) -> bool {
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

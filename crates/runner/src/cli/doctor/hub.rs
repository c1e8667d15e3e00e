//! Whether the hub can be reached, and as whom.

use std::time::Duration;

use super::Doctor;
use super::check::Check;
use crate::hub::{Hub, HubError, HubSettings, Progress};

/// A hub that takes longer is of little use.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn checks(_: &Doctor) -> Vec<Check> {
    let settings = match HubSettings::from_env(Progress::Silent) {
        Ok(settings) => settings,
        Err(problem) => return vec![Check::failed("hub", problem.to_string())],
    };
    let token = match settings.token.is_some() {
        true => Check::ok("hub token", "present"),
        false => Check::absent("hub token", "none: only public repositories can be fetched"),
    };
    vec![connection(settings), token]
}

fn connection(settings: HubSettings) -> Check {
    let endpoint = settings.shown_endpoint();
    match Hub::new(settings).probe(PATIENCE) {
        Ok(None) => Check::absent("hub", "HF_HUB_OFFLINE is set: only the cache is used"),
        Ok(Some(status @ ..500)) => Check::ok("hub", format!("{endpoint} answers (status {status})")),
        Ok(Some(status)) => Check::failed("hub", format!("{endpoint} answers with status {status}")),
        Err(HubError::NoNetwork { detail, .. }) => {
            Check::absent("hub", format!("no connection to {endpoint} ({detail}): only the cache is used"))
        }
        Err(problem) => Check::failed("hub", problem.to_string()),
    }
}

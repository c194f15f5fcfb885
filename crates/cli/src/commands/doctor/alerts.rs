//! Whether people can be told that something needs them.

use tandem_runtime::alerts::{self, Way};
use tandem_runtime::wiring::Tandem;

use super::look::{Finding, State};

const CHECK: &str = "alerts";

/// Looks at each way that the configuration names. Nobody is told anything.
pub(super) async fn look(tandem: &Tandem) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (way, usable) in alerts::ways(tandem).await {
        let (ready, fix) = match way {
            Way::Webhook => (
                "there is an address for the webhook; nothing was sent there",
                "give `webhook` in [alerts] the address, or set the variable or write the file that it names, where `tandem serve` runs",
            ),
            Way::Command => (
                "the program is there; it was not run",
                "correct `command` in [alerts], or make the program executable for the user who runs `tandem serve`",
            ),
        };
        findings.push(match usable {
            Ok(()) => Finding::new(CHECK, None, State::Ok, ready.to_owned(), None),
            Err(why) => {
                let what = format!("nobody is told what needs a person: {why}");
                Finding::new(CHECK, None, State::Fail, what, Some(fix.to_owned()))
            }
        });
    }
    findings
}

//! Whether Tempo's audit trail may be read: it tells of each delete with certainty, also of one that no webhook told of.

use jiff::SignedDuration;
use tandem_core::SiteName;
use tandem_engine::ports::site::{SiteClient, Vendor};

use super::look::{Finding, Look, Trouble};

const CHECK: &str = "audit-trail";

/// How much of it is asked for.
const REACH: SignedDuration = SignedDuration::from_hours(1);

pub(super) async fn look(look: &Look<'_>, site: &SiteName) -> Finding {
    let from = look.now() - REACH;
    let trail = look
        .ask(site, Vendor::Tempo, async |client| {
            client.papertrail_deleted(from, None).await
        })
        .await;
    match trail {
        Ok(_) => Finding::ok(CHECK, site, "deletes can be read from Tempo's audit trail"),
        Err(Trouble::Refused(said)) => Finding::warn(
            CHECK,
            site,
            format!(
                "the service user may not read Tempo's audit trail, so that deletes are read from Jira's feed alone: {said}"
            ),
            "let the service user view the audit log in Tempo (a Tempo administrator may), and give the token full access or its scope; `tandem status` says which is read",
        ),
        Err(trouble) => Finding::trouble(CHECK, site, &trouble, ""),
    }
}

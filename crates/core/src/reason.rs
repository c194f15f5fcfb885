//! Why something waits.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The reason codes of items that wait (design section 4.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// No account of the other site is known for the author.
    AuthorUnmapped,
    /// The other site demands an attribute that has no source and no default.
    AttributeRequired,
    /// A mapped attribute holds a value that the mapping does not name.
    AttributeUnmapped,
    /// The period is closed or the timesheet approved.
    PeriodClosed,
    /// The service user may not do or see this.
    PermissionMissing,
    /// The site does not accept the token, or its secret cannot be used.
    CredentialsRejected,
    /// One of the two issues is gone or cannot be seen.
    IssueUnlinked,
    /// Both sides changed the same field, or one deleted what the other edited, and the policy says `park`.
    Conflict,
    /// More proven deletes than the brake allows.
    MassDelete,
    /// A listing no longer shows the worklog, and nothing proves that it was deleted.
    Missing,
    /// More than one worklog might be what an interrupted create made.
    AmbiguousCreate,
    /// A sync rule failed.
    RuleError,
    /// The site refused the write for another reason.
    Rejected,
}

impl Reason {
    /// Returns the code as the queue shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::AuthorUnmapped => "author-unmapped",
            Reason::AttributeRequired => "attribute-required",
            Reason::AttributeUnmapped => "attribute-unmapped",
            Reason::PeriodClosed => "period-closed",
            Reason::PermissionMissing => "permission-missing",
            Reason::CredentialsRejected => "credentials-rejected",
            Reason::IssueUnlinked => "issue-unlinked",
            Reason::Conflict => "conflict",
            Reason::MassDelete => "mass-delete",
            Reason::Missing => "missing",
            Reason::AmbiguousCreate => "ambiguous-create",
            Reason::RuleError => "rule-error",
            Reason::Rejected => "rejected",
        }
    }

    /// Says in one sentence what a person can do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Reason::AuthorUnmapped => {
                "Add the pair of accounts to [connections.authors] map or with `tandem users import`, or give the person access to the other site."
            }
            Reason::AttributeRequired => {
                "Map the attribute, or give it a default in [connections.attributes]."
            }
            Reason::AttributeUnmapped => {
                "Add the value to the attribute's `values` in [connections.attributes]."
            }
            Reason::PeriodClosed => "Reopen the period or the timesheet on that site; it goes on by itself.",
            Reason::PermissionMissing => {
                "Give the service user the permission on that project; `tandem doctor` names it."
            }
            Reason::CredentialsRejected => {
                "Put a valid token into the site's secret, and let Tandem read it; work resumes when the secret changes."
            }
            Reason::IssueUnlinked => {
                "Restore the issue or its visibility, or remove the link with `tandem link rm`."
            }
            Reason::Conflict => {
                "Say which side counts with `tandem resolve ID --take a|b`, make both sides say the same, or change the policy."
            }
            Reason::MassDelete => "If the deletes are wanted: `tandem release mass-delete`.",
            Reason::Missing => {
                "Nothing was deleted. Restore the worklog's visibility, or delete it where it still is."
            }
            Reason::AmbiguousCreate => {
                "Name the right one with `tandem resolve ID --twin WORKLOG`; or delete the copy that is too many and, where another tool had made it, repeat `tandem backfill --adopt`."
            }
            Reason::RuleError => "Correct the sync rule.",
            Reason::Rejected => {
                "Read the site's message; correct the worklog or the site's rule, then `tandem retry`."
            }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

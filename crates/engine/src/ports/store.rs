//! The table, as the engine sees it.
//!
//! Each method is one atomic step on the table (or a read). Between two of them a process may die, or
//! another runner may come in; so every change of a row that matters carries the condition under which it is
//! still right.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tandem_core::{
    AccountId, ConnectionName, Content, IssueId, JiraWorklogId, LinkKey, Pair, PairId, PairState, Reason,
    Side, SiteName, WorklogId,
};

use super::grounds::Grounds;
use super::site::Vendor;

/// A table call that did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The table does not answer, or throttles beyond the retries of its client. Again later.
    #[error("the table is unavailable: {0}")]
    Unavailable(String),
    /// A row is not what it should be. A bug or a foreign writer.
    #[error("a row of the table is unusable: {0}")]
    Corrupt(String),
    /// A row would be larger than the table takes. Nothing was written.
    #[error("a row of the table would be too large: {0}")]
    TooLarge(String),
    /// The table is missing or may not be used. A person has to act.
    #[error("the table cannot be used: {0}")]
    Unusable(String),
}

/// What a due row is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DueKey {
    /// Bring a link's worklogs together.
    Link(LinkKey),
    /// Look for the twin of an issue.
    Issue {
        /// The site of the issue.
        site: SiteName,
        /// The issue.
        issue: IssueId,
    },
    /// Learn the Jira ids of a site's worklogs.
    Learn {
        /// The site.
        site: SiteName,
    },
}

impl std::fmt::Display for DueKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DueKey::Link(link) => write!(f, "{link}"),
            DueKey::Issue { site, issue } => write!(f, "{site}:{issue}"),
            DueKey::Learn { site } => write!(f, "{site}:ids"),
        }
    }
}

/// How urgent work is. Live work goes before sweep, sweep before backfill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Somebody changed something just now.
    #[default]
    Live,
    /// A schedule found it.
    Sweep,
    /// A first sync of old worklogs.
    Backfill,
}

/// A change that a webhook told of and that a listing may not show yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The side of the link that it happened on.
    pub side: Side,
    /// Which worklog.
    pub what: Announced,
    /// Until when its absence from the listing is worth waiting for.
    pub until: Timestamp,
}

/// How an announced change is recognised once the listing shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Announced {
    /// Tempo told of a worklog's creation or edit.
    Tempo {
        /// The worklog.
        id: WorklogId,
        /// Its `updatedAt` in the webhook.
        updated_at: Timestamp,
    },
    /// Tempo told that a worklog is deleted.
    TempoDeleted {
        /// The worklog.
        id: WorklogId,
    },
    /// Jira told of a worklog made or edited in Jira's own screen.
    Jira {
        /// Jira's id of it.
        id: JiraWorklogId,
        /// Its `updated`.
        updated_at: Timestamp,
        /// Its author, when told.
        author: Option<AccountId>,
        /// Its duration, in seconds.
        time_spent_secs: Option<u64>,
        /// Its text, `""` when it has none.
        description: String,
    },
    /// Jira told that a worklog is deleted.
    JiraDeleted {
        /// Jira's id of it.
        id: JiraWorklogId,
    },
}

/// "Look at this."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// What to look at.
    pub key: DueKey,
    /// How urgent it is. A row keeps the most urgent lane of its hints.
    pub lane: Lane,
    /// When to look. An earlier time already set stays.
    pub ready_at: Timestamp,
    /// Announced changes, if any. The table keeps the newest 50 per row.
    pub announced: Vec<Announcement>,
    /// Try parked items again even where nothing about them changed.
    pub force: bool,
    /// What the log and the history call the cause of this: a webhook's id, or [`AUDIT`]. Decides nothing.
    pub trace: Option<String>,
}

/// The trace of a hint that an audit left.
pub const AUDIT: &str = "audit";

/// One row per link or issue with work to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueRow {
    /// What to look at.
    pub key: DueKey,
    /// Goes up with each hint.
    pub generation: u64,
    /// Since when there is something to do.
    pub since: Timestamp,
    /// When to look (again).
    pub next_attempt: Timestamp,
    /// How often it failed in a row.
    #[serde(default)]
    pub attempts: u32,
    /// How urgent it is.
    #[serde(default)]
    pub lane: Lane,
    /// Announced changes not yet seen in a listing.
    #[serde(default)]
    pub announced: Vec<Announcement>,
    /// Hints since the last look that announced nothing.
    #[serde(default)]
    pub plain_hints: u64,
    /// Try parked items again even where nothing about them changed.
    #[serde(default)]
    pub force: bool,
    /// Why it did not go through, if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What happened, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// True when nothing is wrong and this is just the next scheduled look at parked or missing items.
    #[serde(default)]
    pub quiet: bool,
    /// The traces of the hints since the last look that had one; the newest 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<String>,
    /// Who works on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Until when the owner has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Timestamp>,
}

/// How a look at a due row ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// Done. The row goes, unless a newer hint came: then it stays, due as that hint said.
    Done,
    /// To be looked at again. A newer hint's earlier time stays.
    Again {
        /// When.
        at: Timestamp,
        /// How often it failed in a row, this time included; 0 when it did not fail.
        attempts: u32,
        /// Why, if somebody can do something about it.
        reason: Option<Reason>,
        /// What happened, for a person.
        detail: Option<String>,
        /// True when this is just the next scheduled look. When it is false, what was taken counts on: plain
        /// hints and `force` are there for the next look.
        quiet: bool,
        /// Announced changes that are still to be seen. Those of newer hints are kept besides.
        announced: Vec<Announcement>,
    },
}

/// A write to one row, with the condition under which it is right.
#[derive(Clone, Debug)]
pub enum Op {
    /// The due row must still be leased by this owner: keeps a runner whose lease was taken from writing.
    Fence {
        /// The due row.
        key: DueKey,
        /// The owner that it must have.
        owner: String,
    },
    /// Takes an issue for a link, or keeps it, or with `until` of now lets it go. Nobody may have it, or this link, or
    /// another whose time is over.
    Hold {
        /// The issue's site.
        site: SiteName,
        /// The issue.
        issue: IssueId,
        /// The link that works on it.
        link: LinkKey,
        /// The present.
        now: Timestamp,
        /// Until when no other link gets it.
        until: Timestamp,
    },
    /// This link must still have the issue. Says until when something that was sent may still take effect: no
    /// other link gets the issue before that either.
    Held {
        /// The issue's site.
        site: SiteName,
        /// The issue.
        issue: IssueId,
        /// The link that must have it.
        link: LinkKey,
        /// Until when something may take effect; `None` when nothing is open.
        busy_until: Option<Timestamp>,
    },
    /// Writes a pair under its link. `pair.rev` must be one more than the row's; 1 means that there is none yet.
    PutPair(Box<Pair>),
    /// Takes a pair from a link (it moved to another). The row's `rev` must be this one.
    DropPair {
        /// The link that it leaves.
        link: LinkKey,
        /// The pair.
        id: PairId,
        /// Its `rev`.
        rev: u64,
    },
    /// Says where a worklog belongs. There must be no row for it in the connection, or one of the same pair.
    PutWhere(Whereabouts),
    /// The same for one that this other pair has by now, which is over with it.
    TakeWhere {
        /// Where it belongs from now on.
        whereabouts: Whereabouts,
        /// The pair that has it.
        from: PairId,
    },
    /// Remembers where a worklog that Tandem wrote came from.
    PutOrigin {
        /// The site that the worklog is on.
        site: SiteName,
        /// The worklog.
        worklog: WorklogId,
        /// Where it came from.
        origin: Origin,
    },
    /// Claims the right to make the copy of a root worklog on a site; there must be no claim, or one of the
    /// same connection, or the one that it takes the place of. Writing it again records the copy's id.
    PutClaim {
        /// The root.
        root: Root,
        /// The site that the copy is on.
        site: SiteName,
        /// The claim.
        claim: Claim,
        /// Another connection's claim, whose copy is known to be gone.
        instead_of: Option<Claim>,
    },
    /// Gives up a claim that this connection holds.
    DropClaim {
        /// The root.
        root: Root,
        /// The site that the copy would have been on.
        site: SiteName,
        /// The connection that must hold it.
        connection: ConnectionName,
    },
    /// Remembers a proof that a worklog was deleted.
    PutEvidence(Evidence),
    /// Remembers what is about to be written, so that its webhook is recognised.
    PutEcho(Echo),
    /// Adds to the history.
    PutHistory(Box<HistoryRow>),
    /// Asks for a worklog's Jira id to be learned.
    PutLearn {
        /// The site.
        site: SiteName,
        /// The worklog.
        worklog: WorklogId,
        /// When it was asked.
        at: Timestamp,
        /// Forget the one that is known: the worklog moved, and Jira has another for it.
        anew: bool,
    },
    /// Remembers which Tempo worklog a Jira worklog belongs to, and forgets that it was to be learned.
    PutJiraId {
        /// The site.
        site: SiteName,
        /// Jira's id.
        jira: JiraWorklogId,
        /// Tempo's id.
        worklog: WorklogId,
    },
}

/// Whether a commit went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// All of it.
    Yes,
    /// None of it: a condition no longer held.
    Lost,
}

/// Where a worklog belongs in a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whereabouts {
    /// The connection.
    pub connection: ConnectionName,
    /// The site that the worklog is on.
    pub site: SiteName,
    /// The worklog.
    pub worklog: WorklogId,
    /// The pair's link.
    pub link: LinkKey,
    /// The pair.
    pub pair: PairId,
    /// The side of the connection that the site is.
    pub side: Side,
    /// Whether the pair is alive.
    pub state: PairState,
    /// The newest `updatedAt` accounted for.
    pub seen: Option<Timestamp>,
    /// A digest of what it said then: `updatedAt` has whole seconds, and two edits may share one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// It stands where it stood, and its pair went on without it when its issue's link was replaced. It is that pair's again
    /// when the link is put right.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub parted: bool,
    /// It may be the twin that the pair lacks, which waits for a person to tell: it is nobody's, and not new anywhere, for as
    /// long as the pair has it among its `rivals`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rival: bool,
}

/// The worklog that a person made, at the start of a chain of copies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Root {
    /// The site that it was made on.
    pub site: SiteName,
    /// Its id there.
    pub worklog: WorklogId,
}

/// Where a worklog that Tandem wrote came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The worklog at the start of the chain.
    pub root: Root,
    /// The worklog's `updatedAt` after Tandem's last write.
    pub written_updated_at: Timestamp,
    /// When a person made the change that was written, by their site's clock.
    pub edited_at: Timestamp,
    /// Tandem takes it away because its twin moved, and makes it anew elsewhere: nobody deleted it.
    #[serde(default)]
    pub moved_away: bool,
}

/// Who makes, or made, the copy of a root worklog on a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The connection.
    pub connection: ConnectionName,
    /// The copy, once it is there.
    pub worklog: Option<WorklogId>,
}

/// Which worklog a proof is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvidenceId {
    /// By Tempo's id.
    Tempo(WorklogId),
    /// By Jira's id.
    Jira(JiraWorklogId),
    /// By Tempo's id: Jira's word, once it was confirmed. Whoever asks later need not do so again.
    Confirmed(WorklogId),
    /// By Tempo's id, that it stands: what Jira had told before was of a move.
    Stands(WorklogId),
}

/// A proof that a worklog was deleted, or that it stands after all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The site.
    pub site: SiteName,
    /// The worklog.
    pub id: EvidenceId,
    /// Who says so, for the history: `tempo-webhook`, `jira-webhook`, `papertrail`, `jira-feed`, `own-delete`, `listing`, or
    /// the name of a person.
    pub source: String,
    /// When it was told.
    pub at: Timestamp,
}

/// What Tandem is about to write, so that the webhook that follows is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// The site written to.
    pub site: SiteName,
    /// What the webhook will say, as a digest (see [`crate::echo`]).
    pub mark: String,
    /// The connections that need not look at it.
    pub connection: ConnectionName,
    /// The worklog, once known.
    pub worklog: Option<WorklogId>,
    /// The author as written.
    pub author: Option<AccountId>,
    /// Its `updatedAt` after the write, once known.
    pub updated_at: Option<Timestamp>,
    /// When this is forgotten.
    pub expires: Timestamp,
}

/// A line of the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryRow {
    /// Its id; sorts by time.
    pub id: String,
    /// When.
    pub time: Timestamp,
    /// The connection.
    pub connection: ConnectionName,
    /// The link; none where a person did something to the whole connection, or to an issue without a twin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkKey>,
    /// `create`, `update`, `delete`, `adopt`, `move`, `park`, `resume`, `keep`, …
    pub op: String,
    /// The side written to.
    pub side: Side,
    /// The issue written to; none where a person did something to the whole connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<IssueId>,
    /// The worklog written to.
    pub worklog: Option<WorklogId>,
    /// The pair.
    pub pair: PairId,
    /// Why, in a sentence.
    pub cause: String,
    /// What the worklog said before.
    pub before: Option<Content>,
    /// What it says now.
    pub after: Option<Content>,
    /// Values that lost a conflict, by field, with the side that they stood on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
    /// The traces of the hints that led to it, as in the log; separated by spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// What it rests on; none on lines of earlier versions, and where a person asked for something without looking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grounds: Option<Grounds>,
    /// When this is forgotten.
    pub expires: Timestamp,
}

/// A linked pair of issues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRow {
    /// The link.
    pub key: LinkKey,
    /// The key of A's issue when last seen.
    pub a_key: Option<String>,
    /// The key of B's issue when last seen.
    pub b_key: Option<String>,
    /// How the link was found: `table`, `remote-link`, `field`, `command`.
    pub found_by: String,
    /// When.
    pub since: Timestamp,
    /// The side whose issue is outside the connection's scope: then the link waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside: Option<tandem_core::Side>,
}

/// What is known of an issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueRow {
    /// The site.
    pub site: SiteName,
    /// The issue.
    pub issue: IssueId,
    /// Its key when last seen.
    pub key: Option<String>,
    /// Its link in each connection where it has one.
    pub links: BTreeMap<ConnectionName, LinkKey>,
    /// Where it has none: when to look again.
    pub look_again: BTreeMap<ConnectionName, Timestamp>,
}

/// Whether a link could be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Linked {
    /// It is new.
    New,
    /// It was there already.
    Already,
    /// One of the issues has another twin in this connection.
    Refused {
        /// The side whose issue is taken.
        side: Side,
        /// The link that it has.
        existing: LinkKey,
    },
}

/// A slot of a site's token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Go, at this moment (now or shortly).
    At(Timestamp),
    /// Too much is waiting already; there may be room at this moment.
    NotBefore(Timestamp),
}

/// How a site fares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteState {
    /// Why nothing is sent to it, if nothing is: rejected credentials.
    pub paused: Option<Pause>,
    /// Whether Tempo's audit trail may be read; `None` while unknown.
    pub papertrail: Option<bool>,
    /// Whether the site demands a remaining estimate with each write.
    pub demands_estimate: bool,
    /// How it tells of remote links, once it has told of some: one on which issue linking is off never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<Telling>,
    /// Permissions found missing by the last probe.
    #[serde(default)]
    pub missing_permissions: Vec<String>,
    /// Digest of the credentials when they last worked.
    pub credentials: Option<String>,
    /// The service user's own account, once it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_account: Option<OwnAccount>,
    /// How often the row was written: 0 while there is none. Nobody writes over what somebody else has written since.
    #[serde(default)]
    pub rev: u64,
}

/// How a site tells of something that it has told of before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telling {
    /// Since when it refuses to, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_since: Option<Timestamp>,
}

/// By which account a site knows whose credentials are used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnAccount {
    /// Digest of the credentials.
    pub credentials: Option<String>,
    /// The account.
    pub account: AccountId,
}

/// Why a site is paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// What the site said.
    pub detail: String,
    /// The digest of the credentials that were rejected; another one resumes the site.
    pub credentials: Option<String>,
    /// When it is asked again whether it takes them.
    pub probe_at: Timestamp,
    /// Which of its services rejected them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<Vendor>,
}

/// What is known of a person of one site in the eyes of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonRow {
    /// The account on the `from` site.
    pub account: AccountId,
    /// Their account on the other site; `None` when there is none.
    pub other: Option<AccountId>,
    /// The name on the screen, for the text of a fallback.
    pub display_name: Option<String>,
    /// When this is looked up again.
    pub expires: Timestamp,
}

/// How far something has been read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Everything before this moment is read.
    pub at: Timestamp,
}

/// A published configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigVersion {
    /// Its number, from 1.
    pub number: u64,
    /// The `tandem.toml`, as text.
    pub text: String,
    /// When it was published.
    pub at: Timestamp,
}

/// The one table.
#[async_trait]
pub trait Store: Send + Sync {
    // --- issues and links ---

    /// Returns what is known of issues; unknown ones are left out. Any number.
    async fn issues(&self, issues: &[(SiteName, IssueId)]) -> Result<Vec<IssueRow>, StoreError>;
    /// Remembers an issue's key, and that it has no twin in a connection until `look_again`.
    async fn put_unlinked(
        &self,
        site: &SiteName,
        issue: IssueId,
        key: Option<&str>,
        connection: &ConnectionName,
        look_again: Timestamp,
    ) -> Result<(), StoreError>;
    /// Makes a link, unless one of the issues has another in the connection. One transaction; sites given in
    /// the order a, b.
    async fn put_link(
        &self,
        link: &LinkRow,
        sites: &tandem_core::Sides<SiteName>,
    ) -> Result<Linked, StoreError>;
    /// Replaces what is noted of a link, if it is there.
    async fn note_link(&self, link: &LinkRow) -> Result<(), StoreError>;
    /// Removes a link and its due row; pairs stay, for the history. `false` when there was none.
    async fn drop_link(
        &self,
        key: &LinkKey,
        sites: &tandem_core::Sides<SiteName>,
    ) -> Result<bool, StoreError>;
    /// Returns a link.
    async fn link(&self, key: &LinkKey) -> Result<Option<LinkRow>, StoreError>;
    /// Lists a connection's links, a page at a time.
    async fn links(
        &self,
        connection: &ConnectionName,
        cursor: Option<String>,
    ) -> Result<(Vec<LinkRow>, Option<String>), StoreError>;
    /// Counts a connection's links. An adapter that keeps count does not read them.
    async fn count_links(&self, connection: &ConnectionName) -> Result<u64, StoreError> {
        let (mut count, mut cursor) = (0, None);
        loop {
            let (links, next) = self.links(connection, cursor).await?;
            count += links.len() as u64;
            match next {
                Some(next) => cursor = Some(next),
                None => return Ok(count),
            }
        }
    }
    /// Returns the moment a connection first ran, setting it to `now` if it never did.
    async fn first_run(&self, connection: &ConnectionName, now: Timestamp) -> Result<Timestamp, StoreError>;
    /// Returns the moment a connection first ran, if it ever did. Sets nothing.
    async fn ran_first(&self, connection: &ConnectionName) -> Result<Option<Timestamp>, StoreError>;

    // --- hints and due rows ---

    /// What a webhook needs to know before it answers: one request.
    async fn lookup(&self, query: &LookupQuery<'_>) -> Result<Lookup, StoreError>;
    /// Stores hints and what else a webhook brought, in one request when there are at most 90 of them.
    async fn hint(&self, hints: &[Hint], extra: &[Op], now: Timestamp) -> Result<(), StoreError>;
    /// Lists rows that are ready, soonest first; leased ones whose lease has not run out are left out. May lag
    /// by a moment (an index).
    async fn ready(&self, now: Timestamp, limit: usize) -> Result<Vec<DueRow>, StoreError>;
    /// Lists all due rows, a page at a time.
    async fn due(&self, cursor: Option<String>) -> Result<(Vec<DueRow>, Option<String>), StoreError>;
    /// Returns a due row.
    async fn due_row(&self, key: &DueKey) -> Result<Option<DueRow>, StoreError>;
    /// Takes the lease, if the row is there and nobody has it.
    async fn take(
        &self,
        key: &DueKey,
        owner: &str,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<DueRow>, StoreError>;
    /// Prolongs a lease. `false` when it is lost.
    async fn renew(
        &self,
        key: &DueKey,
        owner: &str,
        now: Timestamp,
        lease: Duration,
    ) -> Result<bool, StoreError>;
    /// Ends a look at a row: `taken` is the row as it was taken. Does nothing when the lease is lost.
    async fn finish(
        &self,
        taken: &DueRow,
        owner: &str,
        finish: &Finish,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    // --- pairs ---

    /// Returns all pairs of a link (all states), consistently.
    async fn pairs(&self, link: &LinkKey) -> Result<Vec<Pair>, StoreError>;
    /// Returns one pair, consistently.
    async fn pair(&self, link: &LinkKey, id: &PairId) -> Result<Option<Pair>, StoreError>;
    /// Writes several rows or none, at most 100, in one transaction.
    async fn commit(&self, ops: Vec<Op>) -> Result<Committed, StoreError>;
    /// Says where worklogs of a site belong in a connection. Any number; unknown ones are left out.
    async fn whereabouts(
        &self,
        connection: &ConnectionName,
        site: &SiteName,
        worklogs: &[WorklogId],
    ) -> Result<Vec<Whereabouts>, StoreError>;
    /// Returns the origins of worklogs. Any number; unknown ones are left out.
    async fn origins(
        &self,
        worklogs: &[(SiteName, WorklogId)],
    ) -> Result<Vec<((SiteName, WorklogId), Origin)>, StoreError>;
    /// Returns who makes the copies of roots on a site. Any number; unclaimed ones are left out.
    async fn claims(&self, site: &SiteName, roots: &[Root]) -> Result<Vec<(Root, Claim)>, StoreError>;
    /// Returns the proofs about worklogs. Any number; unknown ones are left out.
    async fn evidence(&self, site: &SiteName, ids: &[EvidenceId]) -> Result<Vec<Evidence>, StoreError>;
    /// Returns the Jira ids known of worklogs. Any number; unknown ones are left out.
    async fn jira_ids(
        &self,
        site: &SiteName,
        worklogs: &[WorklogId],
    ) -> Result<Vec<(WorklogId, JiraWorklogId)>, StoreError>;
    /// Returns the Tempo ids known of Jira worklogs. Any number; unknown ones are left out.
    async fn tempo_ids(
        &self,
        site: &SiteName,
        jira: &[JiraWorklogId],
    ) -> Result<Vec<(JiraWorklogId, WorklogId)>, StoreError>;
    /// Lists worklogs of a site whose Jira id is to be learned, oldest first.
    async fn to_learn(
        &self,
        site: &SiteName,
        limit: usize,
    ) -> Result<Vec<(WorklogId, Timestamp)>, StoreError>;
    /// Forgets that Jira ids are to be learned: these worklogs have none.
    async fn drop_learn(&self, site: &SiteName, worklogs: &[WorklogId]) -> Result<(), StoreError>;
    /// Lists a connection's pairs that wait, a page at a time. May lag by a moment (an index).
    async fn waiting(
        &self,
        connection: &ConnectionName,
        cursor: Option<String>,
    ) -> Result<(Vec<Pair>, Option<String>), StoreError>;

    // --- brake ---

    /// Registers proven deletes of a connection (each worklog once) and returns how many were registered
    /// since the later of `since` and the last release; stops counting past `enough`. Once that many were counted, those
    /// registered by then count as that many themselves until the next release.
    async fn brake(
        &self,
        connection: &ConnectionName,
        deletes: &[(SiteName, WorklogId)],
        since: Timestamp,
        now: Timestamp,
        enough: usize,
    ) -> Result<usize, StoreError>;
    /// Returns what [`brake`](Store::brake) would but for those that are not registered yet, and which those are. Registers
    /// nothing.
    async fn brake_ahead(
        &self,
        connection: &ConnectionName,
        deletes: &[(SiteName, WorklogId)],
        since: Timestamp,
        enough: usize,
    ) -> Result<(usize, Vec<(SiteName, WorklogId)>), StoreError>;
    /// Forgets the deletes registered so far.
    async fn release_brake(&self, connection: &ConnectionName, now: Timestamp) -> Result<(), StoreError>;

    // --- history ---

    /// Returns the history, newest last: of a link, or of everything; at most `limit` of the newest.
    async fn history(
        &self,
        connections: &[ConnectionName],
        link: Option<&LinkKey>,
        limit: usize,
    ) -> Result<Vec<HistoryRow>, StoreError>;
    /// Returns a line of a connection's history.
    async fn history_line(
        &self,
        connection: &ConnectionName,
        id: &str,
    ) -> Result<Option<HistoryRow>, StoreError>;

    // --- sites ---

    /// Reserves a slot of a site's bucket: requests are spaced by `interval`. Gives `NotBefore` when the slot
    /// would be further away than `patience`.
    async fn reserve(
        &self,
        site: &SiteName,
        now: Timestamp,
        interval: Duration,
        patience: Duration,
    ) -> Result<Slot, StoreError>;
    /// Returns from when on the next slot of a site's bucket is free; `None` while none was ever taken. Takes none.
    async fn free_at(&self, site: &SiteName) -> Result<Option<Timestamp>, StoreError>;
    /// Keeps a site's bucket closed until a moment (a 429 with `Retry-After`).
    async fn hold(&self, site: &SiteName, until: Timestamp) -> Result<(), StoreError>;
    /// Takes or prolongs the lease of something that one runner at a time is to do, such as a scheduled pass. `false`
    /// while it is another's. A store that several processes do not share has nobody to keep it from.
    async fn begin(
        &self,
        _what: &str,
        _owner: &str,
        _now: Timestamp,
        _lease: Duration,
    ) -> Result<bool, StoreError> {
        Ok(true)
    }
    /// Gives that lease back. Does nothing when it is another's by now.
    async fn end(&self, _what: &str, _owner: &str) -> Result<(), StoreError> {
        Ok(())
    }
    /// Returns how a site fares.
    async fn site(&self, site: &SiteName) -> Result<SiteState, StoreError>;
    /// Remembers how a site fares, if its row's `rev` is still the state's: one more goes into the row.
    async fn put_site(&self, site: &SiteName, state: &SiteState) -> Result<Committed, StoreError>;
    /// Returns what is known of people of `from` in the eyes of `to`. Expired rows are left out.
    async fn people(
        &self,
        from: &SiteName,
        to: &SiteName,
        accounts: &[AccountId],
        now: Timestamp,
    ) -> Result<Vec<PersonRow>, StoreError>;
    /// Remembers a person.
    async fn put_person(&self, from: &SiteName, to: &SiteName, person: &PersonRow) -> Result<(), StoreError>;
    /// Returns a cursor by name.
    async fn cursor(&self, name: &str) -> Result<Option<Cursor>, StoreError>;
    /// Moves a cursor forward; never back.
    async fn put_cursor(&self, name: &str, cursor: &Cursor) -> Result<(), StoreError>;
    /// Returns a small document kept under a name (definitions of attributes, digests).
    async fn note(&self, name: &str) -> Result<Option<String>, StoreError>;
    /// Keeps a small document under a name.
    async fn put_note(&self, name: &str, text: &str) -> Result<(), StoreError>;

    // --- configuration ---

    /// Returns the newest published configuration.
    async fn config(&self) -> Result<Option<ConfigVersion>, StoreError>;
    /// Publishes a configuration as the next version and returns its number.
    async fn put_config(&self, text: &str, now: Timestamp) -> Result<u64, StoreError>;
    /// Lists the published configurations, newest first.
    async fn configs(&self, limit: usize) -> Result<Vec<ConfigVersion>, StoreError>;
}

/// What a webhook asks the table.
#[derive(Clone, Debug)]
pub struct LookupQuery<'a> {
    /// The site that it came from.
    pub site: &'a SiteName,
    /// The issue that it is about, when told.
    pub issue: Option<IssueId>,
    /// Marks of own writes that it may be the echo of (see [`crate::echo`]); at most 10.
    pub marks: &'a [String],
    /// The Jira worklog that it is about.
    pub jira: Option<JiraWorklogId>,
    /// The Tempo worklog that it is about.
    pub worklog: Option<WorklogId>,
    /// The site's connections, for `worklog`.
    pub connections: &'a [ConnectionName],
    /// The present, to leave out echoes past their time.
    pub now: Timestamp,
}

/// What a webhook needs to know.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    /// The issue, when it is known.
    pub issue: Option<IssueRow>,
    /// Own writes that the webhook may be the echo of.
    pub echoes: Vec<Echo>,
    /// The Tempo worklog that the Jira id belongs to, when known.
    pub worklog: Option<WorklogId>,
    /// Where the Tempo worklog belongs, per connection where it does.
    pub whereabouts: Vec<Whereabouts>,
}

//! What is stored under which key.
//!
//! One table; every key attribute is a string. `pk` and `sk` are the key of a row, `gpk` and `gsk` the key of
//! the one index (`by-order`), which only the rows that say so carry. `#` separates the parts of a key; a `#`
//! or `%` inside a part is written `%23` or `%25`, so two keys never meet. Numbers stand as they are, unless a
//! key must sort by one. Times are RFC 3339 with nine digits of fraction, so that text sorts as time does.
//!
//! | row | `pk` | `sk` | `gpk` | `gsk` | goes by TTL |
//! | --- | --- | --- | --- | --- | --- |
//! | issue | `ISSUE#site#issue` | `ISSUE` | | | |
//! | hold of an issue | `ISSUE#site#issue` | `HOLD` | | | a day later |
//! | link | `LINKS#connection` | `a~b` | | | |
//! | first run of a connection | `CONNECTION#connection` | `FIRST-RUN` | | | |
//! | number of links of a connection | `CONNECTION#connection` | `LINKS` | | | |
//! | due link | `DUE#LINK#connection#a~b` | `DUE` | `DUE#0`, `DUE#1` or `DUE#2` by lane | next attempt | |
//! | due issue | `DUE#ISSUE#site#issue` | `DUE` | the same | the same | |
//! | pair | `PAIRS#connection#a~b` | pair | while it waits: `WAITING#connection` | since, link, pair | |
//! | whereabouts | `WHERE#connection#site#worklog` | `WHERE` | | | |
//! | origin | `ORIGIN#site#worklog` | `ORIGIN` | | | |
//! | claim | `CLAIM#root site#root worklog#site` | `CLAIM` | | | |
//! | evidence | `EVIDENCE#site#tempo, jira, confirmed or stands#id` | `EVIDENCE` | | | 400 days |
//! | echo | `ECHO#site#mark` | `ECHO` | | | as it says |
//! | Tempo id of a Jira id | `JIRA#site#Jira id` | `JIRA` | | | |
//! | Jira id of a Tempo id | `TEMPO#site#worklog` | `TEMPO` | while to be learned: `LEARN#site` | since, worklog | |
//! | brake, its round | `BRAKE#connection` | `ROUND` | | | |
//! | brake, a delete | `BRAKE#connection#round` | `site#worklog` | | | 30 days |
//! | history | `HISTORY#connection` | id | `HISTORY#connection#a~b` | id | as it says |
//! | a site's state | `SITE#site` | `STATE` | | | |
//! | a site's bucket | `SITE#site` | `BUCKET` | | | |
//! | whose turn a pass is | `LEASE#what` | `LEASE` | | | |
//! | person | `PERSON#from#to#account` | `PERSON` | | | as it says |
//! | cursor | `CURSOR#name` | `CURSOR` | | | |
//! | note | `NOTE#name` | `NOTE` | | | |
//! | configuration | `CONFIG` | number, ten digits | | | |

use std::fmt::Write as _;

use jiff::Timestamp;
use tandem_core::{
    AccountId, ConnectionName, IssueId, JiraWorklogId, LinkKey, Pair, PairId, SiteName, WorklogId,
};
use tandem_engine::ports::store::{DueKey, EvidenceId, Lane, Root};

/// The key of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The partition.
    pub pk: String,
    /// The row in it.
    pub sk: String,
}

/// The key of a row in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexKey {
    /// The partition.
    pub gpk: String,
    /// Where the row sorts in it.
    pub gsk: String,
}

impl Key {
    fn new(pk: String, sk: impl Into<String>) -> Self {
        Self { pk, sk: sk.into() }
    }

    /// What is known of an issue.
    pub fn issue(site: &SiteName, issue: IssueId) -> Self {
        Self::new(parts("ISSUE", &[site.as_str(), &issue.to_string()]), "ISSUE")
    }

    /// Which link works on an issue that several connections share.
    pub fn hold(site: &SiteName, issue: IssueId) -> Self {
        Self::new(parts("ISSUE", &[site.as_str(), &issue.to_string()]), "HOLD")
    }

    /// A link.
    pub fn link(link: &LinkKey) -> Self {
        Self::new(links(&link.connection), issues(link))
    }

    /// When a connection first ran.
    pub fn first_run(connection: &ConnectionName) -> Self {
        Self::new(parts("CONNECTION", &[connection.as_str()]), "FIRST-RUN")
    }

    /// How many links a connection has.
    pub fn link_count(connection: &ConnectionName) -> Self {
        Self::new(parts("CONNECTION", &[connection.as_str()]), "LINKS")
    }

    /// A due row.
    pub fn due(key: &DueKey) -> Self {
        let pk = match key {
            DueKey::Link(link) => parts("DUE#LINK", &[link.connection.as_str(), &issues(link)]),
            DueKey::Issue { site, issue } => parts("DUE#ISSUE", &[site.as_str(), &issue.to_string()]),
            DueKey::Learn { site } => parts("DUE#LEARN", &[site.as_str()]),
        };
        Self::new(pk, "DUE")
    }

    /// A pair under its link.
    pub fn pair(link: &LinkKey, id: &PairId) -> Self {
        Self::new(pairs(link), escaped(id.as_str()))
    }

    /// Where a worklog belongs in a connection.
    pub fn whereabouts(connection: &ConnectionName, site: &SiteName, worklog: WorklogId) -> Self {
        Self::new(
            parts(
                "WHERE",
                &[connection.as_str(), site.as_str(), &worklog.to_string()],
            ),
            "WHERE",
        )
    }

    /// Where a worklog that Tandem wrote came from.
    pub fn origin(site: &SiteName, worklog: WorklogId) -> Self {
        Self::new(parts("ORIGIN", &[site.as_str(), &worklog.to_string()]), "ORIGIN")
    }

    /// Who makes the copy of a root on a site.
    pub fn claim(root: &Root, site: &SiteName) -> Self {
        Self::new(
            parts(
                "CLAIM",
                &[root.site.as_str(), &root.worklog.to_string(), site.as_str()],
            ),
            "CLAIM",
        )
    }

    /// The proof that a worklog was deleted.
    pub fn evidence(site: &SiteName, id: &EvidenceId) -> Self {
        let (kind, number) = match id {
            EvidenceId::Tempo(id) => ("tempo", id.to_string()),
            EvidenceId::Jira(id) => ("jira", id.to_string()),
            EvidenceId::Confirmed(id) => ("confirmed", id.to_string()),
            EvidenceId::Stands(id) => ("stands", id.to_string()),
        };
        Self::new(parts("EVIDENCE", &[site.as_str(), kind, &number]), "EVIDENCE")
    }

    /// What Tandem is about to write.
    pub fn echo(site: &SiteName, mark: &str) -> Self {
        Self::new(parts("ECHO", &[site.as_str(), mark]), "ECHO")
    }

    /// The Tempo id of a Jira id.
    pub fn jira(site: &SiteName, jira: JiraWorklogId) -> Self {
        Self::new(parts("JIRA", &[site.as_str(), &jira.to_string()]), "JIRA")
    }

    /// The Jira id of a Tempo id, known or to be learned.
    pub fn tempo(site: &SiteName, worklog: WorklogId) -> Self {
        Self::new(parts("TEMPO", &[site.as_str(), &worklog.to_string()]), "TEMPO")
    }

    /// The number of the brake's present round; a release begins the next one.
    pub fn brake_round(connection: &ConnectionName) -> Self {
        Self::new(parts("BRAKE", &[connection.as_str()]), "ROUND")
    }

    /// A delete registered in a round of the brake.
    pub fn brake_delete(
        connection: &ConnectionName,
        round: u64,
        site: &SiteName,
        worklog: WorklogId,
    ) -> Self {
        Self::new(
            brake_deletes(connection, round),
            parts(&escaped(site.as_str()), &[&worklog.to_string()]),
        )
    }

    /// A line of the history.
    pub fn history(connection: &ConnectionName, id: &str) -> Self {
        Self::new(history(connection), id)
    }

    /// How a site fares.
    pub fn site_state(site: &SiteName) -> Self {
        Self::new(parts("SITE", &[site.as_str()]), "STATE")
    }

    /// A site's token bucket.
    pub fn site_bucket(site: &SiteName) -> Self {
        Self::new(parts("SITE", &[site.as_str()]), "BUCKET")
    }

    /// The lease of something that one runner at a time does.
    pub fn lease(what: &str) -> Self {
        Self::new(parts("LEASE", &[what]), "LEASE")
    }

    /// A person of one site in the eyes of another.
    pub fn person(from: &SiteName, to: &SiteName, account: &AccountId) -> Self {
        Self::new(
            parts("PERSON", &[from.as_str(), to.as_str(), account.as_str()]),
            "PERSON",
        )
    }

    /// How far something has been read.
    pub fn cursor(name: &str) -> Self {
        Self::new(parts("CURSOR", &[name]), "CURSOR")
    }

    /// A small document.
    pub fn note(name: &str) -> Self {
        Self::new(parts("NOTE", &[name]), "NOTE")
    }

    /// A published configuration.
    pub fn config(number: u64) -> Self {
        Self::new(CONFIG.to_owned(), format!("{number:010}"))
    }
}

/// Reads the key of a due row back from its partition, as a stream record tells it; `None` for other rows.
pub fn due_key(pk: &str) -> Option<DueKey> {
    let (kind, parts) = pk.strip_prefix("DUE#")?.split_once('#')?;
    let parts: Vec<String> = parts.split('#').map(unescaped).collect::<Option<_>>()?;
    match (kind, parts.as_slice()) {
        ("LINK", [connection, issues]) => {
            let (a, b) = issues.split_once('~')?;
            Some(DueKey::Link(LinkKey {
                connection: connection.as_str().into(),
                a: IssueId(a.parse().ok()?),
                b: IssueId(b.parse().ok()?),
            }))
        }
        ("ISSUE", [site, issue]) => Some(DueKey::Issue {
            site: site.as_str().into(),
            issue: IssueId(issue.parse().ok()?),
        }),
        ("LEARN", [site]) => Some(DueKey::Learn {
            site: site.as_str().into(),
        }),
        _ => None,
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} / {}", unsaid(&self.pk), self.sk)
    }
}

/// Returns a partition as errors and logs may have it: that of a person without their account.
pub(super) fn unsaid(pk: &str) -> String {
    let is_person = pk.starts_with("PERSON#");
    match pk.rsplit_once('#') {
        Some((sites, _)) if is_person => format!("{sites}#…"),
        _ => pk.to_owned(),
    }
}

/// The partition of the published configurations.
pub const CONFIG: &str = "CONFIG";

/// The partition of a connection's links.
pub fn links(connection: &ConnectionName) -> String {
    parts("LINKS", &[connection.as_str()])
}

/// The partition of a link's pairs.
pub fn pairs(link: &LinkKey) -> String {
    parts("PAIRS", &[link.connection.as_str(), &issues(link)])
}

/// The partition of a connection's history.
pub fn history(connection: &ConnectionName) -> String {
    parts("HISTORY", &[connection.as_str()])
}

/// The index partition of a link's history.
pub fn link_history(link: &LinkKey) -> String {
    parts("HISTORY", &[link.connection.as_str(), &issues(link)])
}

/// The partition of the deletes of one round of a connection's brake.
pub fn brake_deletes(connection: &ConnectionName, round: u64) -> String {
    parts("BRAKE", &[connection.as_str(), &round.to_string()])
}

/// The index partition of a lane's due rows.
///
/// One partition a lane, so that a thousand links of an audit don't hide the one that somebody just edited.
pub fn due_lane(lane: Lane) -> &'static str {
    match lane {
        Lane::Live => "DUE#0",
        Lane::Sweep => "DUE#1",
        Lane::Backfill => "DUE#2",
    }
}

/// The index partition of a connection's waiting pairs.
pub fn waiting(connection: &ConnectionName) -> String {
    parts("WAITING", &[connection.as_str()])
}

/// The index partition of a site's worklogs whose Jira id is to be learned.
pub fn learn(site: &SiteName) -> String {
    parts("LEARN", &[site.as_str()])
}

impl IndexKey {
    /// A pair that waits; `None` for one that doesn't.
    pub fn waiting(pair: &Pair) -> Option<Self> {
        let wait = pair.wait.as_ref()?;
        let gsk = parts(&time(wait.since), &[&issues(&pair.link), pair.id.as_str()]);
        Some(Self {
            gpk: waiting(&pair.link.connection),
            gsk,
        })
    }

    /// A worklog whose Jira id is to be learned.
    pub fn learn(site: &SiteName, worklog: WorklogId, at: Timestamp) -> Self {
        Self {
            gpk: learn(site),
            gsk: parts(&time(at), &[&worklog.to_string()]),
        }
    }

    /// A line of a link's history.
    pub fn link_history(link: &LinkKey, id: &str) -> Self {
        Self {
            gpk: link_history(link),
            gsk: id.to_owned(),
        }
    }
}

/// Writes a time so that text sorts as time does.
pub fn time(at: Timestamp) -> String {
    format!("{at:.9}")
}

/// Writes a link's two issues.
pub fn issues(link: &LinkKey) -> String {
    format!("{}~{}", link.a, link.b)
}

/// The attribute of an issue row that holds its link in a connection.
pub fn link_attribute(connection: &ConnectionName) -> String {
    format!("link#{connection}")
}

/// The attribute of an issue row that says when to look for a twin again.
pub fn look_again_attribute(connection: &ConnectionName) -> String {
    format!("look#{connection}")
}

fn parts(first: &str, rest: &[&str]) -> String {
    let mut key = first.to_owned();
    for part in rest {
        key.push('#');
        push_escaped(&mut key, part);
    }
    key
}

fn escaped(part: &str) -> String {
    let mut text = String::with_capacity(part.len());
    push_escaped(&mut text, part);
    text
}

fn unescaped(part: &str) -> Option<String> {
    let mut pieces = part.split('%');
    let mut text = pieces.next()?.to_owned();
    for piece in pieces {
        text.push(match piece.get(..2)? {
            "23" => '#',
            "25" => '%',
            _ => return None,
        });
        text.push_str(&piece[2..]);
    }
    Some(text)
}

fn push_escaped(key: &mut String, part: &str) {
    for c in part.chars() {
        match c {
            '#' | '%' => {
                // Writing to a String can't fail.
                let _ = write!(key, "%{:02X}", u32::from(c));
            }
            _ => key.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_about_a_persons_row_does_not_say_who_it_is() {
        let key = Key::person(&"acme".into(), &"globex".into(), &AccountId::new("5f0a#x"));
        assert_eq!(key.to_string(), "PERSON#acme#globex#… / PERSON");
        assert_eq!(
            crate::dynamodb::row::name(&crate::dynamodb::row::bare(&key)),
            key.to_string()
        );
        let key = Key::link_count(&"acme-globex".into());
        assert_eq!(key.to_string(), "CONNECTION#acme-globex / LINKS");
    }

    #[test]
    fn two_names_never_share_a_key() {
        let left = Key::echo(&"a#b".into(), "c");
        let right = Key::echo(&"a".into(), "b#c");
        assert_ne!(left, right);
        assert_ne!(Key::note("a%23b"), Key::note("a#b"));
    }

    #[test]
    fn a_due_row_tells_what_it_is_about() {
        let link = |connection: &str| {
            DueKey::Link(LinkKey {
                connection: connection.into(),
                a: IssueId(10_001),
                b: IssueId(20_002),
            })
        };
        let issue = DueKey::Issue {
            site: "acme".into(),
            issue: IssueId(7),
        };
        let learn = DueKey::Learn {
            site: "acme#%".into(),
        };
        for key in [link("acme-globex"), link("50% #1"), link("%23"), issue, learn] {
            // A new kind of due row that is missing here would never wake the worker.
            match key {
                DueKey::Link(_) | DueKey::Issue { .. } | DueKey::Learn { .. } => {}
            }
            assert_eq!(due_key(&Key::due(&key).pk), Some(key));
        }
        for other in [
            "",
            "DUE#LINK#c",
            "DUE#LINK#c#1",
            "DUE#LINK#c#1~x",
            "DUE#LINK#c#1~2#3",
            "DUE#ISSUE#s#%",
            "DUE#LEARN",
            "DUE#LEARN#a#b",
            "DUE#LINK#c%4#1~2",
            "DUE#LINK#\u{e4}%\u{e4}\u{e4}#1~2",
            "PAIRS#c#1~2#x",
            "CONFIG",
        ] {
            assert_eq!(due_key(other), None, "{other}");
        }
    }

    #[test]
    fn text_sorts_as_time_does() {
        let early: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let late: Timestamp = "2026-03-01T10:00:00.000000001Z".parse().unwrap();
        assert_eq!(time(early), "2026-03-01T10:00:00.000000000Z");
        assert!(time(early) < time(late));
    }
}

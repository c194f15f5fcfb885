//! Finding an issue's twin.
//!
//! Either side may hold the link. What was found, and what was not, is remembered; an issue without a twin is
//! looked at again after a while.

mod find;
mod see;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tandem_core::{ConnectionName, IssueId, LinkKey, Side, Sides, SiteName};
use tracing::{info, warn};

use self::find::{Doubt, Found};
use crate::echo::digest;
use crate::error::EngineError;
use crate::gate::{Asking, signed};
use crate::options::{Connection, Engine, LinkSource};
use crate::ports::site::{IssueRef, JiraIssue};
use crate::ports::store::{DueKey, Lane, LinkRow, Linked};

/// Links whose issues are held to the scope in one request.
const SCOPED_AT_ONCE: usize = 100;

/// Issues of the configuration's table that are asked for by themselves in one go, because they have another key by now.
const RENAMED_AT_ONCE: usize = 20;

/// Rows of the configuration's table that are linked in one go: as many issues as one request may ask for.
const LINKED_AT_ONCE: usize = 100;

/// Spans of rows that are remembered, at most. A table that is full of gaps has some rows looked at once more; the
/// note stays far below the size of a row of the store.
const SPANS_MAX: usize = 5000;

impl Engine {
    /// Looks for the twin of an issue in each connection of its site, and hints at what is found.
    pub(crate) async fn discover(
        &self,
        site: &SiteName,
        issue: IssueId,
        lane: Lane,
    ) -> Result<(), EngineError> {
        let connections: Vec<(Connection, Side)> = self
            .connections_of(site)
            .map(|(connection, side)| (connection.clone(), side))
            .collect();
        let mut links = Vec::new();
        for (connection, side) in &connections {
            links.extend(self.link_of(connection, *side, issue, lane).await?);
        }
        self.hint_all(links.into_iter().map(DueKey::Link).collect(), lane, false)
            .await
    }

    /// Returns an issue's link in a connection: from the table, or by looking for it.
    pub(crate) async fn link_of(
        &self,
        connection: &Connection,
        side: Side,
        issue: IssueId,
        lane: Lane,
    ) -> Result<Option<LinkKey>, EngineError> {
        let issues = BTreeSet::from([issue]);
        let mut links = self
            .links_of(connection, side, &issues, Asking::once(lane))
            .await?;
        Ok(links.remove(&issue))
    }

    /// Returns the links of a side's issues in a connection, of those that have one: from the table, or by looking for
    /// them, many at a time.
    pub(crate) async fn links_of(
        &self,
        connection: &Connection,
        side: Side,
        issues: &BTreeSet<IssueId>,
        asking: Asking,
    ) -> Result<BTreeMap<IssueId, LinkKey>, EngineError> {
        let site = &connection.sites[side];
        let mut links = BTreeMap::new();
        let issues: Vec<IssueId> = issues.iter().copied().collect();
        for some in issues.chunks(LINKED_AT_ONCE) {
            let now = self.clock.now();
            let asked: Vec<_> = some.iter().map(|issue| (site.clone(), *issue)).collect();
            let mut unknown: BTreeSet<IssueId> = some.iter().copied().collect();
            for row in self.store.issues(&asked).await? {
                let link = row.links.get(&connection.name);
                let again = row.look_again.get(&connection.name);
                if link.is_some() || again.is_some_and(|again| *again > now) {
                    unknown.remove(&row.issue);
                    links.extend(link.map(|link| (row.issue, link.clone())));
                }
            }
            if unknown.is_empty() {
                continue;
            }
            let found = self.find_twins(connection, side, &unknown, asking).await?;
            for (issue, found) in found {
                let link = self.keep_found(connection, side, issue, found).await?;
                links.extend(link.map(|link| (issue, link)));
            }
        }
        Ok(links)
    }

    /// Says whether an issue without a link was found, when it was looked at last, to name a twin that is out of sight, or
    /// whether a site refused to tell: nobody knows then that it has none.
    pub(crate) async fn has_unseen_twin(
        &self,
        connection: &Connection,
        side: Side,
        issue: IssueId,
    ) -> Result<bool, EngineError> {
        let note = self.store.note(&unseen(&connection.name, side, issue)).await?;
        let until: Option<Timestamp> = note.and_then(|until| until.parse().ok());
        Ok(until.is_some_and(|until| until > self.clock.now()))
    }

    /// Remembers what was found, or that nothing was.
    async fn keep_found(
        &self,
        connection: &Connection,
        side: Side,
        issue: IssueId,
        found: Found,
    ) -> Result<Option<LinkKey>, EngineError> {
        let again = self.clock.now() + signed(self.options.look_again);
        let key = match found {
            Found::Twin { here, there, by } => {
                let (a, b) = if side == Side::A {
                    (&here, &there)
                } else {
                    (&there, &here)
                };
                match self.link_issues(connection, a, b, by).await? {
                    Linked::New | Linked::Already => {
                        return Ok(Some(LinkKey {
                            connection: connection.name.clone(),
                            a: a.id,
                            b: b.id,
                        }));
                    }
                    Linked::Refused {
                        side: taken,
                        existing,
                    } => {
                        warn!(
                            connection.name = %connection.name,
                            "{} and {} are not linked: the issue on {} already has the twin of {existing}",
                            here.key, there.key, connection.sites[taken],
                        );
                        Some(here.key)
                    }
                }
            }
            Found::Nothing { key, doubt } => {
                if let Some(doubt) = doubt {
                    let issue_key = key.as_deref().unwrap_or("?");
                    let (here, there) = (&connection.sites[side], &connection.sites[side.other()]);
                    match doubt {
                        Doubt::Unseen => warn!(
                            connection.name = %connection.name,
                            "Issue {issue_key} of {here} names a twin that the service user does not see on {there}",
                        ),
                        Doubt::Untold => warn!(
                            connection.name = %connection.name,
                            "Whether issue {issue_key} of {here} has a twin is not known: a site refuses to tell, or not all was asked for yet",
                        ),
                    }
                    let note = unseen(&connection.name, side, issue);
                    self.store.put_note(&note, &again.to_string()).await?;
                }
                key
            }
        };
        let site = &connection.sites[side];
        self.store
            .put_unlinked(site, issue, key.as_deref(), &connection.name, again)
            .await?;
        Ok(None)
    }

    /// Records two issues as twins.
    ///
    /// # Errors
    /// When the table fails. A second twin is not an error but an answer.
    pub async fn link_issues(
        &self,
        connection: &Connection,
        a: &JiraIssue,
        b: &JiraIssue,
        found_by: &str,
    ) -> Result<Linked, EngineError> {
        self.link_scoped(connection, a, b, found_by, None).await
    }

    async fn link_scoped(
        &self,
        connection: &Connection,
        a: &JiraIssue,
        b: &JiraIssue,
        found_by: &str,
        outside: Option<Side>,
    ) -> Result<Linked, EngineError> {
        let key = LinkKey {
            connection: connection.name.clone(),
            a: a.id,
            b: b.id,
        };
        let row = LinkRow {
            key: key.clone(),
            a_key: Some(a.key.clone()),
            b_key: Some(b.key.clone()),
            found_by: found_by.to_string(),
            since: self.clock.now(),
            outside,
        };
        let linked = self.store.put_link(&row, &connection.sites).await?;
        if linked == Linked::New {
            info!(link.key = %key, "Linked {} and {} ({found_by})", a.key, b.key);
        }
        Ok(linked)
    }

    /// Makes the links that the configuration's tables name. What cannot be resolved now is tried with the next
    /// call, and so is what a process that ended early left over; what is linked already costs nothing.
    ///
    /// # Errors
    /// When a site or the table fails.
    pub async fn link_tables(&self, lane: Lane) -> Result<(), EngineError> {
        for connection in &self.connections {
            let sources = &connection.links;
            if sources.table.is_empty() || !sources.from.contains(&LinkSource::Table) {
                continue;
            }
            let note = format!("linked-table:{}", connection.name);
            let mut said = self.store.note(&note).await?;
            let mut made = Made::read(said.as_deref(), &sources.table);
            let now = self.clock.now();
            // What could not be seen a moment ago is not asked for with each pass.
            if made.again.is_some_and(|again| again > now.as_second()) {
                continue;
            }
            made.again = None;
            // A row that is left over and linked all the same: a process ended between making the link and hinting at it.
            let resumed = said.as_deref().is_some_and(|said| made.is_of(said));
            if !resumed {
                // Noted before the first link, or the next process could not tell.
                said = Some(made.text());
                self.store.put_note(&note, &made.text()).await?;
            }
            let rest = made.rows(sources.table.len());
            let mut unseen = Vec::new();
            for (index, chunk) in rest.chunks(LINKED_AT_ONCE).enumerate() {
                unseen.extend(self.link_rows(connection, chunk, lane, resumed).await?);
                // With each chunk, so that a process that ends in the middle has not worked for nothing.
                let done = (index + 1) * LINKED_AT_ONCE;
                let ahead = rest.iter().skip(done);
                made.leave(unseen.iter().chain(ahead).copied());
                if done >= rest.len() && !unseen.is_empty() {
                    made.again = Some((now + signed(self.options.look_again)).as_second());
                }
                let wanted = made.text();
                if said.as_ref() != Some(&wanted) {
                    self.store.put_note(&note, &wanted).await?;
                }
            }
        }
        Ok(())
    }

    /// Makes the links that some rows of the configuration's table name, and hints at the new ones; where an
    /// interrupted process is `resumed`, at those too that are there already. Returns the rows whose issues cannot both
    /// be seen.
    async fn link_rows(
        &self,
        connection: &Connection,
        rows: &[usize],
        lane: Lane,
        resumed: bool,
    ) -> Result<Vec<usize>, EngineError> {
        // Others with each look, or those that are gone for good would keep the rest from being asked for.
        let every = signed(self.options.look_again).as_secs().max(1);
        let turn = usize::try_from(self.clock.now().as_second() / every).unwrap_or_default();
        let named = |row: &usize| connection.links.table.get(*row).map(|pair| (*row, pair));
        let rows: Vec<(usize, &(String, String))> = rows.iter().filter_map(named).collect();
        let mut found: Sides<BTreeMap<String, JiraIssue>> = Sides::default();
        for side in Side::BOTH {
            let site = self.site_of(connection, side)?;
            let refs: Vec<IssueRef> = rows
                .iter()
                .map(|(_, (a, b))| issue_ref(if side == Side::A { a } else { b }))
                .collect();
            let issues = self
                .call(site, lane, async |client| client.issues(&refs, &[]).await)
                .await?;
            for issue in issues {
                found[side].insert(issue.id.to_string(), issue.clone());
                found[side].insert(issue.key.to_uppercase(), issue);
            }
            // An issue that moved is told under its new key, which is not the one that was asked for.
            let named = rows.iter().map(|(_, (a, b))| if side == Side::A { a } else { b });
            let unseen: Vec<&String> = named
                .filter(|name| !found[side].contains_key(&name.trim().to_uppercase()))
                .collect();
            for name in in_turn(&unseen, turn) {
                let named = issue_ref(name);
                let issue = self
                    .call(site, lane, async |client| client.issue(&named, &[]).await)
                    .await?;
                found[side].extend(issue.map(|issue| (name.trim().to_uppercase(), issue)));
            }
        }
        let of_row = |(_, (a, b)): &(usize, &(String, String))| {
            let a = found.a.get(&a.trim().to_uppercase())?;
            let b = found.b.get(&b.trim().to_uppercase())?;
            Some((a, b))
        };
        let in_order = connection.links.from.first() == Some(&LinkSource::Table);
        if !in_order {
            // Something else may name another twin, and comes first.
            let issues = rows.iter().filter_map(of_row).map(|(a, _)| DueKey::Issue {
                site: connection.sites.a.clone(),
                issue: a.id,
            });
            self.hint_all(issues.collect(), Lane::Sweep, false).await?;
        }
        let keys: Vec<LinkKey> = rows
            .iter()
            .filter_map(of_row)
            .map(|(a, b)| LinkKey {
                connection: connection.name.clone(),
                a: a.id,
                b: b.id,
            })
            .collect();
        let outside = match in_order {
            true => self.outside(connection, &keys, lane).await?,
            false => BTreeMap::new(),
        };
        let mut unseen = Vec::new();
        for row in rows {
            let Some((a, b)) = of_row(&row) else {
                let (row, (a, b)) = row;
                warn!(connection.name = %connection.name, "{a} and {b} of the table are not linked: not both can be seen");
                unseen.push(row);
                continue;
            };
            if !in_order {
                continue;
            }
            let key = LinkKey {
                connection: connection.name.clone(),
                a: a.id,
                b: b.id,
            };
            let outside = outside.get(&key).copied();
            match self.link_scoped(connection, a, b, "table", outside).await? {
                Linked::Already if !resumed => {}
                Linked::New | Linked::Already => {
                    self.hint_all(vec![DueKey::Link(key)], Lane::Sweep, false).await?;
                }
                Linked::Refused { existing, .. } => {
                    warn!(connection.name = %connection.name, "{} and {} are not linked: one of them already has the twin of {existing}", a.key, b.key)
                }
            }
        }
        Ok(unseen)
    }

    /// Returns which of some links have an issue outside the connection's scope, and on which side.
    ///
    /// # Errors
    /// When a site fails, or does not take the scope's JQL.
    pub async fn outside(
        &self,
        connection: &Connection,
        links: &[LinkKey],
        lane: Lane,
    ) -> Result<BTreeMap<LinkKey, Side>, EngineError> {
        let mut outside = BTreeMap::new();
        for side in Side::BOTH {
            let Some(jql) = &connection.scope[side] else {
                continue;
            };
            let site = self.site_of(connection, side)?;
            for some in links.chunks(SCOPED_AT_ONCE) {
                let issues: Vec<IssueId> = some.iter().map(|link| link.issue(side)).collect();
                let matched = self
                    .call(site, lane, async |client| client.match_jql(jql, &issues).await)
                    .await?;
                let left_out = some.iter().filter(|link| !matched.contains(&link.issue(side)));
                for link in left_out {
                    outside.entry(link.clone()).or_insert(side);
                }
            }
        }
        Ok(outside)
    }

    /// Holds links to the connection's scope, notes which are outside, and hints at those that are inside again. Both may
    /// change at any time: with the configuration, and with an issue that a JQL no longer matches.
    pub(crate) async fn note_scope(
        &self,
        connection: &Connection,
        rows: &[LinkRow],
        lane: Lane,
    ) -> Result<(), EngineError> {
        let keys: Vec<LinkKey> = rows.iter().map(|row| row.key.clone()).collect();
        let outside = match self.outside(connection, &keys, lane).await {
            Ok(outside) => outside,
            Err(error) if error.is_refusal() => {
                warn!(connection.name = %connection.name, "The scope of {} cannot be read: {}", connection.name, error.unsaid());
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for row in rows {
            let now = outside.get(&row.key).copied();
            if now == row.outside {
                continue;
            }
            let noted = LinkRow {
                outside: now,
                ..row.clone()
            };
            self.store.note_link(&noted).await?;
            info!(link.key = %row.key, "{} is {} the scope of {}", row.key, if now.is_some() { "outside" } else { "inside" }, connection.name);
            self.hint_all(vec![DueKey::Link(row.key.clone())], lane, false)
                .await?;
        }
        Ok(())
    }

    /// Holds all links to the scopes of their connections.
    pub(crate) async fn look_over_links(&self, lane: Lane) -> Result<(), EngineError> {
        for connection in &self.connections {
            let mut cursor = None;
            loop {
                let (rows, next) = self.store.links(&connection.name, cursor).await?;
                self.note_scope(connection, &rows, lane).await?;
                match next {
                    Some(next) => cursor = Some(next),
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// Says whether a link waits because one of its issues is outside the scope.
    pub(crate) async fn is_outside(
        &self,
        connection: &Connection,
        link: &LinkKey,
    ) -> Result<bool, EngineError> {
        if connection.scope.a.is_none() && connection.scope.b.is_none() {
            return Ok(false);
        }
        let row = self.store.link(link).await?;
        Ok(row.is_some_and(|row| row.outside.is_some()))
    }
}

/// What was made of the links that the configuration's table names.
#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Made {
    /// The table's digest. The table itself may be larger than a row of the store.
    table: String,
    /// The rows that are not linked yet, as spans from a first row up to before another.
    rest: Vec<(usize, usize)>,
    /// When those that could not be seen are asked for again, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    again: Option<i64>,
}

impl Made {
    /// Reads what was noted. A table that has changed since begins anew.
    fn read(note: Option<&str>, table: &[(String, String)]) -> Self {
        let parts: Vec<&str> = table.iter().flat_map(|(a, b)| [a.as_str(), b]).collect();
        let digest = digest(&parts);
        note.and_then(|text| serde_json::from_str(text).ok())
            .filter(|made: &Self| made.table == digest)
            .unwrap_or_else(|| Self {
                table: digest,
                rest: vec![(0, table.len())],
                again: None,
            })
    }

    /// Says whether a note is of the same table.
    fn is_of(&self, note: &str) -> bool {
        serde_json::from_str(note).is_ok_and(|noted: Self| noted.table == self.table)
    }

    /// Returns the rows that are not linked yet, of a table of so many.
    fn rows(&self, len: usize) -> Vec<usize> {
        let spans = self.rest.iter().map(|(first, end)| *first..(*end).min(len));
        spans.flatten().collect()
    }

    /// Notes which rows are left, in ascending order.
    fn leave(&mut self, rows: impl Iterator<Item = usize>) {
        self.rest.clear();
        for row in rows {
            let full = self.rest.len() >= SPANS_MAX;
            match self.rest.last_mut() {
                Some((_, end)) if *end == row || full => *end = row + 1,
                _ => self.rest.push((row, row + 1)),
            }
        }
    }

    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Returns the names that are asked for by themselves at such a turn.
fn in_turn<'a>(unseen: &[&'a String], turn: usize) -> Vec<&'a String> {
    let count = unseen.len();
    let first = turn.wrapping_mul(RENAMED_AT_ONCE) % count.max(1);
    let ring = unseen.iter().cycle().skip(first);
    ring.take(RENAMED_AT_ONCE.min(count)).copied().collect()
}

/// Reads a key or an id as people write it.
pub fn issue_ref(text: &str) -> IssueRef {
    match text.trim().parse() {
        Ok(id) => IssueRef::Id(IssueId(id)),
        Err(_) => IssueRef::Key(text.trim().to_uppercase()),
    }
}

/// The note that an issue names a twin that is out of sight.
fn unseen(connection: &ConnectionName, side: Side, issue: IssueId) -> String {
    format!("unseen:{connection}:{side}:{issue}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: usize) -> Vec<(String, String)> {
        (0..rows)
            .map(|n| (format!("SUPPLIERXX-{n}"), format!("CUSTOMERXX-{n}")))
            .collect()
    }

    #[test]
    fn rows_that_are_left_are_remembered_until_the_table_changes() {
        let (three, four) = (table(3), table(4));
        let mut made = Made::read(None, &three);
        assert_eq!(made.rows(3), [0, 1, 2]);
        made.leave([0, 2].into_iter());
        let note = made.text();
        assert_eq!(Made::read(Some(&note), &three).rows(3), [0, 2]);
        assert_eq!(Made::read(Some(&note), &four).rows(4), [0, 1, 2, 3]);
        made.leave([].into_iter());
        assert!(Made::read(Some(&made.text()), &three).rows(3).is_empty());
        assert_eq!(
            Made::read(Some("[(\"SUP-1\", \"DEV-1\")]"), &three).rows(3),
            [0, 1, 2]
        );
    }

    #[test]
    fn each_issue_that_cannot_be_seen_is_asked_for_in_its_turn() {
        let names: Vec<String> = (0..50).map(|n| format!("OLD-{n}")).collect();
        let unseen: Vec<&String> = names.iter().collect();
        let asked: BTreeSet<&String> = (7..10).flat_map(|turn| in_turn(&unseen, turn)).collect();
        assert_eq!(asked.len(), 50);
        assert_eq!(in_turn(&unseen[..3], 8).len(), 3);
        assert!(in_turn(&[], 8).is_empty());
    }

    #[test]
    fn a_note_of_any_table_fits_into_a_row_and_names_each_row_that_is_left() {
        let rows: Vec<usize> = (0..100_000).step_by(2).collect();
        let mut made = Made::read(None, &table(100_000));
        made.leave(rows.iter().copied());
        assert!(made.text().len() < 100_000, "{}", made.text().len());
        let left: BTreeSet<usize> = made.rows(100_000).into_iter().collect();
        assert!(rows.iter().all(|row| left.contains(row)));
    }
}

//! Finding an issue's twin.
//!
//! Either side may hold the link. What was found, and what was not, is remembered; an issue without a twin is
//! looked at again after a while.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use tandem_core::{IssueId, LinkKey, Side, Sides, SiteName};
use tracing::{info, warn};

use crate::echo::digest;
use crate::error::EngineError;
use crate::gate::signed;
use crate::options::{Connection, Engine, LinkSource, Site};
use crate::ports::site::{IssueRef, JiraIssue, SiteErrorKind};
use crate::ports::store::{DueKey, Lane, LinkRow, Linked};

/// How often the other side's issues are searched for ones that point here, unless an issue without a twin is looked at
/// again sooner.
const SCAN_EVERY: SignedDuration = SignedDuration::from_mins(10);

/// Links whose issues are held to the scope in one request.
const SCOPED_AT_ONCE: usize = 100;

/// Issues of the configuration's table that are asked for by themselves in one go, because they have another key by now.
const RENAMED_AT_ONCE: usize = 20;

/// Issues that such a search looks at, at most.
const SCAN_MAX: usize = 1000;

/// Issues whose remote links such a search reads, at most: each is a request.
const SCAN_LINKS_MAX: usize = 200;

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
        let site = connection.sites[side].clone();
        let now = self.clock.now();
        let known = self
            .store
            .issues(&[(site.clone(), issue)])
            .await?
            .into_iter()
            .next();
        if let Some(row) = &known {
            if let Some(link) = row.links.get(&connection.name) {
                return Ok(Some(link.clone()));
            }
            if row
                .look_again
                .get(&connection.name)
                .is_some_and(|again| *again > now)
            {
                return Ok(None);
            }
        }
        match self.find_twin(connection, side, issue, lane).await? {
            Found::Twin { here, there, by } => {
                let (a, b) = if side == Side::A {
                    (&here, &there)
                } else {
                    (&there, &here)
                };
                match self.link_issues(connection, a, b, by).await? {
                    Linked::New | Linked::Already => {
                        let key = LinkKey {
                            connection: connection.name.clone(),
                            a: a.id,
                            b: b.id,
                        };
                        return Ok(Some(key));
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
                        self.store
                            .put_unlinked(
                                &site,
                                issue,
                                Some(&here.key),
                                &connection.name,
                                now + signed(self.options.look_again),
                            )
                            .await?;
                    }
                }
            }
            Found::Nothing { key } => {
                let again = now + signed(self.options.look_again);
                self.store
                    .put_unlinked(&site, issue, key.as_deref(), &connection.name, again)
                    .await?;
            }
        }
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

    async fn find_twin(
        &self,
        connection: &Connection,
        side: Side,
        issue: IssueId,
        lane: Lane,
    ) -> Result<Found, EngineError> {
        let here = self.site_of(connection, side)?;
        let there = self.site_of(connection, side.other())?;
        let fields: Vec<String> = connection.links.field[side].iter().cloned().collect();
        let found = self
            .call(here, lane, async |client| {
                client.issue(&IssueRef::Id(issue), &fields).await
            })
            .await?;
        let Some(own) = found else {
            return Ok(Found::Nothing { key: None });
        };
        let nothing = Found::Nothing {
            key: Some(own.key.clone()),
        };
        if !self.in_scope(connection, side, own.id, lane).await? {
            return Ok(nothing);
        }
        for source in &connection.links.from {
            let named = match source {
                LinkSource::Table => self.in_table(connection, side, &own),
                LinkSource::RemoteLink => self.by_remote_link(here, there, &own, lane).await?,
                LinkSource::Field => self.by_field(connection, side, there, &own, lane).await?,
            };
            let by = match source {
                LinkSource::Table => "table",
                LinkSource::RemoteLink => "remote-link",
                LinkSource::Field => "field",
            };
            if let Some(twin) = named {
                let seen = self
                    .call(there, lane, async |client| client.issue(&twin, &[]).await)
                    .await?;
                if let Some(twin) = seen
                    && self.in_scope(connection, side.other(), twin.id, lane).await?
                {
                    return Ok(Found::Twin {
                        here: own,
                        there: twin,
                        by,
                    });
                }
            }
        }
        if let Some((twin, by)) = self.pointing_here(connection, side, &own, lane).await? {
            return Ok(Found::Twin {
                here: own,
                there: twin,
                by,
            });
        }
        Ok(nothing)
    }

    async fn in_scope(
        &self,
        connection: &Connection,
        side: Side,
        issue: IssueId,
        lane: Lane,
    ) -> Result<bool, EngineError> {
        let Some(jql) = &connection.scope[side] else {
            return Ok(true);
        };
        let site = self.site_of(connection, side)?;
        let matched = self
            .call(site, lane, async |client| client.match_jql(jql, &[issue]).await)
            .await?;
        Ok(matched.contains(&issue))
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

    fn in_table(&self, connection: &Connection, side: Side, own: &JiraIssue) -> Option<IssueRef> {
        let id = own.id.to_string();
        connection.links.table.iter().find_map(|(a, b)| {
            let (ours, theirs) = if side == Side::A { (a, b) } else { (b, a) };
            (ours.eq_ignore_ascii_case(&own.key) || *ours == id).then(|| issue_ref(theirs))
        })
    }

    async fn by_remote_link(
        &self,
        here: &Site,
        there: &Site,
        own: &JiraIssue,
        lane: Lane,
    ) -> Result<Option<IssueRef>, EngineError> {
        let links = match self
            .call(here, lane, async |client| client.remote_links(own.id).await)
            .await
        {
            // A site on which issue linking is off says so in this way. The twin may be found in another.
            Err(error) if error.is_refused() => None,
            links => links?,
        };
        let urls: Vec<String> = links.into_iter().flatten().map(|link| link.url).collect();
        if urls.is_empty() {
            return Ok(None);
        }
        let addresses = self.addresses(there, lane).await?;
        let key = urls.iter().find_map(|url| key_at(&addresses, url));
        Ok(key.map(IssueRef::Key))
    }

    async fn by_field(
        &self,
        connection: &Connection,
        side: Side,
        there: &Site,
        own: &JiraIssue,
        lane: Lane,
    ) -> Result<Option<IssueRef>, EngineError> {
        let field = connection.links.field[side].as_ref();
        let Some(value) = field.and_then(|field| own.fields.get(field)) else {
            return Ok(None);
        };
        let addresses = self.addresses(there, lane).await?;
        Ok(key_in(&addresses, value).map(IssueRef::Key))
    }

    /// Returns the addresses under which people know a site: the configured one, and what the site calls itself. They
    /// differ where the API is reached through a gateway.
    async fn addresses(&self, site: &Site, lane: Lane) -> Result<Vec<String>, EngineError> {
        let mut addresses = vec![site.jira.clone()];
        let note = format!("base-url:{}", site.name);
        let known = match self.store.note(&note).await? {
            Some(known) => known,
            None => {
                let told = self
                    .call(site, lane, async |client| client.server_info().await)
                    .await;
                let told = match told {
                    Ok(info) => info.base_url,
                    Err(error) if error.is_refusal() => String::new(),
                    Err(error) => return Err(error),
                };
                self.store.put_note(&note, &told).await?;
                told
            }
        };
        addresses.extend((!known.is_empty()).then_some(known));
        Ok(addresses)
    }

    /// Looks on the other side for an issue that points at this one.
    ///
    /// There is no query for it, so the other side's issues are searched once in a while and what they point at
    /// is remembered.
    async fn pointing_here(
        &self,
        connection: &Connection,
        side: Side,
        own: &JiraIssue,
        lane: Lane,
    ) -> Result<Option<(JiraIssue, &'static str)>, EngineError> {
        let from = &connection.links.from;
        let field = connection.links.field[side.other()]
            .as_ref()
            .filter(|_| from.contains(&LinkSource::Field));
        let remote = from.contains(&LinkSource::RemoteLink);
        if field.is_none() && !remote {
            return Ok(None);
        }
        let (here, there) = (
            self.site_of(connection, side)?,
            self.site_of(connection, side.other())?,
        );
        let note = format!("scanned:{}:{}", connection.name, side.other());
        let now = self.clock.now();
        let known: Option<Scan> = self
            .store
            .note(&note)
            .await?
            .and_then(|text| serde_json::from_str(&text).ok());
        let every = SCAN_EVERY.min(signed(self.options.look_again));
        let scan = match known.filter(|scan| scan.at > (now - every).as_second()) {
            Some(scan) => scan,
            None => {
                let scan = self
                    .scan(connection, side.other(), here, there, field, remote, lane)
                    .await?;
                let text = serde_json::to_string(&scan).unwrap_or_default();
                self.store.put_note(&note, &text).await?;
                scan
            }
        };
        let Some((twin, by_field)) = scan.points.get(&own.key.to_uppercase()) else {
            return Ok(None);
        };
        let seen = self
            .call(there, lane, async |client| {
                client.issue(&IssueRef::Id(*twin), &[]).await
            })
            .await?;
        let Some(twin) = seen else { return Ok(None) };
        Ok(Some((twin, if *by_field { "field" } else { "remote-link" })))
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one search over one side, with all it needs"
    )]
    async fn scan(
        &self,
        connection: &Connection,
        side: Side,
        target: &Site,
        site: &Site,
        field: Option<&String>,
        remote: bool,
        lane: Lane,
    ) -> Result<Scan, EngineError> {
        let addresses = self.addresses(target, lane).await?;
        let mut points = BTreeMap::new();
        let mut candidates: Vec<JiraIssue> = Vec::new();
        let scope = connection.scope[side].clone();
        let recent = || {
            scope
                .clone()
                .unwrap_or_else(|| "project is not EMPTY ORDER BY updated DESC".to_string())
        };
        let mut jql = match field {
            Some(field) if !remote => {
                let number = field.trim_start_matches("customfield_");
                let set = format!("cf[{number}] is not EMPTY");
                scope
                    .as_ref()
                    .map_or(set.clone(), |scope| format!("({scope}) AND {set}"))
            }
            _ => recent(),
        };
        let fields: Vec<String> = field.into_iter().cloned().collect();
        let mut cursor = None;
        while candidates.len() < SCAN_MAX {
            let page = self
                .call(site, lane, async |client| {
                    client.search_issues(&jql, &fields, cursor.clone()).await
                })
                .await;
            let (issues, next) = match page {
                Ok(page) => page,
                // A site that cannot be asked for the field may still show it.
                Err(error) if error.is_refused() && cursor.is_none() && jql != recent() => {
                    jql = recent();
                    continue;
                }
                // A field that is not there, or a query that this site does not take, is no link.
                Err(EngineError::Site { error, .. }) if matches!(error.kind, SiteErrorKind::Refused(_)) => {
                    warn!(site.name = %site.name, "Issues of {} that point at their twin cannot be searched: {}", site.name, error.unsaid());
                    break;
                }
                Err(error) => return Err(error),
            };
            candidates.extend(issues);
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        if let Some(field) = field {
            for issue in &candidates {
                if let Some(key) = issue
                    .fields
                    .get(field)
                    .and_then(|value| key_in(&addresses, value))
                {
                    points.entry(key.to_uppercase()).or_insert((issue.id, true));
                }
            }
        }
        if remote {
            let asked: Vec<(SiteName, IssueId)> = candidates
                .iter()
                .map(|issue| (site.name.clone(), issue.id))
                .collect();
            let linked: Vec<IssueId> = self
                .store
                .issues(&asked)
                .await?
                .into_iter()
                .filter(|row| row.links.contains_key(&connection.name))
                .map(|row| row.issue)
                .collect();
            let open = candidates.iter().filter(|issue| !linked.contains(&issue.id));
            for issue in open.take(SCAN_LINKS_MAX) {
                let links = match self
                    .call(site, lane, async |client| client.remote_links(issue.id).await)
                    .await
                {
                    Err(error) if error.is_refused() => break,
                    links => links?,
                };
                for key in links
                    .into_iter()
                    .flatten()
                    .filter_map(|link| key_at(&addresses, &link.url))
                {
                    points.entry(key.to_uppercase()).or_insert((issue.id, false));
                }
            }
        }
        Ok(Scan {
            at: self.clock.now().as_second(),
            points,
        })
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

enum Found {
    Twin {
        here: JiraIssue,
        there: JiraIssue,
        by: &'static str,
    },
    Nothing {
        key: Option<String>,
    },
}

/// Which issues of a side point at which keys of the other.
#[derive(serde::Serialize, serde::Deserialize)]
struct Scan {
    at: i64,
    points: BTreeMap<String, (IssueId, bool)>,
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

/// Returns the key of the issue that an address names, if it is one of a site that is known under these addresses.
fn key_at(sites: &[String], address: &str) -> Option<String> {
    let lower = address.trim().to_lowercase();
    let rest = sites.iter().find_map(|site| {
        let site = site.trim_end_matches('/').to_lowercase();
        lower.strip_prefix(&site).filter(|rest| rest.starts_with('/'))
    })?;
    let key = rest
        .strip_prefix("/browse/")
        .or_else(|| rest.split("selectedissue=").nth(1))?;
    let key: String = key
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        .collect();
    is_key(&key).then(|| key.to_uppercase())
}

/// Returns the key that a field's value holds: a key, an address, or text around one of them.
fn key_in(sites: &[String], value: &serde_json::Value) -> Option<String> {
    let text = match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) => number.to_string(),
        other => other.get("value").and_then(|value| value.as_str())?.to_string(),
    };
    let text = text.trim();
    if is_key(&text.to_lowercase()) {
        return Some(text.to_uppercase());
    }
    text.split_whitespace().find_map(|word| key_at(sites, word))
}

fn is_key(text: &str) -> bool {
    text.rsplit_once('-').is_some_and(|(project, number)| {
        project.starts_with(|c: char| c.is_ascii_alphabetic())
            && project.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !number.is_empty()
            && number.chars().all(|c| c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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

    #[test]
    fn a_twin_is_read_from_a_key_or_an_address_of_the_other_site_only() {
        let sites = [
            "https://api.atlassian.com/ex/jira/1".to_owned(),
            "https://globex.atlassian.net".to_owned(),
        ];
        let json = |text: &str| serde_json::Value::String(text.into());
        assert_eq!(key_in(&sites, &json("dev-9")).as_deref(), Some("DEV-9"));
        assert_eq!(
            key_in(&sites, &json("see https://globex.atlassian.net/browse/DEV-9?x=1")).as_deref(),
            Some("DEV-9")
        );
        assert_eq!(
            key_in(&sites, &json("https://other.atlassian.net/browse/DEV-9")),
            None
        );
        assert_eq!(
            key_in(
                &sites,
                &json("https://globex.atlassian.net.evil.example/browse/DEV-9")
            ),
            None
        );
        assert_eq!(key_in(&sites, &json("later")), None);
        assert_eq!(
            key_at(
                &["http://127.0.0.1:8001/jira/globex/".to_owned()],
                "http://127.0.0.1:8001/jira/globex/browse/DEV-9"
            )
            .as_deref(),
            Some("DEV-9")
        );
    }
}

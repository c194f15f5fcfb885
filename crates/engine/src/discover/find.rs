//! Where the twins of issues are named: in the configuration's table, in remote links, in a field; on either side.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use tandem_core::{IssueId, Side, SiteName};
use tracing::warn;

use super::issue_ref;
use crate::error::EngineError;
use crate::gate::{Asking, signed};
use crate::options::{Connection, Engine, LinkSource, Site};
use crate::ports::site::{IssueRef, JiraIssue, RemoteLink, SiteErrorKind};
use crate::ports::store::Telling;

/// How often the other side's issues are searched for ones that point here, unless an issue without a twin is looked at
/// again sooner.
const SCAN_EVERY: SignedDuration = SignedDuration::from_mins(10);

/// Issues that such a search looks at, at most.
const SCAN_MAX: usize = 1000;

/// Issues whose remote links such a search reads, at most: each is a request.
const SCAN_LINKS_MAX: usize = 200;

/// Keys that such a search asks for the issue of, at most: one that the issue had once is a request of its own.
const SCAN_KEYS_MAX: usize = 50;

/// For how long a site that has told before is taken at its word that it will not tell now. One that refuses for longer has
/// been told not to.
const REFUSAL: SignedDuration = SignedDuration::from_hours(72);

/// What came of looking for an issue's twin.
pub(super) enum Found {
    Twin {
        here: JiraIssue,
        there: JiraIssue,
        by: &'static str,
    },
    Nothing {
        key: Option<String>,
        /// Why it may have one all the same.
        doubt: Option<Doubt>,
    },
}

/// Why an issue may have a twin that was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It names one that the service user does not see on the other site.
    Unseen,
    /// A site refused to tell what it had told of before, or not all was asked for yet.
    Untold,
}

/// Issues whose twin is still to be found.
type Open = BTreeMap<IssueId, JiraIssue>;

impl Engine {
    /// Looks for the twins of issues, all of them at once: as many as one request may ask for cost hardly more than one,
    /// but for remote links, which are read one issue at a time.
    pub(super) async fn find_twins(
        &self,
        connection: &Connection,
        side: Side,
        issues: &BTreeSet<IssueId>,
        asking: Asking,
    ) -> Result<BTreeMap<IssueId, Found>, EngineError> {
        let fields: Vec<String> = connection.links.field[side].iter().cloned().collect();
        let asked = issues.iter().map(|issue| IssueRef::Id(*issue)).collect();
        let here = self.site_of(connection, side)?;
        let mut seen = self.see(here, &asked, &fields, asking).await?;
        let mut found = BTreeMap::new();
        let mut open = Open::new();
        for issue in issues {
            let own = seen.remove(&IssueRef::Id(*issue));
            let key = own.as_ref().map(|own| own.key.clone());
            found.insert(*issue, Found::Nothing { key, doubt: None });
            open.extend(own.map(|own| (*issue, own)));
        }
        let inside = self.inside(connection, side, open.values(), asking).await?;
        open.retain(|_, own| inside.contains(&own.id));
        for source in &connection.links.from {
            if open.is_empty() {
                return Ok(found);
            }
            let (named, by) = match source {
                LinkSource::Table => (in_table(connection, side, &open), "table"),
                LinkSource::RemoteLink => {
                    let (named, refused) = self.by_remote_link(connection, side, &open, asking).await?;
                    doubt(&mut found, refused, Doubt::Untold);
                    (named, "remote-link")
                }
                LinkSource::Field => (self.by_field(connection, side, &open, asking).await?, "field"),
            };
            let there = self.site_of(connection, side.other())?;
            let asked = named.values().cloned().collect();
            let twins = self.see(there, &asked, &[], asking).await?;
            let inside = self
                .inside(connection, side.other(), twins.values(), asking)
                .await?;
            for (issue, name) in named {
                match twins.get(&name) {
                    Some(twin) if inside.contains(&twin.id) => {
                        settle(&mut open, &mut found, issue, twin.clone(), by);
                    }
                    Some(_) => {}
                    None => doubt(&mut found, [issue], Doubt::Unseen),
                }
            }
        }
        let (pointing, is_refused) = self.pointing_here(connection, side, &open, asking).await?;
        for (issue, (twin, by)) in pointing {
            settle(&mut open, &mut found, issue, twin, by);
        }
        if is_refused {
            doubt(&mut found, open.into_keys(), Doubt::Untold);
        }
        Ok(found)
    }

    /// Returns those of a side's issues that are in the connection's scope.
    async fn inside(
        &self,
        connection: &Connection,
        side: Side,
        issues: impl Iterator<Item = &JiraIssue>,
        asking: Asking,
    ) -> Result<BTreeSet<IssueId>, EngineError> {
        let issues: BTreeSet<IssueId> = issues.map(|issue| issue.id).collect();
        let Some(jql) = connection.scope[side].as_ref().filter(|_| !issues.is_empty()) else {
            return Ok(issues);
        };
        let site = self.site_of(connection, side)?;
        let issues: Vec<IssueId> = issues.into_iter().collect();
        let matched = self
            .ask(site, asking, async |client| client.match_jql(jql, &issues).await)
            .await?;
        Ok(matched.into_iter().collect())
    }

    /// Returns what issues' remote links name, and the issues of which they were not told.
    async fn by_remote_link(
        &self,
        connection: &Connection,
        side: Side,
        open: &Open,
        asking: Asking,
    ) -> Result<(BTreeMap<IssueId, IssueRef>, Vec<IssueId>), EngineError> {
        let here = self.site_of(connection, side)?;
        let mut named = BTreeMap::new();
        let mut refused = Vec::new();
        let mut addresses = None;
        for (issue, own) in open {
            let links = match self.remote_links(here, own.id, asking).await? {
                Told::Links(links) => links,
                Told::Off => continue,
                Told::Refused => {
                    refused.push(*issue);
                    continue;
                }
            };
            if links.is_empty() {
                continue;
            }
            let addresses = match &addresses {
                Some(addresses) => addresses,
                None => addresses.insert(
                    self.addresses(self.site_of(connection, side.other())?, asking)
                        .await?,
                ),
            };
            let key = links.iter().find_map(|link| key_at(addresses, &link.url));
            named.extend(key.map(|key| (*issue, IssueRef::Key(key))));
        }
        Ok((named, refused))
    }

    /// Reads the remote links of an issue that is shown. A site on which issue linking is off says so by 403, as one does that
    /// takes a permission away; it has told of none before. That it knows no such issue by now is no word of its links either.
    async fn remote_links(&self, site: &Site, issue: IssueId, asking: Asking) -> Result<Told, EngineError> {
        let links = self
            .ask(site, asking, async |client| client.remote_links(issue).await)
            .await;
        let known = self.site_state(site).await?.links;
        let now = self.clock.now();
        let refusal = match links {
            Ok(Some(links)) => {
                let telling = Some(Telling { refused_since: None });
                if known != telling {
                    self.change_site(&site.name, |state| state.links = telling)
                        .await?;
                }
                return Ok(Told::Links(links));
            }
            Ok(None) => format!("it knows no issue {issue}"),
            Err(error) if error.is_refused() => error.unsaid().to_string(),
            Err(error) => return Err(error),
        };
        let Some(Telling { refused_since }) = known else {
            return Ok(Told::Off);
        };
        warn!(site.name = %site.name, "{} does not tell of remote links any more: {refusal}", site.name);
        let since = refused_since.unwrap_or(now);
        if refused_since.is_none() {
            let telling = Some(Telling {
                refused_since: Some(since),
            });
            self.change_site(&site.name, |state| state.links = telling)
                .await?;
        }
        Ok(match now < since + REFUSAL {
            true => Told::Refused,
            false => Told::Off,
        })
    }

    async fn by_field(
        &self,
        connection: &Connection,
        side: Side,
        open: &Open,
        asking: Asking,
    ) -> Result<BTreeMap<IssueId, IssueRef>, EngineError> {
        let Some(field) = connection.links.field[side].as_ref() else {
            return Ok(BTreeMap::new());
        };
        let values = open
            .iter()
            .filter_map(|(issue, own)| Some((*issue, own.fields.get(field)?)));
        let values: Vec<_> = values.collect();
        if values.is_empty() {
            return Ok(BTreeMap::new());
        }
        let there = self.site_of(connection, side.other())?;
        let addresses = self.addresses(there, asking).await?;
        let keys = values
            .into_iter()
            .filter_map(|(issue, value)| Some((issue, IssueRef::Key(key_in(&addresses, value)?))));
        Ok(keys.collect())
    }

    /// Returns the addresses under which people know a site: the configured one, and what the site calls itself. They
    /// differ where the API is reached through a gateway.
    async fn addresses(&self, site: &Site, asking: Asking) -> Result<Vec<String>, EngineError> {
        let mut addresses = vec![site.jira.clone()];
        let note = format!("base-url:{}", site.name);
        let known = match self.store.note(&note).await? {
            Some(known) => known,
            None => {
                let told = self
                    .ask(site, asking, async |client| client.server_info().await)
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

    /// Looks on the other side for issues that point at these.
    ///
    /// There is no query for it, so the other side's issues are searched once in a while and what they point at
    /// is remembered. Says too whether that was refused.
    async fn pointing_here(
        &self,
        connection: &Connection,
        side: Side,
        open: &Open,
        asking: Asking,
    ) -> Result<(Pointing, bool), EngineError> {
        let from = &connection.links.from;
        let field = connection.links.field[side.other()]
            .as_ref()
            .filter(|_| from.contains(&LinkSource::Field));
        let remote = from.contains(&LinkSource::RemoteLink);
        if open.is_empty() || field.is_none() && !remote {
            return Ok((Pointing::new(), false));
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
        let scan = match known {
            Some(scan) if scan.at > (now - every).as_second() => scan,
            known => {
                let mut scan = self
                    .scan(connection, side.other(), here, there, field, remote, asking)
                    .await?;
                let known = known.unwrap_or_default();
                scan.follows(&known, now);
                self.ask_for_keys(here, &mut scan, known, open, asking).await?;
                let text = serde_json::to_string(&scan).unwrap_or_default();
                self.store.put_note(&note, &text).await?;
                scan
            }
        };
        let pointing: Vec<_> = open
            .values()
            .filter_map(|own| Some((own.id, scan.pointing_at(own)?)))
            .collect();
        let asked = pointing
            .iter()
            .map(|(_, (twin, _))| IssueRef::Id(*twin))
            .collect();
        let twins = self.see(there, &asked, &[], asking).await?;
        let found = pointing.into_iter().filter_map(|(issue, (twin, by_field))| {
            let twin = twins.get(&IssueRef::Id(twin))?.clone();
            Some((issue, (twin, if by_field { "field" } else { "remote-link" })))
        });
        Ok((found.collect(), scan.is_in_doubt(now)))
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
        asking: Asking,
    ) -> Result<Scan, EngineError> {
        let addresses = self.addresses(target, asking).await?;
        let mut points: BTreeMap<String, (IssueId, bool)> = BTreeMap::new();
        let mut refused = false;
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
                .ask(site, asking, async |client| {
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
                    refused = true;
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
        let asked: Vec<(SiteName, IssueId)> = candidates
            .iter()
            .map(|issue| (site.name.clone(), issue.id))
            .collect();
        let rows = self.store.issues(&asked).await?.into_iter();
        let linked = rows.filter(|row| row.links.contains_key(&connection.name));
        let linked: BTreeSet<IssueId> = linked.map(|row| row.issue).collect();
        let is_open = |issue: &&JiraIssue| !linked.contains(&issue.id);
        if let Some(field) = field {
            // Whoever is linked already takes nobody's place: a clone has the field of what it was made of.
            let others = candidates.iter().filter(|issue| !is_open(issue));
            for issue in candidates.iter().filter(is_open).chain(others) {
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
            for issue in candidates.iter().filter(is_open).take(SCAN_LINKS_MAX) {
                let links = match self.remote_links(site, issue.id, asking).await? {
                    Told::Links(links) => links,
                    Told::Off => break,
                    Told::Refused => {
                        refused = true;
                        break;
                    }
                };
                for key in links.iter().filter_map(|link| key_at(&addresses, &link.url)) {
                    points.entry(key.to_uppercase()).or_insert((issue.id, false));
                }
            }
        }
        let unlinked = points
            .iter()
            .filter(|(_, (twin, _))| !linked.contains(twin))
            .map(|(key, _)| (key.clone(), None));
        Ok(Scan {
            at: self.clock.now().as_second(),
            keys: unlinked.collect(),
            points,
            told: !refused,
            unasked: false,
            refused_since: refused.then(|| self.clock.now()),
        })
    }

    /// Finds out of some of the keys by which issues are pointed at whose they are: an issue may be named by a key that it
    /// had once. What is known stays known, since no key is given twice; what nobody sees is asked for again once all the
    /// others were.
    async fn ask_for_keys(
        &self,
        here: &Site,
        scan: &mut Scan,
        mut known: Scan,
        open: &Open,
        asking: Asking,
    ) -> Result<(), EngineError> {
        let is_new = |key: &String| !known.keys.contains_key(key);
        let current: BTreeSet<String> = open.values().map(|own| own.key.to_uppercase()).collect();
        if !scan.keys.keys().any(|key| is_new(key) && !current.contains(key)) {
            known.keys.retain(|_, issue| issue.is_some());
        }
        let is_new = |key: &&String| !known.keys.contains_key(*key) && !current.contains(*key);
        let asked: BTreeSet<IssueRef> = scan
            .keys
            .keys()
            .filter(is_new)
            .take(SCAN_KEYS_MAX)
            .map(|key| IssueRef::Key(key.clone()))
            .collect();
        let seen = match asked.is_empty() {
            true => BTreeMap::new(),
            false => self.see(here, &asked, &[], asking).await?,
        };
        let asked_for =
            |key: &String| known.keys.contains_key(key) || asked.contains(&IssueRef::Key(key.clone()));
        scan.unasked = scan
            .keys
            .keys()
            .any(|key| !asked_for(key) && !current.contains(key));
        scan.keys.retain(|key, issue| {
            let name = IssueRef::Key(key.clone());
            match known.keys.get(key) {
                Some(known) => *issue = *known,
                None => *issue = seen.get(&name).map(|seen| seen.id),
            }
            asked_for(key)
        });
        Ok(())
    }
}

/// What a site says of an issue's remote links.
enum Told {
    /// These are all.
    Links(Vec<RemoteLink>),
    /// Issue linking is off there.
    Off,
    /// It refused, though it has told of some before.
    Refused,
}

/// Issues of the other side that point at some of this one, and by what.
type Pointing = BTreeMap<IssueId, (JiraIssue, &'static str)>;

/// Notes why issues may have a twin that was not found.
fn doubt(found: &mut BTreeMap<IssueId, Found>, issues: impl IntoIterator<Item = IssueId>, why: Doubt) {
    for issue in issues {
        if let Some(Found::Nothing { doubt, .. }) = found.get_mut(&issue) {
            *doubt = Some(why);
        }
    }
}

/// Takes a twin as found.
fn settle(
    open: &mut Open,
    found: &mut BTreeMap<IssueId, Found>,
    issue: IssueId,
    there: JiraIssue,
    by: &'static str,
) {
    if let Some(here) = open.remove(&issue) {
        found.insert(issue, Found::Twin { here, there, by });
    }
}

fn in_table(connection: &Connection, side: Side, open: &Open) -> BTreeMap<IssueId, IssueRef> {
    let named = |own: &JiraIssue| {
        let id = own.id.to_string();
        connection.links.table.iter().find_map(|(a, b)| {
            let (ours, theirs) = if side == Side::A { (a, b) } else { (b, a) };
            (ours.eq_ignore_ascii_case(&own.key) || *ours == id).then(|| issue_ref(theirs))
        })
    };
    open.iter()
        .filter_map(|(issue, own)| Some((*issue, named(own)?)))
        .collect()
}

/// Which keys of a side are pointed at, by which issues of the other, and whether by their field.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Scan {
    at: i64,
    points: BTreeMap<String, (IssueId, bool)>,
    /// Whose some of these keys are, or were once; none, where nobody sees it.
    #[serde(default)]
    keys: BTreeMap<String, Option<IssueId>>,
    /// Whether the other site has told, by now or before.
    #[serde(default)]
    told: bool,
    /// Whether some keys are still to be asked for.
    #[serde(default)]
    unasked: bool,
    /// Since when it refuses to tell of some.
    #[serde(default)]
    refused_since: Option<Timestamp>,
}

impl Scan {
    /// Takes on what an earlier one knew: one that never told may never do.
    fn follows(&mut self, known: &Scan, now: Timestamp) {
        self.refused_since = match self.refused_since {
            Some(_) if known.told => Some(known.refused_since.unwrap_or(now)),
            _ => None,
        };
        self.told |= known.told;
    }

    fn is_in_doubt(&self, now: Timestamp) -> bool {
        self.unasked || self.refused_since.is_some_and(|since| now < since + REFUSAL)
    }

    /// Which issue points at one: by its key before any that it had once, and by a field before a remote link.
    fn pointing_at(&self, own: &JiraIssue) -> Option<(IssueId, bool)> {
        let by_key = self.points.get(&own.key.to_uppercase());
        let former = self.keys.iter().filter(|(_, issue)| **issue == Some(own.id));
        let by_former = former.filter_map(|(key, _)| self.points.get(key));
        by_key
            .or_else(|| by_former.max_by_key(|(_, by_field)| *by_field))
            .copied()
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
    use super::*;

    fn own(key: &str) -> JiraIssue {
        JiraIssue {
            id: IssueId(1),
            key: key.into(),
            project: "P".into(),
            remaining_estimate_secs: None,
            fields: BTreeMap::new(),
        }
    }

    #[test]
    fn who_names_an_issue_by_its_key_of_today_comes_before_who_names_one_that_it_had() {
        let points = [("NEW-1", 5, false), ("SUP-2", 6, true), ("SUP-3", 7, false)];
        let points = points.map(|(key, twin, by_field)| (key.to_owned(), (IssueId(twin), by_field)));
        let mut scan = Scan {
            points: points.into(),
            ..Scan::default()
        };
        assert_eq!(scan.pointing_at(&own("OPS-1")), None);
        scan.keys = ["NEW-1", "SUP-2", "SUP-3"]
            .map(|key| (key.to_owned(), Some(IssueId(1))))
            .into();
        scan.keys.insert("SUP-9".into(), None);
        assert_eq!(scan.pointing_at(&own("NEW-1")), Some((IssueId(5), false)));
        assert_eq!(scan.pointing_at(&own("OPS-1")), Some((IssueId(6), true)));
    }

    #[test]
    fn a_site_that_never_told_is_in_no_doubt_and_one_that_did_is_for_three_days() {
        let at = |hours| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours);
        let refused = |hours| Scan {
            refused_since: Some(at(hours)),
            ..Scan::default()
        };
        let mut first = refused(0);
        first.follows(&Scan::default(), at(0));
        assert!(!first.is_in_doubt(at(0)));
        let told = Scan {
            told: true,
            ..Scan::default()
        };
        let mut second = refused(1);
        second.follows(&told, at(1));
        assert!(second.is_in_doubt(at(1)) && second.told);
        let mut third = refused(72);
        third.follows(&second, at(72));
        assert!(third.is_in_doubt(at(72)) && !third.is_in_doubt(at(73)));
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

//! The ledger check: what both sites say, side by side, independent of what the engine believes it did.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::Serialize;
use tandem_core::rules::{Lookups, Person};
use tandem_core::{
    AccountId, Content, IssueId, LinkKey, Pair, PairState, Reason, Side, Sides, Worklog, WorklogId, render,
    twin,
};

use crate::error::EngineError;
use crate::options::{Connection, Engine};
use crate::ports::store::Lane;

/// What one side adds up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Worklogs.
    pub worklogs: u64,
    /// Seconds worked.
    pub seconds: u64,
    /// Seconds billed.
    pub billable: u64,
}

impl Totals {
    fn add(&mut self, content: &Content) {
        self.worklogs += 1;
        self.seconds += content.time_spent_secs;
        self.billable += content.billable_secs.unwrap_or(0);
    }
}

/// One worklog in a difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// The issue.
    pub issue: IssueId,
    /// The worklog.
    pub worklog: WorklogId,
    /// What it says.
    #[serde(flatten)]
    pub content: Content,
}

/// A place where the books do not agree.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The connection.
    pub connection: String,
    /// `only-in-a`, `only-in-b` or `differs`.
    pub kind: &'static str,
    /// A's worklog.
    pub a: Option<Entry>,
    /// B's worklog.
    pub b: Option<Entry>,
    /// For `differs`: the fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<&'static str>,
    /// Why, when the queue knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// What some worklogs add up to on each side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The connection.
    pub connection: String,
    /// `issue`, `person`, `day` or `account`.
    pub by: &'static str,
    /// Which one, as A says it: for an issue the ids of both; empty for worklogs without an account.
    pub key: String,
    /// What A's worklogs add up to.
    pub a: Totals,
    /// What B's worklogs add up to.
    pub b: Totals,
}

/// The ledger check's result.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Verdict {
    /// Whether both sides agree.
    pub equal: bool,
    /// Where they do not.
    pub differences: Vec<Difference>,
    /// What each side adds up to, over linked issues.
    pub totals: Sides<Totals>,
    /// The same by issue, person, day and account.
    pub groups: Vec<Group>,
}

/// Pages per side that are read at most.
const PAGES_MAX: usize = 1000;

type Ledger = BTreeMap<LinkKey, Sides<BTreeMap<WorklogId, Worklog>>>;

impl Engine {
    /// Compares both sides of some connections over a range of days (both ends included; by default from the day
    /// from which each connection is kept the same).
    ///
    /// # Errors
    /// When a site or the table fails.
    pub async fn verify(
        &self,
        connections: &[&Connection],
        from: Option<Date>,
        to: Option<Date>,
    ) -> Result<Verdict, EngineError> {
        let mut verdict = Verdict::default();
        self.link_tables(Lane::Sweep).await?;
        for connection in connections {
            let from = match from {
                Some(from) => from,
                None => self.since(connection).await?,
            };
            let mut ledger = self.ledger(connection, from, to).await?;
            let mut groups = Groups::default();
            while let Some((link, sides)) = ledger.pop_first() {
                let lookups = self.known_people(connection, &sides).await?;
                groups.add(connection, &lookups, &link, &sides);
                for side in Side::BOTH {
                    sides[side]
                        .values()
                        .for_each(|worklog| verdict.totals[side].add(&worklog.content));
                }
                let differences = self.compare(connection, &lookups, &link, sides).await?;
                verdict.differences.extend(differences);
            }
            verdict.groups.extend(groups.of(connection));
        }
        verdict.equal = verdict.differences.is_empty();
        Ok(verdict)
    }

    /// Reads both sides and sorts their worklogs by link; issues without a twin are left out.
    async fn ledger(
        &self,
        connection: &Connection,
        from: Date,
        to: Option<Date>,
    ) -> Result<Ledger, EngineError> {
        let mut ledger = Ledger::new();
        for side in Side::BOTH {
            let site = self.site_of(connection, side)?;
            let mut links: BTreeMap<IssueId, Option<LinkKey>> = BTreeMap::new();
            let mut offset = 0;
            for _ in 0..PAGES_MAX {
                let page = self
                    .call(site, Lane::Sweep, async |client| {
                        client.list_dates(from, to, offset).await
                    })
                    .await?;
                for worklog in page.rows {
                    let link = match links.get(&worklog.issue) {
                        Some(link) => link.clone(),
                        None => {
                            let link = self.link_of(connection, side, worklog.issue, Lane::Sweep).await?;
                            links.insert(worklog.issue, link.clone());
                            link
                        }
                    };
                    if let Some(link) = link {
                        ledger.entry(link).or_default()[side].insert(worklog.id, worklog);
                    }
                }
                match page.next {
                    Some(next) if next > offset => offset = next,
                    _ => break,
                }
            }
        }
        Ok(ledger)
    }

    async fn compare(
        &self,
        connection: &Connection,
        lookups: &Lookups,
        link: &LinkKey,
        mut sides: Sides<BTreeMap<WorklogId, Worklog>>,
    ) -> Result<Vec<Difference>, EngineError> {
        let pairs: Vec<Pair> = self
            .store
            .pairs(link)
            .await?
            .into_iter()
            .filter(|pair| pair.state == PairState::Live)
            .collect();
        let kept = self.left_alone(link).await?;
        let mut differences = Vec::new();
        for pair in &pairs {
            let (Some(a), Some(b)) = (pair.ids.a, pair.ids.b) else {
                continue;
            };
            let reason = pair.wait.as_ref().map(|wait| wait.reason);
            match (sides.a.remove(&a), sides.b.remove(&b)) {
                (Some(a), Some(b)) => {
                    let fields = differing(connection, lookups, &a.content, &b.content);
                    if !fields.is_empty() {
                        differences.push(difference(
                            connection,
                            "differs",
                            Some(&a),
                            Some(&b),
                            fields,
                            reason,
                        ));
                    }
                }
                (a, b) => {
                    if let Some(worklog) = &a {
                        differences.push(difference(
                            connection,
                            "only-in-a",
                            Some(worklog),
                            None,
                            vec![],
                            reason,
                        ));
                    }
                    if let Some(worklog) = &b {
                        differences.push(difference(
                            connection,
                            "only-in-b",
                            None,
                            Some(worklog),
                            vec![],
                            reason,
                        ));
                    }
                }
            }
        }
        // What no pair joins is joined by meaning: the books may agree without our ever having run.
        let mut rest_b: Vec<Worklog> = std::mem::take(&mut sides.b).into_values().collect();
        for a in sides.a.values() {
            let rendered = render::whole(Side::A, &a.content, &connection.settings.rules, lookups).ok();
            let same = rendered
                .and_then(|rendered| rest_b.iter().position(|b| twin::same_work(&rendered, &b.content)));
            if let Some(position) = same {
                let b = rest_b.swap_remove(position);
                let fields = differing(connection, lookups, &a.content, &b.content);
                if !fields.is_empty() {
                    differences.push(difference(connection, "differs", Some(a), Some(&b), fields, None));
                }
            } else if !kept.a.contains(&a.id) {
                let reason = waiting(&pairs, Side::A, a.id);
                differences.push(difference(connection, "only-in-a", Some(a), None, vec![], reason));
            }
        }
        for b in rest_b.iter().filter(|b| !kept.b.contains(&b.id)) {
            let reason = waiting(&pairs, Side::B, b.id);
            differences.push(difference(connection, "only-in-b", None, Some(b), vec![], reason));
        }
        Ok(differences)
    }

    /// Worklogs that the policy keeps on one side alone.
    async fn left_alone(&self, link: &LinkKey) -> Result<Sides<BTreeSet<WorklogId>>, EngineError> {
        let mut kept = Sides::<BTreeSet<WorklogId>>::default();
        for pair in self
            .store
            .pairs(link)
            .await?
            .iter()
            .filter(|pair| pair.state == PairState::Kept)
        {
            for side in Side::BOTH {
                kept[side].extend(pair.ids[side]);
            }
        }
        Ok(kept)
    }

    pub(crate) async fn known_people(
        &self,
        connection: &Connection,
        sides: &Sides<BTreeMap<WorklogId, Worklog>>,
    ) -> Result<Lookups, EngineError> {
        let mut lookups = Lookups::default();
        for side in Side::BOTH {
            let accounts: BTreeSet<AccountId> = sides[side]
                .values()
                .map(|worklog| worklog.content.author.clone())
                .collect();
            let accounts: Vec<AccountId> = accounts.into_iter().collect();
            let (from, to) = (&connection.sites[side], &connection.sites[side.other()]);
            for person in self
                .store
                .people(from, to, &accounts, jiff::Timestamp::MIN)
                .await?
            {
                let known = Person {
                    other: person.other,
                    display_name: person.display_name,
                };
                lookups.people[side].insert(person.account, known);
            }
        }
        let rules = &connection.settings.rules;
        let in_use = Side::BOTH.into_iter().any(|side| {
            sides[side].values().any(|worklog| {
                rules
                    .attributes
                    .iter()
                    .any(|rule| worklog.content.attributes.contains_key(&rule.keys[side]))
            })
        });
        if in_use {
            for side in Side::BOTH {
                let definitions = self.attribute_definitions(connection, side, Lane::Sweep).await?;
                lookups.names[side] = definitions
                    .into_iter()
                    .filter(|one| !one.names.is_empty())
                    .map(|one| (one.key, one.names))
                    .collect();
            }
        }
        Ok(lookups)
    }
}

/// Sums by what they are of.
#[derive(Default)]
struct Groups(BTreeMap<(&'static str, String), Sides<Totals>>);

impl Groups {
    fn add(
        &mut self,
        connection: &Connection,
        lookups: &Lookups,
        link: &LinkKey,
        sides: &Sides<BTreeMap<WorklogId, Worklog>>,
    ) {
        let rules = &connection.settings.rules;
        // What Tempo calls the account is an attribute, of another name on the other site perhaps.
        let account = rules
            .attributes
            .iter()
            .position(|rule| Side::BOTH.iter().any(|side| rule.keys[*side] == ACCOUNT));
        for side in Side::BOTH {
            for worklog in sides[side].values() {
                let content = &worklog.content;
                let author = match side {
                    Side::A => content.author.clone(),
                    Side::B => render::author(side, &content.author, rules, lookups)
                        .map_or(content.author.clone(), |author| author.account().clone()),
                };
                let own = |key: &str| content.attributes.get(key).cloned().unwrap_or_default();
                let account = match (account, side) {
                    (None, _) => own(ACCOUNT),
                    (Some(rule), Side::A) => own(&rules.attributes[rule].keys.a),
                    (Some(rule), Side::B) => render::attribute(side, content, rule, rules, lookups)
                        .unwrap_or_else(|_| Some(own(&rules.attributes[rule].keys.b)))
                        .unwrap_or_default(),
                };
                let keys = [
                    ("issue", format!("{}~{}", link.a, link.b)),
                    ("person", author.to_string()),
                    ("day", content.start_date.to_string()),
                    ("account", account),
                ];
                for key in keys {
                    self.0.entry(key).or_default()[side].add(content);
                }
            }
        }
    }

    fn of(self, connection: &Connection) -> Vec<Group> {
        let groups = self.0.into_iter();
        groups
            .map(|((by, key), totals)| Group {
                connection: connection.name.to_string(),
                by,
                key,
                a: totals.a,
                b: totals.b,
            })
            .collect()
    }
}

/// The key of Tempo's own attribute for the account.
const ACCOUNT: &str = "_Account_";

/// The fields that do not mean the same.
fn differing(connection: &Connection, lookups: &Lookups, a: &Content, b: &Content) -> Vec<&'static str> {
    tandem_core::merge::differing(
        &Sides::new(a.clone(), b.clone()),
        &connection.settings.rules,
        lookups,
    )
}

fn waiting(pairs: &[Pair], side: Side, worklog: WorklogId) -> Option<Reason> {
    let pair = pairs.iter().find(|pair| pair.ids[side] == Some(worklog))?;
    pair.wait.as_ref().map(|wait| wait.reason)
}

fn difference(
    connection: &Connection,
    kind: &'static str,
    a: Option<&Worklog>,
    b: Option<&Worklog>,
    fields: Vec<&'static str>,
    reason: Option<Reason>,
) -> Difference {
    let entry = |worklog: &Worklog| Entry {
        issue: worklog.issue,
        worklog: worklog.id,
        content: worklog.content.clone(),
    };
    Difference {
        connection: connection.name.to_string(),
        kind,
        a: a.map(entry),
        b: b.map(entry),
        fields,
        reason,
    }
}

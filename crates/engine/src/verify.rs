//! The ledger check: what both sides say, side by side, independent of what the engine believes it did.
//!
//! Both sites are listed once. Each worklog becomes a small record that sorts by its link; what does not fit in memory
//! is put away (see [`Scratch`]). Then link after link is read back, compared and added up. So what is held is a page of
//! a listing, the worklogs of one link, and buffers of a fixed size, however many worklogs there are.

mod compare;
mod elsewhere;
mod gather;
mod lookups;
mod rows;
mod sort;
mod sums;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use jiff::civil::Date;
use serde::ser::{Error as _, SerializeSeq, SerializeStruct};
use serde::{Deserialize, Serialize, Serializer};
use tandem_core::field::Field;
use tandem_core::{
    AccountId, ConnectionName, Content, IssueId, LinkKey, Reason, Side, Sides, SiteName, WorklogId,
};

use self::compare::Place;
use self::lookups::Known;
use self::rows::Links;
use self::sort::{Sorted, Sorter};
use self::sums::{Groups, Sums};
use crate::error::EngineError;
use crate::options::{Connection, Engine};
use crate::ports::scratch::{InMemory, Scratch};
use crate::ports::site::BadRow;
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
        self.merge(&Totals {
            worklogs: 1,
            seconds: content.time_spent_secs,
            billable: content.billable_secs.unwrap_or(0),
        });
    }

    fn merge(&mut self, more: &Totals) {
        self.worklogs += more.worklogs;
        self.seconds += more.seconds;
        self.billable += more.billable;
    }
}

/// One worklog in a difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The issue.
    pub issue: IssueId,
    /// The worklog.
    pub worklog: WorklogId,
    /// What it says.
    #[serde(flatten)]
    pub content: Content,
}

/// How books do not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A worklog of A has no twin.
    OnlyInA,
    /// A worklog of B has no twin.
    OnlyInB,
    /// Twins do not mean the same.
    Differs,
    /// A worklog is listed and cannot be read: what it says is in no sum.
    Unreadable,
}

impl Kind {
    /// Returns the word that is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::OnlyInA => "only-in-a",
            Kind::OnlyInB => "only-in-b",
            Kind::Differs => "differs",
            Kind::Unreadable => "unreadable",
        }
    }
}

/// A place where the books do not agree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The connection.
    pub connection: String,
    /// How.
    pub kind: Kind,
    /// A's worklog.
    pub a: Option<Entry>,
    /// B's worklog.
    pub b: Option<Entry>,
    /// For `differs`: the fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// Why, when the queue knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What is known where the queue does not know why.
    #[serde(default)]
    pub lead: Lead,
    /// For `unreadable`: which one. What its twin says, where it has one, stands in `a` or `b`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<Unreadable>,
}

/// What the table and the days tell of a difference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lead {
    /// Nothing: no pair is known, or it lacks its twin still.
    #[default]
    Unpaired,
    /// No pair is known, and the connection begins later than the day of the worklog.
    Early,
    /// Both are there, and nothing yet says that both had agreed.
    Unjoined,
    /// The twin is known, and not listed in the days that were compared.
    Unlisted {
        /// The twin's side.
        side: Side,
        /// The twin.
        worklog: WorklogId,
    },
    /// It came here from another issue, where its twin still is.
    Moved {
        /// The twin's side.
        side: Side,
        /// The twin.
        worklog: WorklogId,
    },
    /// They were paired although they differ: by a takeover of what another tool had copied, or by a person.
    Taken,
    /// These sides do not say any more what both had last agreed on. None: both say it, and the configuration reads it
    /// differently now.
    Changed(Vec<Side>),
}

impl Lead {
    fn words(&self) -> String {
        match self {
            Lead::Unpaired => "not carried over yet".to_owned(),
            Lead::Early => "dated before the connection began; `tandem backfill` carries it over".to_owned(),
            Lead::Unjoined => {
                "on both sides and not joined yet; `tandem backfill --adopt` joins what another tool copied"
                    .to_owned()
            }
            Lead::Unlisted { side, worklog } => format!(
                "its twin {worklog} on side {side} is not listed in these days: deleted, moved to another issue or day, or out of sight"
            ),
            Lead::Moved { side, worklog } => {
                format!("moved here; its twin {worklog} on side {side} has not followed yet")
            }
            Lead::Taken => {
                "taken over as another tool had left it, or as a person said; `tandem backfill --adopt --heal` puts right what was lost where it is plain which is the copy, else edit the one that is wrong".to_owned()
            }
            Lead::Changed(sides) => match sides.as_slice() {
                [] => {
                    "both sides say what they last agreed on, and the configuration reads it differently now"
                        .to_owned()
                }
                [side] => format!("side {side} changed since both last agreed; not carried over yet"),
                _ => "both sides changed since they last agreed; not settled yet".to_owned(),
            },
        }
    }
}

/// A worklog that is listed and cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// The side that lists it.
    pub side: Side,
    /// Its issue, when at least that can be read.
    pub issue: Option<IssueId>,
    /// Its id, when at least that can be read.
    pub worklog: Option<WorklogId>,
    /// What is wrong, and how the site's row begins.
    pub what: String,
}

impl Difference {
    /// Why, as far as can be told: what waits says so itself.
    pub fn likely_reason(&self) -> String {
        if let Some(bad) = &self.unreadable {
            return format!("side {} lists it and it cannot be read: {}", bad.side, bad.what);
        }
        match self.reason {
            Some(reason) => format!("{reason}: {}", reason.advice()),
            None => self.lead.words(),
        }
    }

    /// Whose time it is, and on which side they were seen.
    pub fn people(&self) -> Vec<(Side, AccountId)> {
        let sides = [(Side::A, &self.a), (Side::B, &self.b)].into_iter();
        sides
            .filter_map(|(side, entry)| Some((side, entry.as_ref()?.content.author.clone())))
            .collect()
    }

    fn unreadable(connection: &Connection, one: Unreadable) -> Self {
        Self {
            connection: connection.name.to_string(),
            kind: Kind::Unreadable,
            a: None,
            b: None,
            fields: Vec::new(),
            reason: None,
            lead: Lead::Unpaired,
            unreadable: Some(one),
        }
    }
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

impl Group {
    /// Whose time it is, where it is one person's, and on which side they were seen: on B, where all of it is there, they may
    /// bear the account that they have on A or, where nobody knows that, their own.
    pub fn people(&self) -> Vec<(Side, AccountId)> {
        let sides: &[Side] = match (self.by, self.a.worklogs) {
            ("person", 0) => &Side::BOTH,
            ("person", _) => &[Side::A],
            _ => &[],
        };
        let account = AccountId::new(self.key.as_str());
        sides.iter().map(|side| (*side, account.clone())).collect()
    }
}

/// What stands on issues that are linked with none, on both sides: it is not compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unlinked {
    /// Issues.
    pub issues: u64,
    /// Worklogs.
    pub worklogs: u64,
    /// Of the issues, those for which nobody has looked for a twin yet.
    pub never_looked_for: u64,
}

/// The ledger check's result, held in memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Verdict {
    /// Whether both sides of each connection agree. Where nothing is linked they do not: nothing was compared.
    pub equal: bool,
    /// Where they do not.
    pub differences: Vec<Difference>,
    /// What each side adds up to, over linked issues.
    pub totals: Sides<Totals>,
    /// The same by issue, person, day and account.
    pub groups: Vec<Group>,
    /// What was not compared.
    pub unlinked: Unlinked,
    /// Connections in which nothing was compared.
    pub uncompared: Vec<ConnectionName>,
    /// Pairs that neither side shows, of links of which some are shown.
    pub unshown: u64,
    /// Sites whose service user lacked permissions when last looked: what it does not see was not compared.
    pub blind: Vec<SiteName>,
}

/// The ledger check's result, of any size. It is written like a [`Verdict`], with the likely reason of each difference.
pub struct Books {
    uncompared: Vec<ConnectionName>,
    totals: Sides<Totals>,
    n_differences: u64,
    differences: Sorted,
    groups: Vec<(ConnectionName, Sorted)>,
    unlinked: Unlinked,
    unshown: u64,
    blind: Vec<SiteName>,
}

impl Books {
    /// Says whether both sides of each connection agree. Where nothing is linked they do not: nothing was compared.
    pub fn equal(&self) -> bool {
        self.uncompared.is_empty() && self.n_differences == 0
    }

    /// Returns the connections in which there was nothing to compare: no linked issue, whether time is logged on it or not.
    pub fn uncompared(&self) -> &[ConnectionName] {
        &self.uncompared
    }

    /// Says whether there was anything to compare in any connection.
    pub fn compared(&self) -> bool {
        self.uncompared.len() < self.groups.len()
    }

    /// Returns what each side adds up to, over linked issues.
    pub fn totals(&self) -> &Sides<Totals> {
        &self.totals
    }

    /// Returns how many differences there are.
    pub fn n_differences(&self) -> u64 {
        self.n_differences
    }

    /// Returns what was not compared, since it is on issues that are linked with none.
    pub fn unlinked(&self) -> &Unlinked {
        &self.unlinked
    }

    /// Returns how many pairs neither side shows, of links of which some worklogs are shown.
    pub fn unshown(&self) -> u64 {
        self.unshown
    }

    /// Returns the sites whose service user lacked permissions when last looked: what it does not see was not compared.
    pub fn blind(&self) -> &[SiteName] {
        &self.blind
    }

    /// Reads where the books do not agree, link by link.
    pub fn differences(&self) -> impl Iterator<Item = Result<Difference, EngineError>> + '_ {
        read_all(self.differences.records())
            .map(|record| Ok(serde_json::from_slice(&record?.1)?))
            .map(|read: io::Result<_>| read.map_err(unread))
    }

    /// Reads what both sides add up to, by connection, and there by account, day, issue and person.
    pub fn groups(&self) -> impl Iterator<Item = Result<Group, EngineError>> + '_ {
        let groups = self.groups.iter();
        groups
            .flat_map(|(connection, sums)| read_all(Groups::read(connection.as_str(), sums)))
            .map(|read| read.map_err(unread))
    }
}

/// Reads on, or tells once that nothing can be read.
fn read_all<T>(read: io::Result<impl Iterator<Item = io::Result<T>>>) -> impl Iterator<Item = io::Result<T>> {
    let (rest, error) = match read {
        Ok(rest) => (Some(rest), None),
        Err(error) => (None, Some(Err(error))),
    };
    error.into_iter().chain(rest.into_iter().flatten())
}

fn unread(error: io::Error) -> EngineError {
    EngineError::Uncompared(format!("what was put away cannot be read: {error}"))
}

fn unwritten(error: io::Error) -> EngineError {
    EngineError::Uncompared(format!(
        "there is no room for what does not fit in memory: {error}"
    ))
}

impl Serialize for Books {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.naming(|_, _| None).serialize(serializer)
    }
}

/// What the people of a row are called, by account; `None` where that is not told at all.
type Named = Option<BTreeMap<AccountId, String>>;

/// Books with what people are called.
struct Naming<'b, F> {
    books: &'b Books,
    names: F,
}

impl Books {
    /// The same with what people are called in each row, where `names` tells: of a connection, those who were seen on a side.
    pub fn naming<'b>(
        &'b self,
        names: impl Fn(&str, &[(Side, AccountId)]) -> Named + 'b,
    ) -> impl Serialize + 'b {
        Naming { books: self, names }
    }
}

impl<F: Fn(&str, &[(Side, AccountId)]) -> Named> Serialize for Naming<'_, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let of = self.books;
        let mut books = serializer.serialize_struct("Verdict", 8)?;
        books.serialize_field("equal", &of.equal())?;
        let difference = |read: Result<Difference, EngineError>| {
            read.map(|row| Told {
                names: (self.names)(&row.connection, &row.people()),
                likely_reason: Some(row.likely_reason()),
                row,
            })
        };
        books.serialize_field("differences", &Seq(|| of.differences().map(difference)))?;
        books.serialize_field("totals", &of.totals)?;
        let group = |read: Result<Group, EngineError>| {
            read.map(|row| Told {
                names: match row.people().as_slice() {
                    [] => None,
                    people => (self.names)(&row.connection, people),
                },
                likely_reason: None,
                row,
            })
        };
        books.serialize_field("groups", &Seq(|| of.groups().map(group)))?;
        books.serialize_field("unlinked", &of.unlinked)?;
        books.serialize_field("uncompared", &of.uncompared)?;
        books.serialize_field("unshown", &of.unshown)?;
        books.serialize_field("blind", &of.blind)?;
        books.end()
    }
}

/// A row as it is written.
#[derive(Serialize)]
struct Told<T> {
    #[serde(flatten)]
    row: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    likely_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Named,
}

/// Writes what is read, one at a time.
struct Seq<F>(F);

impl<F, I, T> Serialize for Seq<F>
where
    F: Fn() -> I,
    I: Iterator<Item = Result<T, EngineError>>,
    T: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        for one in (self.0)() {
            seq.serialize_element(&one.map_err(S::Error::custom)?)?;
        }
        seq.end()
    }
}

impl Engine {
    /// Says whether a site of a connection shows no start times but one of its own, which are no difference then.
    async fn shows_own_times(&self, connection: &Connection) -> Result<bool, EngineError> {
        for side in Side::BOTH {
            let asked = async || self.is_timeless(connection, side, Lane::Sweep).await;
            if self.unhurried(asked).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Compares both sides of some connections over a range of days, as [`Engine::books`] does, and holds the result.
    ///
    /// # Errors
    /// When a site or the table fails.
    pub async fn verify(
        &self,
        connections: &[&Connection],
        from: Option<Date>,
        to: Option<Date>,
    ) -> Result<Verdict, EngineError> {
        let books = self.books(connections, from, to, &InMemory).await?;
        Ok(Verdict {
            equal: books.equal(),
            differences: books.differences().collect::<Result<_, _>>()?,
            totals: books.totals,
            groups: books.groups().collect::<Result<_, _>>()?,
            unlinked: books.unlinked,
            uncompared: books.uncompared,
            unshown: books.unshown,
            blind: books.blind,
        })
    }

    /// Compares both sides of some connections over a range of days (both ends included; by default from the day
    /// from which each connection is kept the same). What does not fit in memory goes into `scratch`. Issues are twins as
    /// the table has them, with what the configuration's tables name; others are not looked for.
    ///
    /// # Errors
    /// When a site, the table or the scratch room fails.
    pub async fn books(
        &self,
        connections: &[&Connection],
        from: Option<Date>,
        to: Option<Date>,
        scratch: &dyn Scratch,
    ) -> Result<Books, EngineError> {
        self.persistently(async || self.link_tables(Lane::Sweep).await)
            .await?;
        let mut totals = Sides::<Totals>::default();
        let mut groups = Vec::new();
        let mut differences = Sorter::new(scratch);
        let mut n_differences = 0;
        let mut uncompared = Vec::new();
        let mut unlinked = Unlinked::default();
        let mut unshown = 0;
        let mut blind = BTreeSet::new();
        for connection in connections {
            for side in Side::BOTH {
                let site = self.site_of(connection, side)?;
                if !self.site_state(site).await?.missing_permissions.is_empty() {
                    blind.insert(site.name.clone());
                }
            }
            let mut compared = false;
            let since = self.since_so_far(connection).await?;
            let from = from.unwrap_or(since);
            let mut put = |difference: &Difference| {
                let record = serde_json::to_vec(difference).map_err(|error| unwritten(error.into()))?;
                n_differences += 1;
                // All of the same key: they stay in the order in which they were found.
                differences.push(&[], &record).map_err(unwritten)
            };
            let mut unplaced = |side, bad: BadRow| {
                let one = Unreadable {
                    side,
                    issue: bad.issue,
                    worklog: bad.id,
                    what: bad.text,
                };
                put(&Difference::unreadable(connection, one))
            };
            let (rows, apart) = self.gather(connection, from, to, scratch, &mut unplaced).await?;
            unlinked.issues += apart.issues;
            unlinked.worklogs += apart.worklogs;
            unlinked.never_looked_for += apart.never_looked_for;
            let mut sums = Sums::new(scratch);
            let mut known = Known::default();
            for read in Links::read(&rows).map_err(unread)? {
                let (issues, sides, unreadable) = read.map_err(unread)?;
                compared = true;
                let link = LinkKey {
                    connection: connection.name.clone(),
                    a: issues.a,
                    b: issues.b,
                };
                let lookups = self.look_up_authors(connection, &sides, &mut known).await?;
                sums.add(connection, lookups, &link, &sides).map_err(unwritten)?;
                for side in Side::BOTH {
                    sides[side].values().for_each(|content| totals[side].add(content));
                }
                let pairs = self.store.pairs(&link).await?;
                let place = Place {
                    connection,
                    lookups,
                    link: &link,
                    since,
                    days: (from, to),
                };
                unshown += place.unshown(&sides, &unreadable, &pairs);
                let mut found = place.compare(sides, unreadable, &pairs);
                self.look_elsewhere(connection, &link, &mut found).await?;
                for mut difference in found {
                    let time = difference
                        .fields
                        .iter()
                        .position(|field| field == Field::StartTime.name());
                    if let Some(place) = time
                        && self.shows_own_times(connection).await?
                    {
                        difference.fields.remove(place);
                        if difference.fields.is_empty() {
                            continue;
                        }
                    }
                    put(&difference)?;
                }
            }
            if !compared && self.store.links(&connection.name, None).await?.0.is_empty() {
                uncompared.push(connection.name.clone());
            }
            groups.push((connection.name.clone(), sums.finish().map_err(unwritten)?));
        }
        Ok(Books {
            uncompared,
            totals,
            n_differences,
            differences: differences.finish().map_err(unwritten)?,
            groups,
            unlinked,
            unshown,
            blind: blind.into_iter().collect(),
        })
    }
}

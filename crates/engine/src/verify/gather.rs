//! Listing both sides once, into records.

use std::collections::{BTreeSet, HashMap};

use jiff::civil::Date;
use tandem_core::{IssueId, Side, Sides, WorklogId};

use super::sort::{Sorted, Sorter};
use super::{Unlinked, rows, unread, unwritten};
use crate::error::EngineError;
use crate::gate::Asking;
use crate::options::{Connection, Engine};
use crate::ports::SiteClient;
use crate::ports::scratch::Scratch;
use crate::ports::site::{BadRow, LISTED_MAX};
use crate::ports::store::Lane;

/// Issues whose link is remembered while a side is listed, at most. Those of a page are always.
const LINKS_MAX: usize = 100_000;

/// What the table says of a side's issues.
type Twins = HashMap<IssueId, Twin>;

/// What the table says of an issue's twin.
#[derive(Clone, Copy)]
enum Twin {
    Known(IssueId),
    /// The scope leaves the link out: nothing keeps it the same.
    Outside,
    /// It is linked with none; and whether anybody ever looked for one.
    Nobody {
        sought: bool,
    },
}

/// The worklogs of a side that are on issues without a twin, as records that sort by issue.
struct Apart<'s>(Sorter<'s>);

impl Apart<'_> {
    fn add(
        &mut self,
        side: Side,
        issue: IssueId,
        worklog: WorklogId,
        sought: bool,
    ) -> Result<(), EngineError> {
        let mut key = [0; 17];
        key[0] = u8::from(side == Side::B);
        key[1..9].copy_from_slice(&issue.0.to_be_bytes());
        key[9..].copy_from_slice(&worklog.0.to_be_bytes());
        self.0.push(&key, &[u8::from(sought)]).map_err(unwritten)
    }

    /// Counts each worklog once, however often it was listed because others went while pages were read.
    fn count(self) -> Result<Unlinked, EngineError> {
        let sorted = self.0.finish().map_err(unwritten)?;
        let mut counted = Unlinked::default();
        let mut last = Vec::new();
        for record in sorted.records().map_err(unread)? {
            let (key, sought) = record.map_err(unread)?;
            if key == last {
                continue;
            }
            counted.worklogs += 1;
            if key.get(..9) != last.get(..9) {
                counted.issues += 1;
                counted.never_looked_for += u64::from(sought == [0]);
            }
            last = key;
        }
        Ok(counted)
    }
}

impl Engine {
    /// Reads both sides and sorts their worklogs by link; those on issues that the table links with none are counted alone: to
    /// look for the twin of each would cost requests for each of them. `unplaced` is told of what cannot be read at all.
    pub(super) async fn gather(
        &self,
        connection: &Connection,
        from: Date,
        to: Option<Date>,
        scratch: &dyn Scratch,
        unplaced: &mut impl FnMut(Side, BadRow) -> Result<(), EngineError>,
    ) -> Result<(Sorted, Unlinked), EngineError> {
        let mut records = Sorter::new(scratch);
        let mut apart = Apart(Sorter::new(scratch));
        for side in Side::BOTH {
            self.gather_side(connection, side, (from, to), (&mut records, &mut apart), unplaced)
                .await?;
        }
        Ok((records.finish().map_err(unwritten)?, apart.count()?))
    }

    async fn gather_side(
        &self,
        connection: &Connection,
        side: Side,
        (from, to): (Date, Option<Date>),
        (records, apart): (&mut Sorter<'_>, &mut Apart<'_>),
        unplaced: &mut impl FnMut(Side, BadRow) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let site = self.site_of(connection, side)?;
        let mut twins = Twins::new();
        let mut offset = 0;
        while offset < LISTED_MAX {
            let list = async |client: &dyn SiteClient| client.list_dates(from, to, offset).await;
            let page = self.ask(site, Asking::patiently(Lane::Sweep), list).await?;
            let issues = page.rows.iter().map(|worklog| worklog.issue);
            let issues = issues.chain(page.bad.iter().filter_map(|bad| bad.issue));
            self.learn_twins(connection, side, issues.collect(), &mut twins)
                .await?;
            let twin = |issue: IssueId| twins.get(&issue).copied().unwrap_or(Twin::Outside);
            let both = |issue: IssueId, twin: IssueId| match side {
                Side::A => Sides::new(issue, twin),
                Side::B => Sides::new(twin, issue),
            };
            for worklog in page.rows {
                let issues = match twin(worklog.issue) {
                    Twin::Known(twin) => both(worklog.issue, twin),
                    Twin::Outside => continue,
                    Twin::Nobody { sought } => {
                        apart.add(side, worklog.issue, worklog.id, sought)?;
                        continue;
                    }
                };
                let value = rows::value(&worklog.content).map_err(unwritten)?;
                records
                    .push(&rows::key(&issues, side, worklog.id), &value)
                    .map_err(unwritten)?;
            }
            for bad in page.bad {
                match (bad.issue.map(|issue| (issue, twin(issue))), bad.id) {
                    (Some((_, Twin::Outside)), _) | (Some((_, Twin::Nobody { .. })), None) => {}
                    (Some((issue, Twin::Nobody { sought })), Some(id)) => {
                        apart.add(side, issue, id, sought)?
                    }
                    (Some((issue, Twin::Known(twin))), Some(id)) => {
                        let value = rows::unread(&bad.text).map_err(unwritten)?;
                        records
                            .push(&rows::key(&both(issue, twin), side, id), &value)
                            .map_err(unwritten)?;
                    }
                    // It may be of a linked issue, and what it is the twin of, nobody can tell.
                    _ => unplaced(side, bad)?,
                }
            }
            match page.next {
                Some(next) if next > offset => offset = next,
                _ => return Ok(()),
            }
        }
        // To compare a part of them would be to say that the rest is missing.
        Err(EngineError::Uncompared(format!(
            "{} lists more than {offset} worklogs for these days; ask for fewer days, with --from and --to",
            site.name
        )))
    }

    /// Reads from the table what it says of issues, many at a time.
    async fn learn_twins(
        &self,
        connection: &Connection,
        side: Side,
        mut unknown: BTreeSet<IssueId>,
        twins: &mut Twins,
    ) -> Result<(), EngineError> {
        if twins.len() > LINKS_MAX {
            twins.clear();
        }
        unknown.retain(|issue| !twins.contains_key(issue));
        let site = &connection.sites[side];
        let asked: Vec<_> = unknown.iter().map(|issue| (site.clone(), *issue)).collect();
        for row in self.store.issues(&asked).await? {
            let twin = match row.links.get(&connection.name) {
                Some(link) if self.is_outside(connection, link).await? => Twin::Outside,
                Some(link) => Twin::Known(link.issue(side.other())),
                None => Twin::Nobody {
                    sought: row.look_again.contains_key(&connection.name),
                },
            };
            twins.insert(row.issue, twin);
            unknown.remove(&row.issue);
        }
        twins.extend(
            unknown
                .into_iter()
                .map(|issue| (issue, Twin::Nobody { sought: false })),
        );
        Ok(())
    }
}

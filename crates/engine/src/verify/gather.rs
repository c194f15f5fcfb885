//! Listing both sides once, into records.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jiff::civil::Date;
use tandem_core::{IssueId, LinkKey, Side, Sides, Worklog};

use super::sort::{Sorted, Sorter};
use super::{rows, unwritten};
use crate::error::EngineError;
use crate::options::{Connection, Engine, Site};
use crate::ports::SiteClient;
use crate::ports::scratch::Scratch;
use crate::ports::site::{BadRow, LISTED_MAX, Page, SiteErrorKind};
use crate::ports::store::Lane;

/// How often a page is asked for again where no answer came, and after how long the first time.
const TRIES_MAX: u32 = 3;
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// However long a site asks to be left alone.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(60);

/// Issues whose link is remembered while a side is listed, at most. Those of a page are always.
const LINKS_MAX: usize = 100_000;

/// The links of a side's issues: the issue on the other side, or that there is none.
type Twins = HashMap<IssueId, Option<IssueId>>;

/// Says after how long to try again what so many tries have failed at before, where the site did not answer.
fn again_after<T>(tried: &Result<T, EngineError>, tries: u32) -> Option<Duration> {
    let Err(EngineError::Site { error, .. }) = tried else {
        return None;
    };
    match error.kind {
        SiteErrorKind::Unreachable { retry_after } if tries < TRIES_MAX => {
            let wait = retry_after.unwrap_or(AGAIN_AFTER * (tries + 1));
            Some(wait.min(AGAIN_AFTER_MAX))
        }
        _ => None,
    }
}

impl Engine {
    /// Reads both sides and sorts their worklogs by link; issues without a twin are left out. `unplaced` is told of what
    /// cannot be read at all.
    pub(super) async fn gather(
        &self,
        connection: &Connection,
        from: Date,
        to: Option<Date>,
        scratch: &dyn Scratch,
        unplaced: &mut impl FnMut(Side, BadRow) -> Result<(), EngineError>,
    ) -> Result<Sorted, EngineError> {
        let mut records = Sorter::new(scratch);
        for side in Side::BOTH {
            self.gather_side(connection, side, (from, to), &mut records, unplaced)
                .await?;
        }
        records.finish().map_err(unwritten)
    }

    /// Reads a page, and again where the site has no room for it or does not answer: one hiccup among hundreds of pages
    /// must not cost all that were read.
    async fn page_of_books(
        &self,
        site: &Site,
        (from, to): (Date, Option<Date>),
        offset: u64,
    ) -> Result<Page<Worklog>, EngineError> {
        let mut tries = 0;
        loop {
            let read = async || {
                let list = async |client: &dyn SiteClient| client.list_dates(from, to, offset).await;
                self.call(site, Lane::Sweep, list).await
            };
            let read = self.unhurried(read).await;
            let Some(wait) = again_after(&read, tries) else {
                return read;
            };
            tries += 1;
            self.clock.sleep(wait).await;
        }
    }

    async fn gather_side(
        &self,
        connection: &Connection,
        side: Side,
        (from, to): (Date, Option<Date>),
        records: &mut Sorter<'_>,
        unplaced: &mut impl FnMut(Side, BadRow) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let site = self.site_of(connection, side)?;
        let mut twins = Twins::new();
        let mut offset = 0;
        while offset < LISTED_MAX {
            let page = self.page_of_books(site, (from, to), offset).await?;
            let issues = page.rows.iter().map(|worklog| worklog.issue);
            let issues = issues.chain(page.bad.iter().filter_map(|bad| bad.issue));
            self.learn_twins(connection, side, issues.collect(), &mut twins)
                .await?;
            let linked = |issue: IssueId| {
                twins.get(&issue).copied().flatten().map(|twin| match side {
                    Side::A => Sides::new(issue, twin),
                    Side::B => Sides::new(twin, issue),
                })
            };
            for worklog in page.rows {
                let Some(issues) = linked(worklog.issue) else {
                    continue;
                };
                let value = rows::value(&worklog.content).map_err(unwritten)?;
                records
                    .push(&rows::key(&issues, side, worklog.id), &value)
                    .map_err(unwritten)?;
            }
            for bad in page.bad {
                match (bad.issue.map(linked), bad.id) {
                    (Some(None), _) => {}
                    (Some(Some(issues)), Some(id)) => {
                        let value = rows::unread(&bad.text).map_err(unwritten)?;
                        records
                            .push(&rows::key(&issues, side, id), &value)
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

    /// Finds the links of issues, many at a time.
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
        let now = self.clock.now();
        let site = &connection.sites[side];
        let asked: Vec<_> = unknown.iter().map(|issue| (site.clone(), *issue)).collect();
        for row in self.store.issues(&asked).await? {
            let link = row.links.get(&connection.name);
            let again = row.look_again.get(&connection.name);
            if link.is_some() || again.is_some_and(|again| *again > now) {
                let twin = self.twin_inside(connection, side, link.cloned()).await?;
                twins.insert(row.issue, twin);
                unknown.remove(&row.issue);
            }
        }
        for issue in unknown {
            let link = self.link_of(connection, side, issue, Lane::Sweep).await?;
            let twin = self.twin_inside(connection, side, link).await?;
            twins.insert(issue, twin);
        }
        Ok(())
    }

    /// The issue at the other end of a link, unless the link is outside the scope: then nothing keeps it the same.
    async fn twin_inside(
        &self,
        connection: &Connection,
        side: Side,
        link: Option<LinkKey>,
    ) -> Result<Option<IssueId>, EngineError> {
        match link {
            Some(link) if !self.is_outside(connection, &link).await? => Ok(Some(link.issue(side.other()))),
            _ => Ok(None),
        }
    }
}

//! Timesheets that are approved or submitted on one side while the other's are open: what changes there is refused here.
//!
//! Tempo tells of no period that it is closed; what can be asked is each person's timesheet of a period.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use jiff::civil::Date;
use tandem_atlassian::tempo::admin::{OPEN, Period};
use tandem_core::{AccountId, Side, SiteName};
use tandem_engine::Connection;
use tandem_engine::operator::Matched;
use tandem_engine::ports::site::Vendor;

use super::links::Linked;
use super::look::{Finding, Look, Trouble, some};
use super::sight::{self, Recent};
use crate::words::count;

/// How far back timesheets are looked at: what is older is rarely changed.
const REACH_DAYS: i64 = 35;

/// People whose timesheets are looked at, those who logged last first.
const PEOPLE_MAX: usize = 6;

/// Timesheets that are asked for per site and connection.
const ASKED_MAX: usize = 30;

/// Timesheets that are named in a line.
const NAMED_MAX: usize = 5;

const CHECK: &str = "periods";

pub(super) async fn look(
    look: &Look<'_>,
    recent: &mut BTreeMap<SiteName, Recent>,
    linked: &Linked<'_>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for connection in &look.connections {
        for side in Side::BOTH {
            let site = &connection.sites[side];
            if !look.sites.contains(site) {
                continue;
            }
            // With one site alone looked at, nobody has read yet who logs time on the other.
            let other = &connection.sites[side.other()];
            if !recent.contains_key(other) {
                recent.insert(other.clone(), sight::recent(look, other, linked).await);
            }
            let finding = match of_side(look, connection, side, recent).await {
                Ok(finding) => finding,
                Err(trouble) => Finding::trouble(
                    CHECK,
                    site,
                    &trouble,
                    "compare approvals and closed periods in Tempo on both sites, or give the token the scopes Approvals and Periods (view)",
                ),
            };
            findings.push(finding.of(connection));
        }
    }
    findings
}

async fn of_side(
    look: &Look<'_>,
    connection: &Connection,
    side: Side,
    recent: &BTreeMap<SiteName, Recent>,
) -> Result<Finding, Trouble> {
    let (site, other) = (&connection.sites[side], &connection.sites[side.other()]);
    let from = look.now() - SignedDuration::from_hours(REACH_DAYS * 24);
    let today = look.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let periods = look
        .ask(site, Vendor::Tempo, async |client| {
            client
                .periods(from.to_zoned(jiff::tz::TimeZone::UTC).date(), today)
                .await
        })
        .await?;
    let mut closed = Vec::new();
    let mut asked = 0;
    // Those whom Tempo does not know on one of the sites: nobody has a timesheet there to compare.
    let mut absent = BTreeSet::new();
    let people = people(look, connection, side, recent).await?;
    // The newest first: that is where changes come.
    'all: for period in periods.iter().rev() {
        for person in &people {
            let Some(here) = &person.other else { continue };
            if absent.contains(here) {
                continue;
            }
            if asked == ASKED_MAX {
                break 'all;
            }
            asked += 1;
            let Some(state) = status(look, site, here, *period).await? else {
                absent.insert(here);
                continue;
            };
            if state == OPEN {
                continue;
            }
            match status(look, other, &person.account, *period).await? {
                Some(there) if there == OPEN => {}
                Some(_) => continue,
                None => {
                    absent.insert(here);
                    continue;
                }
            }
            let name = person.display_name.clone().unwrap_or_else(|| here.to_string());
            closed.push(format!(
                "{name} {} to {} ({})",
                period.from,
                period.to,
                state.to_lowercase().replace('_', " ")
            ));
        }
    }
    if closed.is_empty() {
        return Ok(Finding::ok(
            CHECK,
            site,
            format!(
                "of {} in the last {REACH_DAYS} days, none is closed here and open on {other}",
                count(asked, "timesheet")
            ),
        ));
    }
    Ok(Finding::warn(
        CHECK,
        site,
        format!(
            "{} closed here, but open on {other}: {}; what changes there waits as period-closed",
            count(closed.len(), "timesheet"),
            some(closed, NAMED_MAX)
        ),
        format!("reopen them here, or approve them on {other} too; what waits then goes by itself"),
    ))
}

/// People who logged time on the other side of late, as they are known there and here.
async fn people(
    look: &Look<'_>,
    connection: &Connection,
    side: Side,
    recent: &BTreeMap<SiteName, Recent>,
) -> Result<Vec<Matched>, Trouble> {
    let there = side.other();
    let Some(recent) = recent.get(&connection.sites[there]) else {
        return Ok(Vec::new());
    };
    let by = recent.by.as_ref().map_err(Clone::clone)?;
    let mut last: BTreeMap<&AccountId, Date> = BTreeMap::new();
    for ((who, _), day) in by {
        let known = last.entry(who).or_insert(*day);
        *known = (*known).max(*day);
    }
    let newest: BTreeSet<(Date, &AccountId)> = last.into_iter().map(|(who, day)| (day, who)).collect();
    if look.knows_nobody(connection) {
        return Err(Trouble::Rejected);
    }
    let mut people = Vec::new();
    for (_, who) in newest.into_iter().rev().take(PEOPLE_MAX) {
        let person = look.engine().match_person(connection, there, who).await;
        people.push(person.map_err(|error| Look::failed(&error))?);
    }
    Ok(people)
}

/// How a person's timesheet stands; `None` where Tempo has none of that person.
async fn status(
    look: &Look<'_>,
    site: &SiteName,
    account: &AccountId,
    period: Period,
) -> Result<Option<String>, Trouble> {
    look.ask(site, Vendor::Tempo, async |client| {
        match client.timesheet_status(account, period).await {
            Err(error) if error.status == Some(404) => Ok(None),
            answer => answer.map(Some),
        }
    })
    .await
}

//! Whether the token can see other people's time: a probe, not a promise. Without the permission Tempo's lists are
//! just shorter, and nothing says so.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use jiff::civil::Date;
use tandem_core::{AccountId, IssueId, SiteName};
use tandem_engine::ports::site::{SiteClient, Vendor};

use super::links::Linked;
use super::look::{Finding, Look, Trouble, some};
use crate::words::count;

/// Pages of worklogs that are read: 50,000 rows.
const PAGES_MAX: usize = 10;

/// Issues of a project that are compared with what Jira shows: two requests each.
const COMPARED_MAX: usize = 3;

/// Projects that are compared so.
const PROJECTS_MAX: usize = 20;

/// A worklog made in Jira reaches Tempo later.
const LAG: SignedDuration = SignedDuration::from_hours(1);

const CHECK: &str = "others-time";

/// Who logged time of late, on which issue, and on which day last.
pub(super) struct Recent {
    pub(super) by: Result<BTreeMap<(AccountId, IssueId), Date>, Trouble>,
    /// Nothing is linked yet, so it is whoever logged time on any issue.
    pub(super) anywhere: bool,
    /// The site has more than is read of it here.
    pub(super) cut_off: bool,
}

impl Recent {
    /// Says that there is more than was read, if so.
    pub(super) fn unread(&self, check: &'static str, look: &Look<'_>, site: &SiteName) -> Option<Finding> {
        self.cut_off.then(|| {
            Finding::unknown(
                check,
                site,
                format!(
                    "there are more worklogs since {} than the {PAGES_MAX} pages that were read; of whoever logged time on the others alone, nothing is said",
                    look.since()
                ),
                "`tandem users list --since DATE`, with a later day, reads the rest",
            )
        })
    }
}

/// Reads who logged time on linked issues of late (on any issue where nothing is linked).
pub(super) async fn recent(look: &Look<'_>, site: &SiteName, linked: &Linked<'_>) -> Recent {
    let issues: BTreeSet<IssueId> = linked.project_of(site).into_keys().collect();
    let mut cut_off = false;
    Recent {
        by: read(look, site, &issues, &mut cut_off).await,
        anywhere: issues.is_empty(),
        cut_off,
    }
}

async fn read(
    look: &Look<'_>,
    site: &SiteName,
    issues: &BTreeSet<IssueId>,
    cut_off: &mut bool,
) -> Result<BTreeMap<(AccountId, IssueId), Date>, Trouble> {
    let mut by: BTreeMap<(AccountId, IssueId), Date> = BTreeMap::new();
    let mut offset = 0;
    for _ in 0..PAGES_MAX {
        let page = look
            .ask(site, Vendor::Tempo, async |client| {
                client.list_dates(look.since(), None, offset).await
            })
            .await?;
        for worklog in page.rows {
            if issues.is_empty() || issues.contains(&worklog.issue) {
                let day = worklog.content.start_date;
                let last = by.entry((worklog.content.author, worklog.issue)).or_insert(day);
                *last = day.max(*last);
            }
        }
        match page.next {
            Some(next) if next > offset => offset = next,
            _ => return Ok(by),
        }
    }
    *cut_off = true;
    Ok(by)
}

pub(super) async fn look(
    look: &Look<'_>,
    site: &SiteName,
    linked: &Linked<'_>,
    recent: &Recent,
) -> Vec<Finding> {
    let by_hand = "log in to Tempo as the service user and look at a colleague's timesheet";
    let by = match &recent.by {
        Ok(by) => by,
        Err(trouble) => return vec![Finding::trouble(CHECK, site, trouble, by_hand)],
    };
    let myself = match look
        .ask(site, Vendor::Jira, async |client| client.myself().await)
        .await
    {
        Ok(user) => user.account_id,
        Err(trouble) => return vec![Finding::trouble(CHECK, site, &trouble, by_hand)],
    };
    let projects = linked.projects(site);
    let of_issue = linked.project_of(site);
    let others: BTreeSet<&AccountId> = by
        .keys()
        .map(|(who, _)| who)
        .filter(|who| **who != myself)
        .collect();
    let seen_in: BTreeSet<&String> = by
        .keys()
        .filter(|(who, _)| *who != myself)
        .filter_map(|(_, issue)| of_issue.get(issue))
        .collect();
    let mut findings = Vec::new();
    if !others.is_empty() {
        let people = match others.len() {
            1 => "1 other person".to_owned(),
            number => format!("{number} other people"),
        };
        findings.push(Finding::ok(
            CHECK,
            site,
            format!("the time of {people} since {} can be seen", look.since()),
        ));
    }
    findings.extend(recent.unread(CHECK, look, site));
    let mut silent = Vec::new();
    for (project, issues) in projects
        .iter()
        .filter(|(project, _)| !seen_in.contains(project))
        .take(PROJECTS_MAX)
    {
        match hidden(look, site, issues).await {
            Ok(Some((jira, tempo))) => findings.push(Finding::fail(
                CHECK,
                site,
                format!(
                    "in project {project}, Jira shows {} where Tempo shows {tempo}: other people's time cannot be seen",
                    count(jira, "worklog")
                ),
                format!("give the service user Tempo's permission View All Worklogs in {project}, or View and Manage Worklogs in the teams; until then nothing of it is synchronised, and nothing is deleted"),
            )),
            Ok(None) => silent.push(project.clone()),
            Err(trouble) => findings.push(Finding::trouble(CHECK, site, &trouble, by_hand)),
        }
    }
    if !silent.is_empty() || findings.is_empty() {
        let place = if silent.is_empty() {
            String::new()
        } else {
            format!(" in {}", some(silent, 5))
        };
        findings.push(Finding::unknown(
            CHECK,
            site,
            format!(
                "nobody but the service user logged time{place} since {}, so there is nothing to see or to miss",
                look.since()
            ),
            "have somebody else log a minute on a linked issue, and run `tandem doctor` again",
        ));
    }
    findings
}

/// Compares some issues' worklogs as Jira has them with those that Tempo shows, and returns both counts where Tempo
/// shows fewer.
async fn hidden(
    look: &Look<'_>,
    site: &SiteName,
    issues: &BTreeSet<IssueId>,
) -> Result<Option<(usize, usize)>, Trouble> {
    for issue in issues.iter().take(COMPARED_MAX) {
        let jira = look
            .ask(site, Vendor::Jira, async |client| {
                client.jira_worklogs(*issue, 0).await
            })
            .await?;
        let settled = look.now() - LAG;
        let in_jira = jira
            .rows
            .iter()
            .filter(|row| {
                // What Tempo's app wrote is in Tempo for certain.
                row.author_is_app == Some(true)
                    || row.tempo_id.is_some()
                    || row.updated.is_some_and(|at| at < settled)
            })
            .count();
        if in_jira == 0 {
            continue;
        }
        let tempo = look
            .ask(site, Vendor::Tempo, async |client| {
                client.list_issue(*issue, 0).await
            })
            .await;
        let in_tempo = match tempo {
            Ok(page) => page.rows.len(),
            // Who may see nothing of an issue is told that there is no such issue.
            Err(Trouble::Refused(_)) => 0,
            Err(trouble) => return Err(trouble),
        };
        if in_tempo < in_jira {
            return Ok(Some((in_jira, in_tempo)));
        }
    }
    Ok(None)
}

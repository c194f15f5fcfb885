//! Lists of worklogs.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;

use super::page::Page;
use super::worklogs::{render, visible};
use super::{check, error, not_found};
use crate::http::Reply;
use crate::route::{Answer, Call};
use crate::rules::Permission;
use crate::worklog::Worklog;

/// What a list is narrowed down to.
#[derive(Debug, Default)]
struct Filter {
    issues: Option<BTreeSet<u64>>,
    projects: Option<BTreeSet<u64>>,
    authors: Option<BTreeSet<String>>,
    from: Option<Date>,
    to: Option<Date>,
    updated_from: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy)]
enum OrderBy {
    Id,
    Start,
    Updated,
}

impl OrderBy {
    fn parse(text: &str) -> Result<Self, Reply> {
        match text {
            "ID" => Ok(Self::Id),
            "START_DATE_TIME" => Ok(Self::Start),
            "UPDATED" => Ok(Self::Updated),
            _ => Err(error(400, &[format!("Invalid value '{text}' for orderBy")])),
        }
    }

    fn compare(self, a: &Worklog, b: &Worklog) -> Ordering {
        match self {
            Self::Id => a.id.cmp(&b.id),
            Self::Start => (a.start_date, a.start_time).cmp(&(b.start_date, b.start_time)),
            Self::Updated => a.updated_at.cmp(&b.updated_at),
        }
    }
}

pub(super) fn all(call: &mut Call<'_>) -> Answer {
    let mut filter = ranges(call)?;
    filter.issues = numbers(call, "issueId")?;
    filter.projects = numbers(call, "projectId")?;
    let order = match call.request.one("orderBy") {
        // Descending when it is given, ascending when it is not: that is how Tempo documents it.
        Some(text) => vec![(OrderBy::parse(text)?, true)],
        None => vec![(OrderBy::Start, false)],
    };
    answer(call, &filter, &order)
}

pub(super) fn search(call: &mut Call<'_>) -> Answer {
    let body = check::object(call)?;
    let known = [
        "authorIds",
        "issueIds",
        "projectIds",
        "from",
        "to",
        "updatedFrom",
        "orderBy",
    ];
    for field in body.keys().filter(|field| !known.contains(&field.as_str())) {
        call.violation(format!("unknown field {field} in a search"));
    }
    let list = |name: &str| {
        body.get(name)
            .and_then(Value::as_array)
            .filter(|list| !list.is_empty())
    };
    let ids = |name: &str| {
        list(name)
            .map(|list| {
                let ids: Option<BTreeSet<u64>> = list.iter().map(Value::as_u64).collect();
                ids.ok_or_else(|| error(400, &[format!("Invalid value for {name}")]))
            })
            .transpose()
    };
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let mut filter = Filter {
        issues: ids("issueIds")?,
        projects: ids("projectIds")?,
        authors: list("authorIds")
            .map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
        from: text("from").map(|text| date("from", text)).transpose()?,
        to: text("to").map(|text| date("to", text)).transpose()?,
        updated_from: None,
    };
    if let Some(text) = text("updatedFrom") {
        filter.updated_from = Some(check::parse_updated_from(call, text)?);
    }
    if filter
        .issues
        .as_ref()
        .is_some_and(|ids| list("issueIds").is_some_and(|l| l.len() > ids.len()))
    {
        call.violation("an issue id given twice in a search");
    }
    let mut order = Vec::new();
    for entry in list("orderBy").into_iter().flatten() {
        let field = entry.get("field").and_then(Value::as_str).unwrap_or_default();
        let descending = match entry.get("order").and_then(Value::as_str) {
            Some("DESC") => true,
            Some("ASC") => false,
            _ => return Err(error(400, &["Invalid value for order"])),
        };
        order.push((OrderBy::parse(field)?, descending));
    }
    if order.is_empty() {
        order.push((OrderBy::Start, false));
    }
    answer(call, &filter, &order)
}

pub(super) fn of_issue(call: &mut Call<'_>) -> Answer {
    let issue: u64 = call.param(0).parse().map_err(|_| not_found("Issue"))?;
    let filter = Filter {
        issues: Some([issue].into()),
        ..ranges(call)?
    };
    answer(call, &filter, &[(OrderBy::Start, false)])
}

pub(super) fn of_project(call: &mut Call<'_>) -> Answer {
    let project: u64 = call.param(0).parse().map_err(|_| not_found("Project"))?;
    let filter = Filter {
        projects: Some([project].into()),
        ..ranges(call)?
    };
    answer(call, &filter, &[(OrderBy::Start, false)])
}

pub(super) fn of_user(call: &mut Call<'_>) -> Answer {
    let author = call.param(0).to_owned();
    if !call.site.users.contains_key(&author) {
        return Err(not_found("User"));
    }
    let filter = Filter {
        authors: Some([author].into()),
        ..ranges(call)?
    };
    answer(call, &filter, &[(OrderBy::Start, false)])
}

fn date(name: &str, text: &str) -> Result<Date, Reply> {
    let wrong = || {
        error(
            400,
            &[format!("Invalid date format for {name}, expected yyyy-MM-dd")],
        )
    };
    if text.len() == 10 {
        text.parse().map_err(|_| wrong())
    } else {
        Err(wrong())
    }
}

fn ranges(call: &mut Call<'_>) -> Result<Filter, Reply> {
    let updated_from = match call.request.one("updatedFrom").map(str::to_owned) {
        Some(text) => Some(check::parse_updated_from(call, &text)?),
        None => None,
    };
    Ok(Filter {
        from: call
            .request
            .one("from")
            .map(|text| date("from", text))
            .transpose()?,
        to: call.request.one("to").map(|text| date("to", text)).transpose()?,
        updated_from,
        ..Filter::default()
    })
}

/// Reads a repeated parameter; the same value twice is a 404, as it was seen to be.
fn numbers(call: &mut Call<'_>, name: &str) -> Result<Option<BTreeSet<u64>>, Reply> {
    let mut ids = BTreeSet::new();
    let mut twice = false;
    for text in call.request.all(name) {
        let id = text
            .parse()
            .map_err(|_| error(400, &[format!("Invalid value '{text}' for {name}")]))?;
        twice |= !ids.insert(id);
    }
    if twice {
        call.violation(format!("{name} given twice with the same value"));
        return Err(not_found("Issue"));
    }
    Ok(Some(ids).filter(|ids| !ids.is_empty()))
}

fn answer(call: &mut Call<'_>, filter: &Filter, order: &[(OrderBy, bool)]) -> Answer {
    let page = Page::asked(call)?;
    let site = &*call.site;
    for issue in filter.issues.iter().flatten() {
        if let Some(status) = site.broken_listings.get(issue) {
            return Err(error(*status, &["Internal server error"]));
        }
        if !site.may(Permission::Browse, *issue) {
            return Err(not_found("Issue"));
        }
    }
    for project in filter.projects.iter().flatten() {
        let seen = site
            .projects
            .get(project)
            .is_some_and(|p| p.permissions.contains(&Permission::Browse));
        if !seen {
            return Err(not_found("Project"));
        }
    }
    let candidates = match (&filter.issues, filter.updated_from) {
        (Some(issues), _) => issues
            .iter()
            .flat_map(|issue| site.ledger.ids_of_issue(*issue))
            .collect(),
        // A worklog's last change is never earlier than the `updatedAt` a lagging list shows for it.
        (None, Some(from)) => site.ledger.ids_changed_since(from),
        (None, None) => site.ledger.ids(),
    };
    let candidates: BTreeSet<u64> = candidates.into_iter().collect();
    let mut rows: Vec<Arc<Worklog>> = candidates
        .into_iter()
        .filter_map(|id| site.ledger.shown(id, call.now, site.faults.listing_lag))
        .filter(|worklog| filter.lets_through(site, worklog) && visible(site, worklog))
        .cloned()
        .collect();
    rows.sort_by(|a, b| {
        let by = order.iter().map(|(by, descending)| {
            let ordering = by.compare(a, b);
            if *descending { ordering.reverse() } else { ordering }
        });
        by.fold(Ordering::Equal, Ordering::then).then(a.id.cmp(&b.id))
    });
    Ok(page.of(call, &rows, |worklog| {
        render(call.site, &call.request.base, worklog)
    }))
}

impl Filter {
    fn lets_through(&self, site: &crate::site::Site, worklog: &Worklog) -> bool {
        self.issues.as_ref().is_none_or(|issues| issues.contains(&worklog.issue))
            && self.authors.as_ref().is_none_or(|authors| authors.contains(&worklog.author))
            && self.from.is_none_or(|from| worklog.start_date >= from)
            && self.to.is_none_or(|to| worklog.start_date <= to)
            // Seconds are all it goes by: what changed within the second is included.
            && self.updated_from.is_none_or(|from| worklog.updated_at.as_second() >= from.as_second())
            && self.projects.as_ref().is_none_or(|projects| {
                site.project_of(worklog.issue).is_some_and(|project| projects.contains(&project.id))
            })
    }
}

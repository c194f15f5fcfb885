//! What Tempo refuses.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::ToSpan;
use jiff::civil::{Date, Time};
use serde_json::{Map, Value};

use super::error;
use crate::http::Reply;
use crate::route::Call;
use crate::rules::{AttributeKind, Permission};
use crate::site::Site;
use crate::worklog::{Content, Worklog};

pub(super) const CREATE_FIELDS: &[&str] = &[
    "issueId",
    "authorAccountId",
    "startDate",
    "startTime",
    "timeSpentSeconds",
    "billableSeconds",
    "description",
    "remainingEstimateSeconds",
    "attributes",
    "bypassPeriodClosuresAndApprovals",
];
pub(super) const UPDATE_FIELDS: &[&str] = &[
    "authorAccountId",
    "startDate",
    "startTime",
    "timeSpentSeconds",
    "billableSeconds",
    "description",
    "remainingEstimateSeconds",
    "attributes",
];
pub(super) const BULK_FIELDS: &[&str] = &[
    "authorAccountId",
    "startDate",
    "startTime",
    "timeSpentSeconds",
    "billableSeconds",
    "description",
    "attributes",
];

/// Reads the body as a JSON object.
pub(super) fn object(call: &Call<'_>) -> Result<Map<String, Value>, Reply> {
    match call.request.json() {
        Some(Value::Object(body)) => Ok(body),
        _ => Err(error(400, &["Unable to parse the request body"])),
    }
}

/// A worklog as a client writes it, well-formed but not yet accepted.
#[derive(Debug)]
pub(super) struct Input {
    content: Content,
    remaining_secs: Option<i64>,
}

impl Input {
    /// Reads the fields that create, update and bulk have in common.
    pub(super) fn read(
        call: &mut Call<'_>,
        body: &Map<String, Value>,
        known: &[&str],
    ) -> Result<Self, Reply> {
        for field in body.keys().filter(|field| !known.contains(&field.as_str())) {
            call.violation(format!("unknown field {field} in a worklog"));
        }
        if !body.contains_key("startTime") {
            call.violation("no startTime: what Tempo puts there is not documented");
        }
        let mut wrong = Vec::new();
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let author = text("authorAccountId").unwrap_or_default().to_owned();
        if author.is_empty() {
            wrong.push("Author account id cannot be blank.".to_owned());
        }
        let start_date: Option<Date> = text("startDate")
            .filter(|d| d.len() == 10)
            .and_then(|d| d.parse().ok());
        if start_date.is_none() {
            wrong.push("Start date must be a date in the format yyyy-MM-dd.".to_owned());
        }
        let start_time = match body.get("startTime") {
            None | Some(Value::Null) => Some(call.site.spec.default_start_time),
            Some(value) => value.as_str().and_then(parse_time),
        };
        if start_time.is_none() {
            wrong.push("Start time must be a time in the format HH:mm:ss.".to_owned());
        }
        let time_spent = body.get("timeSpentSeconds").and_then(Value::as_i64);
        if time_spent.is_none_or(|secs| secs < 1) {
            wrong.push("Time spent must be greater than or equal to 1.".to_owned());
        }
        let billable = match body.get("billableSeconds") {
            None | Some(Value::Null) => time_spent,
            Some(value) => value.as_i64().filter(|secs| *secs >= 0),
        };
        if billable.is_none() && time_spent.is_some() {
            wrong.push("Billable seconds must be greater than or equal to 0.".to_owned());
        }
        let remaining_secs = match body.get("remainingEstimateSeconds") {
            None | Some(Value::Null) => None,
            Some(value) => {
                let secs = value.as_i64();
                if secs.is_none_or(|secs| secs < 0) {
                    wrong.push("Remaining estimate must be greater than or equal to 0.".to_owned());
                }
                secs
            }
        };
        let attributes = read_attributes(call, body.get("attributes"), &mut wrong);
        match (start_date, start_time, time_spent, billable) {
            (Some(start_date), Some(start_time), Some(time_spent_secs), Some(billable_secs))
                if wrong.is_empty() =>
            {
                let description = text("description")
                    .filter(|text| !text.is_empty())
                    .map(str::to_owned)
                    .or_else(|| call.site.spec.default_text.clone());
                Ok(Self {
                    content: Content {
                        author,
                        start_date,
                        start_time,
                        time_spent_secs,
                        billable_secs,
                        description,
                        attributes,
                    },
                    remaining_secs,
                })
            }
            _ => Err(error(400, &wrong)),
        }
    }

    /// Checks the site's rules and returns what is to be written.
    pub(super) fn accepted(
        &self,
        call: &Call<'_>,
        issue: u64,
        bypass: bool,
        old: Option<&Worklog>,
    ) -> Result<Content, Reply> {
        if !call.site.spec.configuration.remaining_estimate_optional && self.remaining_secs.is_none() {
            let mut wrong = vec!["Estimated remaining time must not be empty.".to_owned()];
            check_attributes(call.site, &self.content, &mut wrong);
            return Err(error(400, &wrong));
        }
        self.accepted_by_rules(call, issue, bypass, old)
    }

    /// The same for bulk, which has neither a remaining estimate nor a bypass.
    pub(super) fn accepted_in_bulk(&self, call: &Call<'_>, issue: u64) -> Result<Content, Reply> {
        self.accepted_by_rules(call, issue, false, None)
    }

    fn accepted_by_rules(
        &self,
        call: &Call<'_>,
        issue: u64,
        bypass: bool,
        old: Option<&Worklog>,
    ) -> Result<Content, Reply> {
        let (site, content) = (&*call.site, &self.content);
        if !site.may(Permission::Browse, issue) {
            return Err(error(400, &[format!("Issue with id '{issue}' not found")]));
        }
        let for_other = content.author != site.service();
        if for_other && !site.may(Permission::LogForOthers, issue) {
            return Err(error(403, &["You do not have permission to log work for others"]));
        }
        if !site.users.get(&content.author).is_some_and(|user| user.active) {
            return Err(error(
                400,
                &[format!("User '{}' not found or inactive", content.author)],
            ));
        }
        if !site.may_work(&content.author, issue) {
            return Err(error(
                400,
                &[format!(
                    "User '{}' does not have permission to work on the issue",
                    content.author
                )],
            ));
        }
        if site.closed(content.start_date) && !(bypass && site.spec.bypass_allowed) {
            return Err(error(403, &["Period is closed"]));
        }
        let mut wrong = Vec::new();
        let rules = &site.spec.configuration;
        if !rules.description_optional && content.description.is_none() {
            wrong.push("Description must not be empty.".to_owned());
        }
        if content.billable_secs != content.time_spent_secs
            && old.is_none_or(|old| old.billable_secs != content.billable_secs)
            && !site.may(Permission::SetBillable, issue)
        {
            wrong.push("You do not have permission to set billable hours".to_owned());
        }
        check_attributes(site, content, &mut wrong);
        if let Some(hours) = rules.max_hours_per_day {
            let own = old.filter(|old| old.author == content.author && old.start_date == content.start_date);
            let others = site.ledger.secs_on(&content.author, content.start_date)
                - own.map_or(0, |old| old.time_spent_secs);
            if others + content.time_spent_secs > hours * 3600 {
                wrong.push(format!("Maximum hours per day per user is {hours}"));
            }
        }
        if let Some(days) = rules.days_into_future {
            let today = call.now.to_zoned(site.zone.clone()).date();
            if content.start_date > today.saturating_add(days.days()) {
                wrong.push(format!(
                    "Logging time more than {days} days into the future is not allowed"
                ));
            }
        }
        if wrong.is_empty() {
            Ok(content.clone())
        } else {
            Err(error(400, &wrong))
        }
    }

    /// Sets the issue's remaining estimate when the write named one.
    pub(super) fn set_estimate(&self, call: &mut Call<'_>, issue: u64) {
        if let Some(secs) = self.remaining_secs
            && let Some(issue) = call.site.issues.get_mut(&issue)
        {
            issue.remaining_secs = Some(secs);
        }
    }
}

/// `^([0-1]?[0-9]|2[0-3]):mm:ss$`: seconds are needed, a leading zero is not.
fn parse_time(text: &str) -> Option<Time> {
    let mut parts = text.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let fits = parts.next().is_none()
        && (1..=2).contains(&hour.len())
        && minute.len() == 2
        && second.len() == 2
        && [hour, minute, second].into_iter().all(digits);
    if !fits {
        return None;
    }
    Time::new(hour.parse().ok()?, minute.parse().ok()?, second.parse().ok()?, 0).ok()
}

/// In a request attributes are a flat list, unlike in an answer.
fn read_attributes(
    call: &mut Call<'_>,
    list: Option<&Value>,
    wrong: &mut Vec<String>,
) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    match list {
        None | Some(Value::Null) => {}
        Some(Value::Array(list)) => {
            for entry in list {
                let text = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
                let Some(key) = text("key").filter(|key| !key.is_empty()) else {
                    wrong.push("Work attribute key cannot be blank.".to_owned());
                    continue;
                };
                if attributes.contains_key(&key) {
                    call.violation(format!("attribute {key} given twice"));
                }
                if let Some(value) = text("value").filter(|value| !value.is_empty()) {
                    attributes.insert(key, value);
                }
            }
        }
        Some(_) => wrong.push("Unable to parse the request body".to_owned()),
    }
    attributes
}

pub(super) fn check_attributes(site: &Site, content: &Content, wrong: &mut Vec<String>) {
    for (key, value) in &content.attributes {
        let Some(definition) = site
            .spec
            .attributes
            .iter()
            .find(|attribute| attribute.key == *key)
        else {
            wrong.push(format!("Work attribute '{key}' not found"));
            continue;
        };
        let good = match definition.kind {
            AttributeKind::Account => match site.spec.accounts.get(value) {
                None => {
                    wrong.push(format!("Account '{value}' not found"));
                    continue;
                }
                Some(open) => *open || site.spec.configuration.closed_accounts_allowed,
            },
            AttributeKind::Checkbox => matches!(value.as_str(), "true" | "false"),
            AttributeKind::InputNumeric => value.parse::<f64>().is_ok(),
            AttributeKind::StaticList => definition.values.iter().any(|(known, _)| known == value),
            AttributeKind::InputField | AttributeKind::DynamicDropdown => true,
        };
        if !good {
            wrong.push(format!(
                "Invalid value '{value}' for work attribute '{}' ({key})",
                definition.name
            ));
        }
    }
    for definition in site.spec.attributes.iter().filter(|attribute| attribute.required) {
        if !content.attributes.contains_key(&definition.key) {
            // Both spellings have been seen: the account without quotes, the others with.
            wrong.push(match definition.kind {
                AttributeKind::Account => {
                    format!(
                        "Work attribute {} ({}) is required",
                        definition.name, definition.key
                    )
                }
                _ => format!(
                    "Work attribute '{}' ({}) is required",
                    definition.name, definition.key
                ),
            });
        }
    }
}

/// Reads `updatedFrom`: a day, or a moment to the second.
pub(super) fn parse_updated_from(call: &mut Call<'_>, text: &str) -> Result<jiff::Timestamp, Reply> {
    let wrong = || {
        error(
            400,
            &["Invalid date format for updatedFrom, expected yyyy-MM-dd['T'HH:mm:ss]['Z']"],
        )
    };
    if let (10, Ok(date)) = (text.len(), text.parse::<Date>()) {
        return date
            .at(0, 0, 0, 0)
            .in_tz("UTC")
            .map(|day| day.timestamp())
            .map_err(|_| wrong());
    }
    let zulu = if text.ends_with('Z') {
        text.to_owned()
    } else {
        format!("{text}Z")
    };
    if text.contains('.') {
        call.violation(format!("updatedFrom={text} has a fraction"));
    }
    if text.contains('+') || text.contains(' ') {
        return Err(wrong());
    }
    let at: jiff::Timestamp = zulu.parse().map_err(|_| wrong())?;
    Ok(at - Duration::from_nanos(at.subsec_nanosecond().unsigned_abs().into()))
}

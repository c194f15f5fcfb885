//! A site's rules, periods and approvals.

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use serde_json::{Value, json};

use super::{error, not_found};
use crate::http::Reply;
use crate::route::{Answer, Call};

/// A wrong span in a query is refused rather than walked through week by week.
const PERIODS_MAX: usize = 600;

pub(super) fn global(call: &mut Call<'_>) -> Answer {
    let rules = &call.site.spec.configuration;
    let mut body = json!({
        "allowLoggingOnClosedAccount": rules.closed_accounts_allowed,
        "approvalPeriod": "WEEK",
        "approvalWeekStart": 1,
        "planApprovalEnabled": false,
        "remainingEstimateOptional": rules.remaining_estimate_optional,
        "startAndEndTimesEnabled": rules.start_times_enabled,
        "startAndEndTimesForPlanningEnabled": false,
        "weekStart": 1,
        "worklogDescriptionOptional": rules.description_optional,
        "numberOfDaysAllowedIntoFuture": rules.days_into_future.unwrap_or(3650),
    });
    if let Some(hours) = rules.max_hours_per_day {
        body["maxHoursPerDayPerUser"] = json!(hours);
    }
    Ok(Reply::ok(&body))
}

fn date(call: &Call<'_>, name: &str) -> Result<Date, Reply> {
    let text = call.request.one(name).unwrap_or_default();
    text.parse()
        .map_err(|_| error(400, &[format!("Invalid or missing date for {name}")]))
}

/// Returns the Monday on or before a day.
fn monday(day: Date) -> Date {
    day.saturating_sub(i64::from(day.weekday().since(Weekday::Monday)).days())
}

pub(super) fn periods(call: &mut Call<'_>) -> Answer {
    let (from, to) = (date(call, "from")?, date(call, "to")?);
    let weeks = monday(from)
        .series(1.week())
        .take_while(|start| *start <= to)
        .take(PERIODS_MAX);
    let periods: Vec<Value> = weeks
        .map(|start| json!({"from": start.to_string(), "to": start.saturating_add(6.days()).to_string()}))
        .collect();
    Ok(Reply::ok(&json!({"periods": periods})))
}

pub(super) fn approval(call: &mut Call<'_>) -> Answer {
    let account_id = call.param(0).to_owned();
    if !call.site.users.contains_key(&account_id) {
        return Err(not_found("User"));
    }
    let start = monday(date(call, "from")?);
    let end = start.saturating_add(6.days());
    let secs: i64 = start
        .series(1.day())
        .take(7)
        .map(|day| call.site.ledger.secs_on(&account_id, day))
        .sum();
    let base = format!(
        "{}/4/timesheet-approvals/user/{}",
        call.request.base,
        call.param(0)
    );
    let status = if call.site.closed(start) {
        "APPROVED"
    } else {
        "OPEN"
    };
    Ok(Reply::ok(&json!({
        "self": call.request.url(),
        "period": {"from": start.to_string(), "to": end.to_string()},
        "requiredSeconds": 5 * 8 * 3600,
        "timeSpentSeconds": secs,
        "status": {"key": status},
        "user": {"accountId": account_id},
        "worklogs": {"self": format!("{}/4/worklogs/user/{}?from={start}&to={end}", call.request.base, call.param(0))},
        "actions": {"submit": {"self": format!("{base}/submit")}},
    })))
}

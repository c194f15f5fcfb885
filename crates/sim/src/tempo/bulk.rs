//! Many worklogs on one issue at once.

use serde_json::{Map, Value};

use super::check::{self, Input};
use super::worklogs::render;
use super::{error, not_found};
use crate::http::Reply;
use crate::route::{Answer, Call};
use crate::rules::Permission;

/// The most worklogs one request may make.
const BULK_MAX: usize = 50;

pub(super) fn create(call: &mut Call<'_>) -> Answer {
    let issue: u64 = call.param(0).parse().map_err(|_| not_found("Issue"))?;
    if !call.site.may(Permission::Browse, issue) {
        return Err(not_found("Issue"));
    }
    let Some(Value::Array(list)) = call.request.json() else {
        return Err(error(400, &["Unable to parse the request body"]));
    };
    if !(1..=BULK_MAX).contains(&list.len()) {
        return Err(error(400, &[format!("size must be between 1 and {BULK_MAX}")]));
    }
    if call.site.bulk_busy.contains(&issue) {
        return Err(error(409, &["Another bulk action is in progress for this issue"]));
    }
    // All or nothing: everything is checked before anything is written.
    let mut accepted = Vec::new();
    for entry in &list {
        let empty = Map::new();
        let body = entry.as_object().unwrap_or(&empty);
        let input = Input::read(call, body, check::BULK_FIELDS)?;
        accepted.push(input.accepted_in_bulk(call, issue)?);
    }
    let (now, actor) = (call.now, call.site.service().to_owned());
    let ids: Vec<u64> = accepted
        .into_iter()
        .map(|content| call.site.tempo_create(now, &actor, issue, content))
        .collect();
    let made: Vec<Value> = ids
        .iter()
        .filter_map(|id| call.site.ledger.get(*id))
        .map(|worklog| render(call.site, &call.request.base, worklog))
        .collect();
    Ok(Reply::ok(&made))
}

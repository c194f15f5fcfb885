//! Between Tempo's and Jira's worklog ids.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::page::Page;
use super::worklogs::visible;
use super::{check, error};
use crate::http::Reply;
use crate::route::{Answer, Call};

pub(super) fn jira_to_tempo(call: &mut Call<'_>) -> Answer {
    let ids = ids(call, "jiraWorklogIds")?;
    let pairs = ids
        .into_iter()
        .filter_map(|jira| Some((jira, call.site.ledger.id_of_jira(jira)?)));
    let pairs = pairs.collect();
    answer(call, pairs)
}

pub(super) fn tempo_to_jira(call: &mut Call<'_>) -> Answer {
    let ids = ids(call, "tempoWorklogIds")?;
    let pairs = ids
        .into_iter()
        .filter_map(|id| Some((call.site.ledger.get(id)?.jira_id?, id)));
    let pairs = pairs.collect();
    answer(call, pairs)
}

/// Unknown ids are left out without an error, and the answer comes in pages like any list.
fn answer(call: &mut Call<'_>, pairs: Vec<(u64, u64)>) -> Answer {
    let page = Page::asked(call)?;
    let site = &*call.site;
    let rows: Vec<(u64, u64)> = pairs
        .into_iter()
        .filter(|(_, tempo)| {
            site.ledger
                .get(*tempo)
                .is_some_and(|worklog| visible(site, worklog))
        })
        .collect();
    Ok(page.of(
        call,
        &rows,
        |(jira, tempo)| json!({"jiraWorklogId": jira, "tempoWorklogId": tempo}),
    ))
}

fn ids(call: &mut Call<'_>, name: &str) -> Result<Vec<u64>, Reply> {
    let body = check::object(call)?;
    let list = body
        .get(name)
        .and_then(Value::as_array)
        .filter(|list| !list.is_empty());
    let ids: Option<Vec<u64>> = list.and_then(|list| list.iter().map(Value::as_u64).collect());
    let ids = ids.ok_or_else(|| error(400, &[format!("{name} must hold at least one number")]))?;
    let mut seen = HashSet::new();
    let unique: Vec<u64> = ids.iter().copied().filter(|id| seen.insert(*id)).collect();
    if unique.len() < ids.len() {
        call.violation(format!("an id given twice in {name}"));
    }
    Ok(unique)
}

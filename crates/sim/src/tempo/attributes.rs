//! Work attributes: their definitions, and the values on worklogs.

use serde_json::{Map, Value, json};

use super::page::Page;
use super::{check, error, not_found, worklogs};
use crate::http::Reply;
use crate::route::{Answer, Call};
use crate::rules::{AttributeKind, AttributeSpec};
use crate::worklog::Worklog;

fn render(base: &str, attribute: &AttributeSpec) -> Value {
    let mut body = json!({
        "self": format!("{base}/4/work-attributes/{}", attribute.key),
        "key": attribute.key,
        "name": attribute.name,
        "type": attribute.kind.wire(),
        "required": attribute.required,
    });
    if attribute.kind == AttributeKind::StaticList {
        body["values"] = attribute.values.iter().map(|(value, _)| json!(value)).collect();
        let names: Map<String, Value> = attribute
            .values
            .iter()
            .map(|(value, name)| (value.clone(), json!(name)))
            .collect();
        body["names"] = Value::Object(names);
    }
    body
}

pub(super) fn definitions(call: &mut Call<'_>) -> Answer {
    let page = Page::asked(call)?;
    Ok(page.of(call, &call.site.spec.attributes, |attribute| {
        render(&call.request.base, attribute)
    }))
}

pub(super) fn definition(call: &mut Call<'_>) -> Answer {
    let found = call
        .site
        .spec
        .attributes
        .iter()
        .find(|attribute| attribute.key == call.param(0));
    let found = found.ok_or_else(|| not_found("Work attribute"))?;
    Ok(Reply::ok(&render(&call.request.base, found)))
}

fn list(worklog: &Worklog) -> Vec<Value> {
    worklog
        .attributes
        .iter()
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect()
}

pub(super) fn values(call: &mut Call<'_>) -> Answer {
    let values = list(&*worklogs::named(call)?);
    Ok(Reply::ok(&json!({
        "self": call.request.url(), "metadata": {"count": values.len()}, "results": values,
    })))
}

pub(super) fn value(call: &mut Call<'_>) -> Answer {
    let worklog = worklogs::named(call)?;
    let key = call.param(1);
    let value = worklog
        .attributes
        .get(key)
        .ok_or_else(|| not_found("Work attribute value"))?;
    Ok(Reply::ok(&json!({"key": key, "value": value})))
}

pub(super) fn search_values(call: &mut Call<'_>) -> Answer {
    let body = check::object(call)?;
    let ids = body
        .get("tempoWorklogIds")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    if !(1..=500).contains(&ids.len()) {
        return Err(error(400, &["size must be between 1 and 500"]));
    }
    let rows: Vec<Value> = ids
        .iter()
        .filter_map(|id| call.site.ledger.get(id.as_u64()?))
        .filter(|worklog| worklogs::visible(call.site, worklog))
        .map(|worklog| json!({"tempoWorklogId": worklog.id, "workAttributeValues": list(worklog)}))
        .collect();
    Ok(Reply::ok(&rows))
}

/// Adds values to worklogs that have none yet for these keys; changing one takes a PUT of the worklog.
pub(super) fn add_values(call: &mut Call<'_>) -> Answer {
    let Some(Value::Array(entries)) = call.request.json() else {
        return Err(error(400, &["Unable to parse the request body"]));
    };
    let mut changed = Vec::new();
    for entry in &entries {
        let id = entry
            .get("tempoWorklogId")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        let worklog = call
            .site
            .ledger
            .get(id)
            .filter(|worklog| worklogs::visible(call.site, worklog));
        let mut content = worklog.ok_or_else(|| not_found("Worklog"))?.content.clone();
        let values = entry
            .get("attributeValues")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        for value in values {
            let text = |name: &str| {
                value
                    .get(name)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            let key = text("key");
            if content.attributes.contains_key(&key) {
                return Err(error(
                    400,
                    &[format!("Work attribute value for '{key}' already exists")],
                ));
            }
            content.attributes.insert(key, text("value"));
        }
        let mut wrong = Vec::new();
        check::check_attributes(call.site, &content, &mut wrong);
        if !wrong.is_empty() {
            return Err(error(400, &wrong));
        }
        changed.push((id, content));
    }
    let (now, actor) = (call.now, call.site.service().to_owned());
    for (id, content) in changed {
        call.site.tempo_update(now, &actor, id, content);
    }
    Ok(Reply::no_content())
}

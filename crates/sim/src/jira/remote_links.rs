//! Remote links of issues.

use serde_json::{Value, json};

use super::{error, named_issue};
use crate::http::Reply;
use crate::route::{Answer, Call};
use crate::rules::Permission;
use crate::site::{RemoteLink, Site, take};

/// The longest global id.
const GLOBAL_ID_MAX: usize = 255;

fn render(site: &Site, issue: u64, link: &RemoteLink) -> Value {
    let mut body = link.body.clone();
    body["id"] = json!(link.id);
    body["self"] = json!(format!(
        "{}/rest/api/3/issue/{issue}/remotelink/{}",
        site.jira_base, link.id
    ));
    if let Some(global_id) = &link.global_id {
        body["globalId"] = json!(global_id);
    }
    body
}

pub(super) fn list(call: &mut Call<'_>) -> Answer {
    let issue = named_issue(call)?;
    match call.request.one("globalId") {
        // With a global id the answer is that one link, not a list of it.
        Some(wanted) => {
            let found = issue
                .remote_links
                .iter()
                .find(|link| link.global_id.as_deref() == Some(wanted));
            let link =
                found.ok_or_else(|| error(404, &["No Remote issue link found for this global ID."]))?;
            Ok(Reply::ok(&render(call.site, issue.id, link)))
        }
        None => {
            let links: Vec<Value> = issue
                .remote_links
                .iter()
                .map(|link| render(call.site, issue.id, link))
                .collect();
            Ok(Reply::ok(&links))
        }
    }
}

pub(super) fn get(call: &mut Call<'_>) -> Answer {
    let issue = named_issue(call)?;
    let found = issue
        .remote_links
        .iter()
        .find(|link| link.id.to_string() == call.param(1));
    let link = found.ok_or_else(|| error(404, &["No remote issue link exists with the given ID."]))?;
    Ok(Reply::ok(&render(call.site, issue.id, link)))
}

/// Makes a link, or replaces the one with the same global id.
pub(super) fn put(call: &mut Call<'_>) -> Answer {
    let id = named_issue(call)?.id;
    if !call.site.may(Permission::LinkIssues, id) {
        return Err(error(403, &["No Link Issue Permission for issue"]));
    }
    let Some(Value::Object(mut body)) = call.request.json() else {
        return Err(error(400, &["The request body is not valid JSON."]));
    };
    let object = body.get("object");
    let text = |name: &str| {
        object
            .and_then(|o| o.get(name))
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    if text("url").is_empty() || text("title").is_empty() {
        return Err(error(400, &["'url' and 'title' are required."]));
    }
    let global_id = body
        .remove("globalId")
        .and_then(|id| id.as_str().map(str::to_owned));
    if global_id.as_ref().is_some_and(|id| id.len() > GLOBAL_ID_MAX) {
        return Err(error(400, &["'globalId' must not exceed 255 characters."]));
    }
    body.retain(|name, _| matches!(name.as_str(), "application" | "relationship" | "object"));
    let fresh = call.site.ids.remote_link;
    let issue = call.site.issues.get_mut(&id).ok_or_else(super::no_issue)?;
    let known = issue
        .remote_links
        .iter_mut()
        .find(|link| global_id.is_some() && link.global_id == global_id);
    let (status, link_id) = match known {
        Some(link) => {
            link.body = Value::Object(body);
            (200, link.id)
        }
        None => {
            issue.remote_links.push(RemoteLink {
                id: fresh,
                global_id,
                body: Value::Object(body),
            });
            (201, take(&mut call.site.ids.remote_link))
        }
    };
    Ok(Reply::json(
        status,
        &json!({
            "id": link_id,
            "self": format!("{}/rest/api/3/issue/{id}/remotelink/{link_id}", call.site.jira_base),
        }),
    ))
}

pub(super) fn delete(call: &mut Call<'_>) -> Answer {
    let wanted = call.param(1).to_owned();
    remove(call, |link| link.id.to_string() == wanted)
}

pub(super) fn delete_by_global_id(call: &mut Call<'_>) -> Answer {
    let Some(wanted) = call.request.one("globalId").map(str::to_owned) else {
        return Err(error(400, &["'globalId' is required."]));
    };
    remove(call, |link| link.global_id.as_ref() == Some(&wanted))
}

fn remove(call: &mut Call<'_>, is_it: impl Fn(&RemoteLink) -> bool) -> Answer {
    let id = named_issue(call)?.id;
    let issue = call.site.issues.get_mut(&id).ok_or_else(super::no_issue)?;
    let before = issue.remote_links.len();
    issue.remote_links.retain(|link| !is_it(link));
    if issue.remote_links.len() < before {
        Ok(Reply::no_content())
    } else {
        Err(error(404, &["No remote issue link exists with the given ID."]))
    }
}

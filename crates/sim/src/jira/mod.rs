//! Jira's REST API, version 3, as far as the product needs it, and the old API for admin webhooks.

mod adf;
mod feeds;
mod issues;
mod permissions;
mod remote_links;
mod search;
mod server;
mod users;
mod webhooks;
mod worklogs;

use serde_json::{Map, json};

use crate::http::Reply;
use crate::route::{Call, Route};
use crate::rules::Permission;
use crate::site::Issue;

/// The endpoints; where two fit, the one with fewer parameters stands first.
pub(crate) const ROUTES: &[Route] = &[
    Route {
        method: "GET",
        template: "/rest/api/3/serverInfo",
        answer: server::info,
    },
    Route {
        method: "GET",
        template: "/rest/api/3/configuration",
        answer: server::configuration,
    },
    Route {
        method: "GET",
        template: "/rest/api/3/myself",
        answer: users::myself,
    },
    Route {
        method: "GET",
        template: "/rest/api/3/user",
        answer: users::get,
    },
    Route {
        method: "GET",
        template: "/rest/api/3/user/bulk",
        answer: users::bulk,
    },
    Route {
        method: "GET",
        template: "/rest/api/3/user/search",
        answer: users::search,
    },
    Route {
        method: "GET",
        template: "/rest/api/3/mypermissions",
        answer: permissions::mine,
    },
    Route {
        method: "GET",
        template: "/rest/api/3/permissions",
        answer: permissions::all,
    },
    Route {
        method: "POST",
        template: "/rest/api/3/permissions/check",
        answer: permissions::check,
    },
    Route {
        method: "POST",
        template: "/rest/api/3/issue/bulkfetch",
        answer: issues::bulkfetch,
    },
    Route {
        method: "GET",
        template: "/rest/api/3/issue/{issueIdOrKey}",
        answer: issues::get,
    },
    Route {
        method: "GET",
        template: "/rest/api/3/issue/{issueIdOrKey}/remotelink",
        answer: remote_links::list,
    },
    Route {
        method: "POST",
        template: "/rest/api/3/issue/{issueIdOrKey}/remotelink",
        answer: remote_links::put,
    },
    Route {
        method: "DELETE",
        template: "/rest/api/3/issue/{issueIdOrKey}/remotelink",
        answer: remote_links::delete_by_global_id,
    },
    Route {
        method: "GET",
        template: "/rest/api/3/issue/{issueIdOrKey}/remotelink/{linkId}",
        answer: remote_links::get,
    },
    Route {
        method: "DELETE",
        template: "/rest/api/3/issue/{issueIdOrKey}/remotelink/{linkId}",
        answer: remote_links::delete,
    },
    Route {
        method: "GET",
        template: "/rest/api/3/issue/{issueIdOrKey}/worklog",
        answer: worklogs::list,
    },
    Route {
        method: "POST",
        template: "/rest/api/3/issue/{issueIdOrKey}/worklog",
        answer: worklogs::create,
    },
    Route {
        method: "GET",
        template: "/rest/api/3/issue/{issueIdOrKey}/worklog/{id}",
        answer: worklogs::get,
    },
    Route {
        method: "PUT",
        template: "/rest/api/3/issue/{issueIdOrKey}/worklog/{id}",
        answer: worklogs::update,
    },
    Route {
        method: "DELETE",
        template: "/rest/api/3/issue/{issueIdOrKey}/worklog/{id}",
        answer: worklogs::delete,
    },
    Route {
        method: "GET",
        template: "/rest/api/3/issue/{issueIdOrKey}/worklog/{worklogId}/properties",
        answer: worklogs::property_keys,
    },
    Route {
        method: "GET",
        template: "/rest/api/3/issue/{issueIdOrKey}/worklog/{worklogId}/properties/{propertyKey}",
        answer: worklogs::property,
    },
    Route {
        method: "PUT",
        template: "/rest/api/3/issue/{issueIdOrKey}/worklog/{worklogId}/properties/{propertyKey}",
        answer: worklogs::set_property,
    },
    Route {
        method: "DELETE",
        template: "/rest/api/3/issue/{issueIdOrKey}/worklog/{worklogId}/properties/{propertyKey}",
        answer: worklogs::delete_property,
    },
    Route {
        method: "GET",
        template: "/rest/api/3/worklog/updated",
        answer: feeds::updated,
    },
    Route {
        method: "GET",
        template: "/rest/api/3/worklog/deleted",
        answer: feeds::deleted,
    },
    Route {
        method: "POST",
        template: "/rest/api/3/worklog/list",
        answer: worklogs::by_ids,
    },
    Route {
        method: "GET",
        template: "/rest/api/3/search/jql",
        answer: search::get,
    },
    Route {
        method: "POST",
        template: "/rest/api/3/search/jql",
        answer: search::post,
    },
    Route {
        method: "GET",
        template: "/rest/api/3/search",
        answer: search::gone,
    },
    Route {
        method: "POST",
        template: "/rest/api/3/search",
        answer: search::gone,
    },
    Route {
        method: "POST",
        template: "/rest/api/3/jql/match",
        answer: search::matches,
    },
    Route {
        method: "POST",
        template: "/rest/api/3/webhook",
        answer: webhooks::dynamic,
    },
    Route {
        method: "GET",
        template: "/rest/webhooks/1.0/webhook",
        answer: webhooks::list,
    },
    Route {
        method: "POST",
        template: "/rest/webhooks/1.0/webhook",
        answer: webhooks::create,
    },
    Route {
        method: "GET",
        template: "/rest/webhooks/1.0/webhook/{id}",
        answer: webhooks::get,
    },
    Route {
        method: "DELETE",
        template: "/rest/webhooks/1.0/webhook/{id}",
        answer: webhooks::delete,
    },
];

/// An error as Jira writes it.
pub(crate) fn error(status: u16, messages: &[impl AsRef<str>]) -> Reply {
    let messages: Vec<&str> = messages.iter().map(AsRef::as_ref).collect();
    Reply::json(status, &json!({"errorMessages": messages, "errors": Map::new()}))
}

/// The one 404 for issues: gone, never there, or not to be seen.
pub(crate) fn no_issue() -> Reply {
    error(
        404,
        &["Issue does not exist or you do not have permission to see it."],
    )
}

/// Finds the issue the path names first, if the service user may see it.
pub(crate) fn named_issue<'a>(call: &'a Call<'_>) -> Result<&'a Issue, Reply> {
    let issue = call.site.find_issue(call.param(0)).ok_or_else(no_issue)?;
    if call.site.may(Permission::Browse, issue.id) {
        Ok(issue)
    } else {
        Err(no_issue())
    }
}

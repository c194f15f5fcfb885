//! Tempo's REST API, version 4, as far as time logging goes.

mod attributes;
mod audit;
mod bulk;
mod check;
mod configuration;
mod listing;
mod mapper;
pub(crate) mod oauth;
mod page;
mod subscriptions;
mod worklogs;

use serde_json::{Value, json};

use crate::http::Reply;
use crate::route::Route;
use crate::rules::Scope;

/// The endpoints; where two fit, the one with fewer parameters stands first.
pub(crate) const ROUTES: &[Route] = &[
    Route {
        method: "GET",
        template: "/4/worklogs",
        answer: listing::all,
    },
    Route {
        method: "POST",
        template: "/4/worklogs",
        answer: worklogs::create,
    },
    Route {
        method: "POST",
        template: "/4/worklogs/search",
        answer: listing::search,
    },
    Route {
        method: "POST",
        template: "/4/worklogs/jira-to-tempo",
        answer: mapper::jira_to_tempo,
    },
    Route {
        method: "POST",
        template: "/4/worklogs/tempo-to-jira",
        answer: mapper::tempo_to_jira,
    },
    Route {
        method: "POST",
        template: "/4/worklogs/work-attribute-values",
        answer: attributes::add_values,
    },
    Route {
        method: "POST",
        template: "/4/worklogs/work-attribute-values/search",
        answer: attributes::search_values,
    },
    Route {
        method: "GET",
        template: "/4/worklogs/issue/{issueId}",
        answer: listing::of_issue,
    },
    Route {
        method: "POST",
        template: "/4/worklogs/issue/{issueId}/bulk",
        answer: bulk::create,
    },
    Route {
        method: "GET",
        template: "/4/worklogs/project/{projectId}",
        answer: listing::of_project,
    },
    Route {
        method: "GET",
        template: "/4/worklogs/user/{accountId}",
        answer: listing::of_user,
    },
    Route {
        method: "GET",
        template: "/4/worklogs/{id}",
        answer: worklogs::get,
    },
    Route {
        method: "PUT",
        template: "/4/worklogs/{id}",
        answer: worklogs::update,
    },
    Route {
        method: "DELETE",
        template: "/4/worklogs/{id}",
        answer: worklogs::delete,
    },
    Route {
        method: "GET",
        template: "/4/worklogs/{id}/work-attribute-values",
        answer: attributes::values,
    },
    Route {
        method: "GET",
        template: "/4/worklogs/{id}/work-attribute-values/{key}",
        answer: attributes::value,
    },
    Route {
        method: "GET",
        template: "/4/work-attributes",
        answer: attributes::definitions,
    },
    Route {
        method: "GET",
        template: "/4/work-attributes/{key}",
        answer: attributes::definition,
    },
    Route {
        method: "GET",
        template: "/4/globalconfiguration",
        answer: configuration::global,
    },
    Route {
        method: "GET",
        template: "/4/periods",
        answer: configuration::periods,
    },
    Route {
        method: "GET",
        template: "/4/timesheet-approvals/user/{accountId}",
        answer: configuration::approval,
    },
    Route {
        method: "GET",
        template: "/4/webhooks/subscriptions",
        answer: subscriptions::list,
    },
    Route {
        method: "POST",
        template: "/4/webhooks/subscriptions",
        answer: subscriptions::create,
    },
    Route {
        method: "GET",
        template: "/4/webhooks/subscriptions/{id}",
        answer: subscriptions::get,
    },
    Route {
        method: "DELETE",
        template: "/4/webhooks/subscriptions/{id}",
        answer: subscriptions::delete,
    },
    Route {
        method: "PATCH",
        template: "/4/webhooks/subscriptions/{id}/refresh",
        answer: subscriptions::refresh,
    },
    Route {
        method: "POST",
        template: "/4/papertrail/search",
        answer: audit::search,
    },
    Route {
        method: "GET",
        template: "/papertrail/1/events/deleted/types/worklog",
        answer: audit::deleted,
    },
    Route {
        method: "POST",
        template: oauth::TEMPLATE,
        answer: oauth::token,
    },
];

/// Returns the scopes of which a token needs one for a request.
pub(crate) fn scopes(method: &str, template: &str) -> &'static [Scope] {
    if template.contains("webhooks") {
        &[Scope::WebhooksManage]
    } else if template.contains("papertrail") {
        &[Scope::AuditView]
    } else if template.contains("periods") {
        &[Scope::PeriodsView]
    } else if template.contains("approvals") {
        &[Scope::ApprovalsView]
    } else if template.contains("globalconfiguration") {
        &[Scope::ConfigurationView, Scope::WorklogsManage]
    } else if method == "GET" || template.ends_with("search") || template.contains("-to-") {
        // Reading by POST needs no more than reading.
        &[Scope::WorklogsView, Scope::WorklogsManage]
    } else {
        &[Scope::WorklogsManage]
    }
}

/// An error as Tempo is seen to write it: a list, even of one message.
pub(crate) fn error(status: u16, messages: &[impl AsRef<str>]) -> Reply {
    let errors: Vec<Value> = messages.iter().map(|m| json!({"message": m.as_ref()})).collect();
    Reply::json(status, &json!({"errors": errors}))
}

/// The 404 of a single thing.
pub(crate) fn not_found(what: &str) -> Reply {
    error(404, &[format!("{what} not found")])
}

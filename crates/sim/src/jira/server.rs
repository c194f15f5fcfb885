//! What a Jira says about itself.

use serde_json::json;

use crate::http::Reply;
use crate::route::{Answer, Call};
use crate::time::jira_time;

/// Answers anybody, without credentials.
pub(super) fn info(call: &mut Call<'_>) -> Answer {
    let site = &call.site;
    Ok(Reply::ok(&json!({
        "baseUrl": site.jira_base,
        "displayUrl": site.jira_base,
        "version": "1001.0.0-SNAPSHOT",
        "versionNumbers": [1001, 0, 0],
        "deploymentType": "Cloud",
        "buildNumber": 100_287,
        "buildDate": "2026-11-01T00:00:00.000+0000",
        "serverTime": jira_time(call.now, &site.zone),
        "serverTimeZone": site.spec.time_zone,
        "scmInfo": "1f51473f5c7b75c1a69a0090f4832cdc5053702a",
        "serverTitle": "Jira",
    })))
}

pub(super) fn configuration(_call: &mut Call<'_>) -> Answer {
    Ok(Reply::ok(&json!({
        "votingEnabled": true,
        "watchingEnabled": true,
        "unassignedIssuesAllowed": true,
        "subTasksEnabled": true,
        "issueLinkingEnabled": true,
        "timeTrackingEnabled": true,
        "attachmentsEnabled": true,
        "timeTrackingConfiguration": {
            "workingHoursPerDay": 8.0,
            "workingDaysPerWeek": 5.0,
            "timeFormat": "pretty",
            "defaultUnit": "minute",
        },
    })))
}

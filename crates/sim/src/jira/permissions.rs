//! What the service user may do.

use serde_json::{Map, Value, json};

use super::{error, no_issue};
use crate::http::Reply;
use crate::route::{Answer, Call};
use crate::rules::Permission;
use crate::site::{Project, Site};

/// A permission Jira knows, and how the simulator decides it.
struct Known {
    key: &'static str,
    name: &'static str,
    id: &'static str,
    decided: Decided,
}

enum Decided {
    Project(Permission),
    Admin,
    Browser,
    Always,
}

const KNOWN: &[Known] = &[
    Known {
        key: "ADMINISTER",
        name: "Administer Jira",
        id: "0",
        decided: Decided::Admin,
    },
    Known {
        key: "SYSTEM_ADMIN",
        name: "System Administrator",
        id: "44",
        decided: Decided::Admin,
    },
    Known {
        key: "USER_PICKER",
        name: "Browse users and groups",
        id: "27",
        decided: Decided::Browser,
    },
    Known {
        key: "BULK_CHANGE",
        name: "Make bulk changes",
        id: "33",
        decided: Decided::Always,
    },
    Known {
        key: "ADMINISTER_PROJECTS",
        name: "Administer Projects",
        id: "23",
        decided: Decided::Admin,
    },
    Known {
        key: "BROWSE_PROJECTS",
        name: "Browse Projects",
        id: "10",
        decided: Decided::Project(Permission::Browse),
    },
    Known {
        key: "WORK_ON_ISSUES",
        name: "Work On Issues",
        id: "20",
        decided: Decided::Project(Permission::WorkOnIssues),
    },
    Known {
        key: "EDIT_ISSUES",
        name: "Edit Issues",
        id: "12",
        decided: Decided::Project(Permission::EditIssues),
    },
    Known {
        key: "LINK_ISSUES",
        name: "Link Issues",
        id: "21",
        decided: Decided::Project(Permission::LinkIssues),
    },
    Known {
        key: "EDIT_OWN_WORKLOGS",
        name: "Edit Own Worklogs",
        id: "40",
        decided: Decided::Project(Permission::EditOwn),
    },
    Known {
        key: "EDIT_ALL_WORKLOGS",
        name: "Edit All Worklogs",
        id: "41",
        decided: Decided::Project(Permission::EditAll),
    },
    Known {
        key: "DELETE_OWN_WORKLOGS",
        name: "Delete Own Worklogs",
        id: "42",
        decided: Decided::Project(Permission::DeleteOwn),
    },
    Known {
        key: "DELETE_ALL_WORKLOGS",
        name: "Delete All Worklogs",
        id: "43",
        decided: Decided::Project(Permission::DeleteAll),
    },
    // Tempo adds its own to Jira's; these keys are seen in the code of other apps, not documented.
    Known {
        key: "io.tempo.jira__view-all-worklogs",
        name: "View All Worklogs",
        id: "-1",
        decided: Decided::Project(Permission::ViewAll),
    },
    Known {
        key: "io.tempo.jira__log-work-for-others",
        name: "Log Work for Others",
        id: "-1",
        decided: Decided::Project(Permission::LogForOthers),
    },
    Known {
        key: "io.tempo.jira__set-billable-hours",
        name: "Set Billable Hours",
        id: "-1",
        decided: Decided::Project(Permission::SetBillable),
    },
];

impl Known {
    fn find(key: &str) -> Option<&'static Self> {
        KNOWN.iter().find(|known| known.key == key)
    }

    fn is_global(&self) -> bool {
        matches!(
            self.key,
            "ADMINISTER" | "SYSTEM_ADMIN" | "USER_PICKER" | "BULK_CHANGE"
        )
    }

    /// Without a project a project permission is had when it is had anywhere, as in Jira.
    fn had(&self, site: &Site, project: Option<&Project>) -> bool {
        match self.decided {
            Decided::Admin => site.spec.service.admin,
            Decided::Browser => site.spec.service.browse_users,
            Decided::Always => true,
            Decided::Project(permission) => match project {
                Some(project) => project.permissions.contains(&permission),
                None => site
                    .projects
                    .values()
                    .any(|project| project.permissions.contains(&permission)),
            },
        }
    }
}

/// Lists every permission there is, without saying who has it.
pub(super) fn all(_call: &mut Call<'_>) -> Answer {
    let permissions: Map<String, Value> = KNOWN
        .iter()
        .map(|known| {
            let kind = if known.is_global() { "GLOBAL" } else { "PROJECT" };
            let shown = json!({
                "key": known.key, "name": known.name, "description": known.name, "type": kind,
            });
            (known.key.to_owned(), shown)
        })
        .collect();
    Ok(Reply::ok(&json!({"permissions": permissions})))
}

pub(super) fn mine(call: &mut Call<'_>) -> Answer {
    let Some(keys) = call.request.one("permissions").filter(|keys| !keys.is_empty()) else {
        return Err(error(400, &["The 'permissions' query parameter is required."]));
    };
    let site = &*call.site;
    let by_project = call.request.one("projectKey").or(call.request.one("projectId"));
    let by_issue = call.request.one("issueKey").or(call.request.one("issueId"));
    let seen = |project: &&Project| project.permissions.contains(&Permission::Browse);
    let project = match (by_project, by_issue) {
        (Some(text), _) => {
            let found = site
                .projects
                .values()
                .find(|p| p.key == text || p.id.to_string() == text);
            Some(
                found
                    .filter(seen)
                    .ok_or_else(|| error(404, &[format!("No project could be found with key '{text}'.")]))?,
            )
        }
        (None, Some(text)) => {
            let issue = site.find_issue(text).ok_or_else(no_issue)?;
            Some(site.project_of(issue.id).filter(seen).ok_or_else(no_issue)?)
        }
        (None, None) => None,
    };
    let mut permissions = Map::new();
    let mut unknown = Vec::new();
    for key in keys.split(',').map(str::trim) {
        let Some(known) = Known::find(key) else {
            unknown.push(key);
            continue;
        };
        permissions.insert(
            key.to_owned(),
            json!({
                "id": known.id, "key": key, "name": known.name, "description": known.name,
                "type": if known.is_global() { "GLOBAL" } else { "PROJECT" },
                "havePermission": known.had(site, project),
            }),
        );
    }
    if !unknown.is_empty() {
        return Err(error(
            400,
            &[format!("Unrecognized permission keys: {}", unknown.join(", "))],
        ));
    }
    Ok(Reply::ok(&json!({"permissions": permissions})))
}

pub(super) fn check(call: &mut Call<'_>) -> Answer {
    let body = call.request.json().unwrap_or_default();
    let site = &*call.site;
    let strings = |value: &Value, name: &str| -> Vec<String> {
        let list = value.get(name).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let ids = |value: &Value, name: &str| -> Vec<u64> {
        value
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_u64)
            .collect()
    };
    if body
        .get("accountId")
        .and_then(Value::as_str)
        .is_some_and(|id| id != site.service())
        && !site.spec.service.admin
    {
        return Err(error(
            403,
            &["You are not authorized to check other users' permissions"],
        ));
    }
    let wanted = strings(&body, "globalPermissions");
    let unknown = |keys: &[String]| keys.iter().find(|key| Known::find(key).is_none()).cloned();
    if let Some(key) = unknown(&wanted) {
        return Err(error(400, &[format!("Unrecognized permission: {key}")]));
    }
    let global: Vec<&String> = wanted
        .iter()
        .filter(|key| Known::find(key).is_some_and(|known| known.had(site, None)))
        .collect();
    let mut grants = Vec::new();
    for entry in body
        .get("projectPermissions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let keys = strings(entry, "permissions");
        if let Some(key) = unknown(&keys) {
            return Err(error(400, &[format!("Unrecognized permission: {key}")]));
        }
        for key in keys {
            let had = |project: Option<&Project>| {
                project.is_some_and(|p| Known::find(&key).is_some_and(|known| known.had(site, Some(p))))
            };
            let mut issues = ids(entry, "issues");
            issues.retain(|id| had(site.project_of(*id)));
            let mut projects = ids(entry, "projects");
            projects.retain(|id| had(site.projects.get(id)));
            grants.push(json!({"permission": key, "issues": issues, "projects": projects}));
        }
    }
    Ok(Reply::ok(
        &json!({"globalPermissions": global, "projectPermissions": grants}),
    ))
}

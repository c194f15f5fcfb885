//! What the service user may do, project by project.

use std::collections::BTreeMap;

use tandem_core::SiteName;
use tandem_engine::ports::site::{SiteClient, Vendor};

use super::links::Linked;
use super::look::{Finding, Look, Trouble};

/// What is needed of Jira, with the name that people see.
const JIRA: [(&str, &str); 4] = [
    ("BROWSE_PROJECTS", "Browse Projects"),
    ("WORK_ON_ISSUES", "Work On Issues"),
    ("EDIT_ALL_WORKLOGS", "Edit All Worklogs"),
    ("DELETE_ALL_WORKLOGS", "Delete All Worklogs"),
];

/// What is needed of Tempo: how the key ends that Tempo registers with Jira, and the name that people see. The keys
/// are nowhere documented, so they are looked for among those that the site has.
const TEMPO: [(&str, &str); 3] = [
    ("view-all-worklogs", "View All Worklogs"),
    ("log-work-for-others", "Log Work for Others"),
    ("set-billable-hours", "Set Billable Hours"),
];

/// Projects per site that are looked at: a request each.
const PROJECTS_MAX: usize = 50;

const CHECK: &str = "permissions";

pub(super) async fn look(look: &Look<'_>, site: &SiteName, linked: &Linked<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut wanted: BTreeMap<String, &str> = JIRA
        .into_iter()
        .map(|(key, name)| (key.to_owned(), name))
        .collect();
    let known = look
        .ask(site, Vendor::Jira, async |client| {
            client.jira_permission_keys().await
        })
        .await;
    match known {
        Ok(keys) => {
            let (found, unknown) = of_tempo(&keys);
            wanted.extend(found);
            if !unknown.is_empty() {
                findings.push(Finding::unknown(
                    "tempo-permissions",
                    site,
                    format!("Jira does not name Tempo's permission {}", unknown.join(", ")),
                    "look in each project's permission scheme whether the service user has them",
                ));
            }
        }
        Err(trouble) => findings.push(Finding::trouble(
            "tempo-permissions",
            site,
            &trouble,
            "look in each project's permission scheme whether the service user has View All Worklogs, Log Work for Others and Set Billable Hours",
        )),
    }
    let projects = linked.projects(site);
    if projects.is_empty() {
        findings.push(held(look, site, None, &wanted).await);
    }
    for project in projects.keys().take(PROJECTS_MAX) {
        findings.push(held(look, site, Some(project), &wanted).await);
    }
    if let Some(rest) = projects.len().checked_sub(PROJECTS_MAX).filter(|rest| *rest > 0) {
        findings.push(Finding::unknown(
            CHECK,
            site,
            format!("{rest} more projects were not looked at"),
            "look at their permission schemes by hand; those with the same scheme as another are the same",
        ));
    }
    findings
}

/// Finds Tempo's permissions among the site's, and says which are not there.
fn of_tempo(keys: &[String]) -> (Vec<(String, &'static str)>, Vec<&'static str>) {
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    for (end, name) in TEMPO {
        let key = keys.iter().find(|key| {
            let key = key.to_lowercase().replace('_', "-");
            key.contains("tempo") && key.ends_with(end)
        });
        match key {
            Some(key) => found.push((key.clone(), name)),
            None => unknown.push(name),
        }
    }
    (found, unknown)
}

async fn held(
    look: &Look<'_>,
    site: &SiteName,
    project: Option<&str>,
    wanted: &BTreeMap<String, &str>,
) -> Finding {
    let keys: Vec<&str> = wanted.keys().map(String::as_str).collect();
    let place = project.map_or_else(
        || "any project".to_owned(),
        |project| format!("project {project}"),
    );
    let answer = look
        .ask(site, Vendor::Jira, async |client| {
            client.permissions(&keys, project).await
        })
        .await;
    let lacking: Vec<&str> = match answer {
        Ok(held) => wanted
            .iter()
            .filter(|(key, _)| held.get(*key) != Some(&true))
            .map(|(_, name)| *name)
            .collect(),
        // A project that cannot be seen is one that is not there.
        Err(Trouble::Refused(_)) if project.is_some() => vec!["Browse Projects"],
        Err(trouble) => {
            return Finding::trouble(CHECK, site, &trouble, "look at the project's permission scheme");
        }
    };
    if lacking.is_empty() {
        return Finding::ok(
            CHECK,
            site,
            format!("the service user may do all it needs in {place}"),
        );
    }
    Finding::fail(
        CHECK,
        site,
        format!("the service user lacks {} in {place}", lacking.join(", ")),
        "give it these in the project's permission scheme; for Tempo's own it can take an hour until they count",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tempos_permissions_are_found_by_how_their_keys_end() {
        let keys = [
            "ADMINISTER",
            "io.tempo.jira__view-all-worklogs",
            "is.origo.TEMPO__LOG_WORK_FOR_OTHERS",
            "com.other.app__set-billable-hours",
        ];
        let (found, unknown) = of_tempo(&keys.map(str::to_owned));
        let names: Vec<_> = found.iter().map(|(_, name)| *name).collect();
        assert_eq!(names, ["View All Worklogs", "Log Work for Others"]);
        assert_eq!(unknown, ["Set Billable Hours"]);
    }
}

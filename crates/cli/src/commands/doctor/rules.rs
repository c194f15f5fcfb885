//! Attributes and site-wide rules that will refuse writes.

use std::collections::BTreeMap;

use serde_json::Value;
use tandem_core::{Side, Sides, SiteName};
use tandem_engine::Connection;
use tandem_engine::ports::site::{AttributeDefinition, SiteClient, Vendor};

use super::look::{Finding, Look, Trouble};

/// Attribute definitions that are read at most.
const DEFINITIONS_MAX: usize = 10_000;

type Asked<T> = BTreeMap<SiteName, Result<T, Trouble>>;

pub(super) async fn look(look: &Look<'_>) -> Vec<Finding> {
    let mut attributes: Asked<Vec<AttributeDefinition>> = BTreeMap::new();
    let mut rules: Asked<Value> = BTreeMap::new();
    let mut findings = Vec::new();
    for connection in &look.connections {
        for side in Side::BOTH {
            let site = &connection.sites[side];
            if !attributes.contains_key(site) {
                attributes.insert(site.clone(), definitions(look, site).await);
                let known = look
                    .ask(site, Vendor::Tempo, async |client| {
                        client.global_configuration().await
                    })
                    .await;
                rules.insert(site.clone(), known);
            }
        }
        for side in Side::BOTH {
            let (site, other) = (&connection.sites[side], &connection.sites[side.other()]);
            if !look.sites.contains(site) {
                continue;
            }
            let of = match (&attributes[site], &attributes[other]) {
                (Ok(here), Ok(there)) => attributes_of(connection, side, here, there),
                (Err(trouble), _) | (_, Err(trouble)) => vec![Finding::trouble(
                    "attributes",
                    site,
                    trouble,
                    "compare Tempo's work attributes with [connections.attributes]",
                )],
            };
            findings.extend(of.into_iter().map(|finding| finding.of(connection)));
            let of = match (&rules[site], &rules[other]) {
                (Ok(here), Ok(there)) => refusals(connection, side, here, there),
                (Err(trouble), _) | (_, Err(trouble)) => vec![Finding::trouble(
                    "rules",
                    site,
                    trouble,
                    "compare Tempo's global configuration on both sites",
                )],
            };
            findings.extend(of.into_iter().map(|finding| finding.of(connection)));
        }
    }
    findings
}

/// Asks a site for its work attributes, all pages.
async fn definitions(look: &Look<'_>, site: &SiteName) -> Result<Vec<AttributeDefinition>, Trouble> {
    let mut known = Vec::new();
    let mut offset = 0;
    loop {
        let page = look
            .ask(site, Vendor::Tempo, async |client| {
                client.attributes(offset).await
            })
            .await?;
        known.extend(page.rows);
        match page.next {
            Some(next) if next > offset && known.len() < DEFINITIONS_MAX => offset = next,
            _ => return Ok(known),
        }
    }
}

/// What a side demands of a worklog, and what is mapped to it.
fn attributes_of(
    connection: &Connection,
    side: Side,
    here: &[AttributeDefinition],
    there: &[AttributeDefinition],
) -> Vec<Finding> {
    const CHECK: &str = "attributes";
    let site = &connection.sites[side];
    let rules = &connection.settings.rules;
    let mut findings = Vec::new();
    let is_there = |key: &str| here.iter().any(|one| one.key == key);
    let keys = || {
        let mut keys: Vec<&str> = here.iter().map(|one| one.key.as_str()).collect();
        keys.sort_unstable();
        match keys.is_empty() {
            true => "the site has none".to_owned(),
            false => format!("there are: {}", keys.join(", ")),
        }
    };
    for one in here.iter().filter(|one| one.required) {
        let default = rules.defaults[side].contains_key(&one.key);
        let mapped = rules.attributes.iter().find(|rule| rule.keys[side] == one.key);
        let given = mapped.is_some_and(|rule| {
            let source = there.iter().find(|other| other.key == rule.keys[side.other()]);
            source.is_some_and(|source| source.required)
        });
        let name = format!("{} ({})", one.key, one.name);
        let fix = format!(
            "give it a value for that case: [connections.attributes] default = {{ {side} = {{ \"{}\" = \"…\" }} }}",
            one.key
        );
        if default || given {
            continue;
        }
        findings.push(if mapped.is_some() {
            Finding::warn(
                CHECK,
                site,
                format!("{name} is required, and what it is mapped from may be empty: such a worklog waits as attribute-required"),
                fix,
            )
        } else {
            Finding::fail(
                CHECK,
                site,
                format!("{name} is required and not mapped: every new worklog waits as attribute-required"),
                format!("map it in [connections.attributes], or {fix}"),
            )
        });
    }
    for rule in rules.attributes.iter().filter(|rule| !is_there(&rule.keys[side])) {
        findings.push(Finding::fail(
            CHECK,
            site,
            format!(
                "{} is mapped, but the site has no such attribute",
                rule.keys[side]
            ),
            format!("correct the key in [connections.attributes] map; {}", keys()),
        ));
    }
    for key in rules.defaults[side].keys().filter(|key| !is_there(key)) {
        findings.push(Finding::fail(
            CHECK,
            site,
            format!("{key} has a default, but the site has no such attribute"),
            format!("correct the key in [connections.attributes] default; {}", keys()),
        ));
    }
    findings.extend(values(connection, side, here));
    if findings.is_empty() {
        findings.push(Finding::ok(
            CHECK,
            site,
            "what is required is given, and what is mapped is there",
        ));
    }
    findings
}

/// Values of static lists that are written in the configuration but are none of the list's.
fn values(connection: &Connection, side: Side, here: &[AttributeDefinition]) -> Vec<Finding> {
    let rules = &connection.settings.rules;
    let of_map = rules.attributes.iter().flat_map(|rule| {
        let values = rule.values.iter();
        values.map(move |(a, b)| (&rule.keys[side], if side == Side::A { a } else { b }))
    });
    let of_defaults = rules.defaults[side].iter();
    let mut findings = Vec::new();
    for (key, value) in of_map.chain(of_defaults) {
        let Some(one) = here.iter().find(|one| one.key == *key && !one.names.is_empty()) else {
            continue;
        };
        let known = one
            .names
            .iter()
            .any(|(stored, name)| stored == value || name == value);
        if !known {
            let names: Vec<&str> = one.names.values().map(String::as_str).collect();
            findings.push(Finding::fail(
                "attributes",
                &connection.sites[side],
                format!("`{value}` is no value of {key}"),
                format!(
                    "correct it in [connections.attributes]; there are: {}",
                    names.join(", ")
                ),
            ));
        }
    }
    findings
}

/// Rules of a side that refuse what the other side allows.
fn refusals(connection: &Connection, side: Side, here: &Value, there: &Value) -> Vec<Finding> {
    const CHECK: &str = "rules";
    let site = &connection.sites[side];
    let other = &connection.sites[side.other()];
    let number = |rules: &Value, name: &str| rules.get(name).and_then(Value::as_i64);
    let flag = |rules: &Value, name: &str| rules.get(name).and_then(Value::as_bool);
    let both = |name: &str| Sides::new(flag(here, name), flag(there, name));
    let mut findings = Vec::new();
    let mut warn = |what: String, fix: &str| findings.push(Finding::warn(CHECK, site, what, fix));
    let day = |hours: Option<i64>| hours.unwrap_or(24);
    let hours = number(here, "maxHoursPerDayPerUser");
    let theirs = number(there, "maxHoursPerDayPerUser");
    if day(hours) < day(theirs) {
        warn(
            format!(
                "refuses more than {} hours a day for one person, where {other} allows {}: such a worklog waits as rejected",
                day(hours),
                day(theirs)
            ),
            "set Tempo's most hours per day the same on both sites",
        );
    }
    let ahead = number(here, "numberOfDaysAllowedIntoFuture");
    let theirs = number(there, "numberOfDaysAllowedIntoFuture");
    if let Some(ahead) = ahead
        && theirs.is_none_or(|theirs| ahead < theirs)
    {
        let theirs = theirs.map_or_else(|| "any number".to_owned(), |theirs| theirs.to_string());
        warn(
            format!(
                "takes time at most {ahead} days ahead, where {other} takes {theirs}: what is further ahead waits as rejected"
            ),
            "set the days into the future the same in Tempo's configuration on both sites",
        );
    }
    if both("worklogDescriptionOptional") == Sides::new(Some(false), Some(true)) {
        warn(
            format!("demands a description, where {other} does not: a worklog without one waits as rejected"),
            "make the description optional here, or required on both sites, in Tempo's configuration",
        );
    }
    if both("startAndEndTimesEnabled") == Sides::new(Some(false), Some(true)) {
        warn(
            format!("shows no start times, where {other} does: the time of day may be lost here"),
            "enable start and end times in Tempo's configuration",
        );
    }
    let accounts = connection
        .settings
        .rules
        .attributes
        .iter()
        .any(|rule| rule.keys[side] == "_Account_");
    if accounts && both("allowLoggingOnClosedAccount") == Sides::new(Some(false), Some(true)) {
        warn(
            format!("takes no time on closed accounts, where {other} does: such a worklog waits as rejected"),
            "allow logging on closed accounts here, or on neither site",
        );
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            CHECK,
            site,
            format!("refuses nothing that {other} allows"),
        ));
    }
    findings
}

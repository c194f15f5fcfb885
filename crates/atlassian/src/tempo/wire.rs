//! Tempo's answers, read into the engine's words.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tandem_core::worklog::same_text;
use tandem_core::{AccountId, Content, IssueId, JiraWorklogId, Worklog, WorklogId};
use tandem_engine::ports::site::{AttributeDefinition, BadRow, FeedPage, FeedRow, Page, SiteRules};
use url::Url;

use crate::answer::{Misread, json};
use crate::redact::excerpt;
use crate::{instant, lenient};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WorklogWire {
    #[serde(deserialize_with = "lenient::number")]
    tempo_worklog_id: u64,
    #[serde(default)]
    issue: Option<IssueWire>,
    #[serde(deserialize_with = "lenient::number")]
    time_spent_seconds: u64,
    #[serde(default, deserialize_with = "lenient::opt_number")]
    billable_seconds: Option<u64>,
    #[serde(deserialize_with = "lenient::date")]
    start_date: Date,
    #[serde(default, deserialize_with = "lenient::opt_time")]
    start_time: Option<Time>,
    #[serde(default)]
    description: Option<String>,
    #[serde(deserialize_with = "lenient::instant")]
    created_at: Timestamp,
    #[serde(deserialize_with = "lenient::instant")]
    updated_at: Timestamp,
    author: AuthorWire,
    #[serde(default)]
    attributes: Option<AttributesWire>,
}

#[derive(Deserialize)]
struct IssueWire {
    #[serde(default, deserialize_with = "lenient::opt_number")]
    id: Option<u64>,
    #[serde(default, rename = "self")]
    address: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorWire {
    account_id: String,
}

#[derive(Default, Deserialize)]
struct AttributesWire {
    #[serde(default)]
    values: Option<Vec<AttributeValueWire>>,
}

#[derive(Deserialize)]
struct AttributeValueWire {
    key: String,
    #[serde(default)]
    value: Value,
}

impl WorklogWire {
    fn issue(&self) -> Option<IssueId> {
        let issue = self.issue.as_ref()?;
        // The schema lets `id` be absent; the address then still ends in it.
        let from_address = || issue.address.as_deref()?.rsplit('/').next()?.parse().ok();
        issue.id.or_else(from_address).map(IssueId)
    }

    /// Takes what is left out from what was sent.
    fn filled(mut self, sent: &Content) -> Self {
        self.description.get_or_insert_with(|| sent.description.clone());
        let attributes = self.attributes.get_or_insert_with(AttributesWire::default);
        attributes.values.get_or_insert_with(|| {
            let values = sent.attributes.iter();
            values
                .map(|(key, value)| AttributeValueWire {
                    key: key.clone(),
                    value: Value::String(value.clone()),
                })
                .collect()
        });
        self
    }

    fn into_worklog(self, issue: IssueId) -> Worklog {
        let attributes: BTreeMap<_, _> = self
            .attributes
            .into_iter()
            .flat_map(|attributes| attributes.values.unwrap_or_default())
            .filter_map(|attribute| Some((attribute.key, lenient::scalar_text(&attribute.value)?)))
            .collect();
        Worklog {
            id: WorklogId(self.tempo_worklog_id),
            issue,
            content: Content {
                author: AccountId::new(self.author.account_id),
                start_date: self.start_date,
                start_time: self.start_time,
                time_spent_secs: self.time_spent_seconds,
                billable_secs: self.billable_seconds,
                description: self.description.unwrap_or_default(),
                attributes,
            },
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

/// Reads one worklog.
pub fn worklog(body: &[u8]) -> Result<Worklog, Misread> {
    whole(json(body)?)
}

/// Reads the answer to a write. Text and attributes may be left out of it, which says nothing against what was sent.
pub fn written(body: &[u8], sent: &Content) -> Result<Worklog, Misread> {
    whole(json::<WorklogWire>(body)?.filled(sent))
}

fn whole(wire: WorklogWire) -> Result<Worklog, Misread> {
    let issue = wire
        .issue()
        .ok_or_else(|| Misread::new("the worklog names no issue"))?;
    Ok(wire.into_worklog(issue))
}

/// Reads the answer to a bulk create, one worklog for each content, in the order of `contents`.
///
/// That Tempo keeps the order is not documented, so rows are put to their contents by what they say.
pub fn bulk(body: &[u8], issue: IssueId, contents: &[Content]) -> Result<Vec<Worklog>, Misread> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Bulk {
        Array(Vec<WorklogWire>),
        Wrapped { results: Vec<WorklogWire> },
    }
    let (Bulk::Array(rows) | Bulk::Wrapped { results: rows }) = json(body)?;
    if rows.len() != contents.len() {
        return Err(Misread::new(format!(
            "{} worklogs for {} asked for",
            rows.len(),
            contents.len()
        )));
    }
    let mut rows: Vec<Option<WorklogWire>> = rows.into_iter().map(Some).collect();
    let mut found: Vec<Option<WorklogWire>> = Vec::with_capacity(contents.len());
    for (at, content) in contents.iter().enumerate() {
        // The same place first: the usual case, and the right one among equals.
        let place = std::iter::once(at).chain(0..rows.len()).find(|&place| {
            rows[place]
                .as_ref()
                .is_some_and(|row| says_the_same(row, content))
        });
        found.push(place.and_then(|place| rows[place].take()));
    }
    // A site may have rewritten a text; what is left over goes by order.
    let mut left = rows.into_iter().flatten();
    found
        .into_iter()
        .zip(contents)
        .map(|(row, content)| {
            let row = row
                .or_else(|| left.next())
                .ok_or_else(|| Misread::new("a worklog is missing"))?;
            let issue = row.issue().unwrap_or(issue);
            Ok(row.filled(content).into_worklog(issue))
        })
        .collect()
}

fn says_the_same(shown: &WorklogWire, sent: &Content) -> bool {
    let text = shown.description.as_deref();
    shown.author.account_id == sent.author.as_str()
        && shown.start_date == sent.start_date
        && (sent.start_time.is_none() || shown.start_time == sent.start_time)
        && shown.time_spent_seconds == sent.time_spent_secs
        && same_text(text.unwrap_or_default(), &sent.description)
}

#[derive(Deserialize)]
struct PageWire<T> {
    #[serde(default)]
    metadata: MetadataWire,
    results: Vec<T>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MetadataWire {
    #[serde(deserialize_with = "lenient::opt_number")]
    count: Option<u64>,
    next: Option<String>,
}

impl MetadataWire {
    /// Returns the offset of the next page. The address in `next` is read, never followed: the token would go wherever it
    /// points. From another host's address, such as that of a gateway in front, not even the offset is taken.
    fn next_offset(&self, base: &Url, offset: u64, rows: usize) -> Result<Option<u64>, Misread> {
        let Some(next) = self.next.as_deref().filter(|next| !next.is_empty() && rows > 0) else {
            return Ok(None);
        };
        let next = base
            .join(next)
            .map_err(|_| Misread::new("metadata.next is not an address"))?;
        let told = next
            .query_pairs()
            .find(|(name, _)| name == "offset" && same_service(&next, base))
            .and_then(|(_, value)| value.parse().ok());
        let counted = || offset + self.count.filter(|&count| count > 0).unwrap_or(rows as u64);
        match told.unwrap_or_else(counted) {
            next if next > offset => Ok(Some(next)),
            _ => Err(Misread::new("metadata.next does not go on")),
        }
    }
}

/// The same host, or another of Tempo's own: a regional gateway may name the global one.
fn same_service(next: &Url, base: &Url) -> bool {
    let is_tempo = |url: &Url| url.host_str().is_some_and(|host| host.ends_with(".tempo.io"));
    (next.host_str() == base.host_str() && next.port_or_known_default() == base.port_or_known_default())
        || (is_tempo(next) && is_tempo(base))
}

/// A row of a page, whether it parses or not.
enum RowWire {
    Whole(Worklog),
    /// It names no issue.
    Homeless(Box<(WorklogWire, BadRow)>),
    Bad(BadRow),
}

impl<'de> Deserialize<'de> for RowWire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Any JSON is read, and at once made into what is kept of it: a page as JSON is many times as large.
        let value = Value::deserialize(deserializer)?;
        let bad = |misread: Misread| BadRow {
            id: lenient::scalar_number(&value["tempoWorklogId"]).map(WorklogId),
            issue: lenient::scalar_number(&value["issue"]["id"]).map(IssueId),
            text: format!("{}: {}", misread.0, excerpt(value.to_string().as_bytes(), None)),
        };
        Ok(match WorklogWire::deserialize(&value) {
            Ok(row) => match row.issue() {
                Some(issue) => Self::Whole(row.into_worklog(issue)),
                None => Self::Homeless(Box::new((row, bad(Misread::new("the worklog names no issue"))))),
            },
            Err(error) => Self::Bad(bad(Misread::from(error))),
        })
    }
}

/// Reads a page of worklogs asked for at `offset`. Rows that name no issue belong to `issue`.
///
/// A row that does not parse, or names no issue where `issue` is not known either, is put aside in `bad`: one
/// odd worklog must not hide the others.
pub fn page(body: &[u8], base: &Url, offset: u64, issue: Option<IssueId>) -> Result<Page<Worklog>, Misread> {
    let wire: PageWire<RowWire> = json(body)?;
    let next = wire.metadata.next_offset(base, offset, wire.results.len())?;
    let mut page = Page {
        rows: Vec::with_capacity(wire.results.len()),
        next,
        bad: Vec::new(),
    };
    for row in wire.results {
        match (row, issue) {
            (RowWire::Whole(row), _) => page.rows.push(row),
            (RowWire::Homeless(homeless), Some(issue)) => page.rows.push(homeless.0.into_worklog(issue)),
            (RowWire::Homeless(homeless), None) => page.bad.push(homeless.1),
            (RowWire::Bad(bad), _) => page.bad.push(bad),
        }
    }
    Ok(page)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MappingWire {
    #[serde(deserialize_with = "lenient::number")]
    tempo_worklog_id: u64,
    #[serde(deserialize_with = "lenient::number")]
    jira_worklog_id: u64,
}

/// Reads an id mapper's answer, and whether there are more: unknown ids are left out, but a page may be cut short too.
pub fn id_pairs(body: &[u8], asked: usize) -> Result<(Vec<(WorklogId, JiraWorklogId)>, bool), Misread> {
    let wire: PageWire<MappingWire> = json(body)?;
    let cut = wire.metadata.next.is_some() && wire.results.len() < asked && !wire.results.is_empty();
    let pair = |row: &MappingWire| {
        (
            WorklogId(row.tempo_worklog_id),
            JiraWorklogId(row.jira_worklog_id),
        )
    };
    Ok((wire.results.iter().map(pair).collect(), cut))
}

#[derive(Deserialize)]
struct PapertrailWire {
    #[serde(default)]
    metadata: PapertrailMetadataWire,
    results: Vec<PapertrailRowWire>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PapertrailMetadataWire {
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct PapertrailRowWire {
    #[serde(deserialize_with = "lenient::or_default")]
    action: String,
    #[serde(deserialize_with = "lenient::or_default")]
    entity_type: String,
    entity_id: Value,
    #[serde(deserialize_with = "lenient::or_default")]
    timestamp: String,
}

/// Reads a page of the audit trail. Rows that are not the deletion of a worklog are ignored: were the filter
/// not honoured, an edit would otherwise pass for a delete. A page may be empty and still not be the last.
pub fn papertrail(body: &[u8], cursor: Option<&str>) -> Result<FeedPage<WorklogId, String>, Misread> {
    let wire: PapertrailWire = json(body)?;
    let mut rows = Vec::with_capacity(wire.results.len());
    for row in &wire.results {
        if !row.action.eq_ignore_ascii_case("deleted") || !row.entity_type.eq_ignore_ascii_case("worklog") {
            continue;
        }
        let Some(id) = lenient::scalar_number(&row.entity_id) else {
            continue;
        };
        // A delete counts, whenever it was.
        let at = instant::parse_instant(&row.timestamp).unwrap_or(Timestamp::MAX);
        rows.push(FeedRow {
            id: WorklogId(id),
            at,
        });
    }
    let next = wire.metadata.next_page_token.filter(|token| !token.is_empty());
    if next.is_some() && next.as_deref() == cursor {
        return Err(Misread::new("metadata.nextPageToken does not go on"));
    }
    Ok(FeedPage {
        rows,
        next,
        until: None,
    })
}

#[derive(Deserialize)]
struct AttributeWire {
    key: String,
    #[serde(default, deserialize_with = "lenient::or_default")]
    name: String,
    #[serde(default, rename = "type", deserialize_with = "lenient::or_default")]
    kind: String,
    #[serde(default, deserialize_with = "lenient::or_default")]
    required: bool,
    #[serde(default, deserialize_with = "lenient::or_default")]
    names: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    values: Vec<String>,
}

/// Reads a page of the work attributes. A listed value without a shown name is its own name.
pub fn attributes(body: &[u8], base: &Url, offset: u64) -> Result<Page<AttributeDefinition>, Misread> {
    let wire: PageWire<AttributeWire> = json(body)?;
    let next = wire.metadata.next_offset(base, offset, wire.results.len())?;
    let definition = |row: AttributeWire| {
        let mut names: BTreeMap<_, _> = row
            .values
            .into_iter()
            .map(|value| (value.clone(), value))
            .collect();
        names.extend(row.names);
        AttributeDefinition {
            key: row.key,
            name: row.name,
            kind: row.kind,
            required: row.required,
            names,
        }
    };
    Ok(Page {
        rows: wire.results.into_iter().map(definition).collect(),
        next,
        bad: Vec::new(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RulesWire {
    #[serde(default)]
    remaining_estimate_optional: Option<bool>,
    #[serde(default)]
    start_and_end_times_enabled: Option<bool>,
    #[serde(default, deserialize_with = "lenient::opt_number")]
    max_hours_per_day_per_user: Option<u64>,
    #[serde(default, deserialize_with = "lenient::opt_number")]
    number_of_days_allowed_into_future: Option<u64>,
}

/// Reads the site's rules. What is not told counts as not restricting.
pub fn rules(body: &[u8]) -> Result<SiteRules, Misread> {
    let wire: RulesWire = json(body)?;
    Ok(SiteRules {
        remaining_estimate_optional: wire.remaining_estimate_optional.unwrap_or(true),
        start_and_end_times: wire.start_and_end_times_enabled.unwrap_or(true),
        max_hours_per_day: wire.max_hours_per_day_per_user,
        days_into_future: wire.number_of_days_allowed_into_future,
    })
}

/// Reads attribute values by worklog, as `POST /4/worklogs/work-attribute-values/search` gives them.
pub fn attribute_values(body: &[u8]) -> Result<HashMap<WorklogId, BTreeMap<String, String>>, Misread> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Row {
        #[serde(deserialize_with = "lenient::number")]
        tempo_worklog_id: u64,
        #[serde(default, deserialize_with = "lenient::or_default")]
        work_attribute_values: Vec<AttributeValueWire>,
    }
    let rows: Vec<Row> = json(body)?;
    let values = |row: Row| {
        row.work_attribute_values
            .into_iter()
            .filter_map(|value| Some((value.key, lenient::scalar_text(&value.value)?)))
            .collect()
    };
    Ok(rows
        .into_iter()
        .map(|row| (WorklogId(row.tempo_worklog_id), values(row)))
        .collect())
}

//! Issues and links.
//!
//! A link is a row of its own and an attribute in the rows of both its issues, written in one transaction, so
//! that an issue can't get two twins in a connection.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use jiff::Timestamp;
use tandem_core::{ConnectionName, IssueId, LinkKey, Side, Sides, SiteName};
use tandem_engine::ports::StoreError;
use tandem_engine::ports::store::{DueKey, IssueRow, LinkRow, Linked};

use super::DynamoStore;
use super::keys::{self, Key};
use super::read::{Page, Range};
use super::row::{self, Item, number, text, time};
use super::write::{Transacted, Write};

/// Links that are read at once: a full page of DynamoDB's, of a megabyte, takes twenty in memory.
const PAGE_LINKS: usize = 500;

impl DynamoStore {
    pub(super) async fn issue_rows(
        &self,
        issues: &[(SiteName, IssueId)],
    ) -> Result<Vec<IssueRow>, StoreError> {
        let keys = issues.iter().map(|(site, issue)| Key::issue(site, *issue));
        self.get_all(keys).await?.iter().map(issue_row).collect()
    }

    pub(super) async fn issue_put_unlinked(
        &self,
        site: &SiteName,
        issue: IssueId,
        key: Option<&str>,
        connection: &ConnectionName,
        look_again: Timestamp,
    ) -> Result<(), StoreError> {
        // A link that somebody made meanwhile is the better knowledge.
        let write = issue_update(site, issue, key)
            .when("attribute_not_exists(#link)")
            .set("#look = :look")
            .named("#link", keys::link_attribute(connection))
            .named("#look", keys::look_again_attribute(connection))
            .value(":look", time(look_again));
        self.send("remember an issue", write, ReturnValue::None).await?;
        Ok(())
    }

    pub(super) async fn link_put(
        &self,
        link: &LinkRow,
        sites: &Sides<SiteName>,
    ) -> Result<Linked, StoreError> {
        if sites.a == sites.b && link.key.a == link.key.b {
            return Err(StoreError::Corrupt(format!(
                "the link {} would tie an issue to itself",
                link.key
            )));
        }
        let item = row::with_body(&Key::link(&link.key), link)?;
        let mut writes = vec![Write::put(item)?.when("attribute_not_exists(#pk)")];
        let this = keys::issues(&link.key);
        for side in Side::BOTH {
            let key = match side {
                Side::A => link.a_key.as_deref(),
                Side::B => link.b_key.as_deref(),
            };
            let write = issue_update(&sites[side], link.key.issue(side), key)
                .when("attribute_not_exists(#link) OR #link = :this")
                .set("#link = :this")
                .remove(&["#look"])
                .named("#link", keys::link_attribute(&link.key.connection))
                .named("#look", keys::look_again_attribute(&link.key.connection))
                .value(":this", text(this.clone()));
            writes.push(write);
        }
        writes.push(counted(&link.key.connection, 1));
        let refused = match self.transact(writes).await? {
            Transacted::Done => return Ok(Linked::New),
            Transacted::Refused(refused) => refused,
        };
        for (side, refused) in Side::BOTH.into_iter().zip(refused.iter().skip(1)) {
            let Some(Some(item)) = refused else { continue };
            let existing = issue_row(item)?.links.remove(&link.key.connection);
            if let Some(existing) = existing {
                return Ok(Linked::Refused { side, existing });
            }
        }
        Ok(Linked::Already)
    }

    pub(super) async fn link_note(&self, link: &LinkRow) -> Result<(), StoreError> {
        let item = row::with_body(&Key::link(&link.key), link)?;
        let write = Write::put(item)?.when("attribute_exists(#pk)");
        self.send("note what is known of a link", write, ReturnValue::None)
            .await?;
        Ok(())
    }

    pub(super) async fn link_drop(&self, key: &LinkKey, sites: &Sides<SiteName>) -> Result<bool, StoreError> {
        let mut sides = vec![Side::A, Side::B];
        loop {
            let mut writes = vec![
                Write::delete(Key::link(key)).when("attribute_exists(#pk)"),
                Write::delete(Key::due(&DueKey::Link(key.clone()))),
            ];
            for side in &sides {
                writes.push(
                    Write::update(Key::issue(&sites[*side], key.issue(*side)))
                        .when("#link = :this")
                        .remove(&["#link"])
                        .named("#link", keys::link_attribute(&key.connection))
                        .value(":this", text(keys::issues(key))),
                );
            }
            writes.push(counted(&key.connection, -1));
            let refused = match self.transact(writes).await? {
                Transacted::Done => return Ok(true),
                Transacted::Refused(refused) => refused,
            };
            if refused.first().is_none_or(Option::is_some) {
                return Ok(false);
            }
            // An issue that says something else keeps it; each round leaves out one more, so this ends.
            let mut holds = refused.iter().skip(2).map(Option::is_none);
            sides.retain(|_| holds.next().unwrap_or(false));
        }
    }

    pub(super) async fn link_get(&self, key: &LinkKey) -> Result<Option<LinkRow>, StoreError> {
        self.get(&Key::link(key))
            .await?
            .as_ref()
            .map(link_row)
            .transpose()
    }

    pub(super) async fn links_page(
        &self,
        connection: &ConnectionName,
        cursor: Option<String>,
    ) -> Result<Page<LinkRow>, StoreError> {
        let range = Range::table(keys::links(connection)).page_size(PAGE_LINKS);
        let (items, next) = self.page(&range, cursor).await?;
        Ok((items.iter().map(link_row).collect::<Result<_, _>>()?, next))
    }

    /// Returns how many links a connection has, from the row that counts them.
    ///
    /// `since` in it says how many came and went since links are counted, `before` how many there were by then. As long as
    /// nobody found that out, the links themselves are counted, and it is noted unless one came or went meanwhile.
    pub(super) async fn links_count(&self, connection: &ConnectionName) -> Result<u64, StoreError> {
        let key = Key::link_count(connection);
        let row = self.get(&key).await?.unwrap_or_default();
        let since: Option<i64> = row::optional_number(&row, "since")?;
        if let Some(before) = row::optional_number::<i64>(&row, "before")? {
            let count = before.saturating_add(since.unwrap_or_default());
            return u64::try_from(count)
                .map_err(|_| StoreError::Corrupt(format!("the row {key} counts {count} links")));
        }
        let count = self
            .count(&Range::table(keys::links(connection)), usize::MAX)
            .await? as u64;
        let write = Write::update(key);
        let write = match since {
            Some(since) => write.when("#since = :since").value(":since", number(since)),
            None => write.when("attribute_not_exists(#since)"),
        };
        let before = i64::try_from(count).unwrap_or(i64::MAX) - since.unwrap_or_default();
        let write = write.set("#before = :before").value(":before", number(before));
        self.send("note how many links there are", write, ReturnValue::None)
            .await?;
        Ok(count)
    }
}

/// Counts a link that comes or goes, with the write that makes or removes it.
fn counted(connection: &ConnectionName, change: i64) -> Write {
    Write::update(Key::link_count(connection))
        .set("#since = if_not_exists(#since, :zero) + :change")
        .value(":zero", number(0))
        .value(":change", number(change))
}

/// Begins an update of an issue's row, with its key if that is known.
fn issue_update(site: &SiteName, issue: IssueId, key: Option<&str>) -> Write {
    let write = Write::update(Key::issue(site, issue))
        .set("#site = :site, #issue = :issue")
        .value(":site", text(site.as_str()))
        .value(":issue", number(issue));
    match key {
        Some(key) => write.set("#key = :key").value(":key", text(key)),
        None => write,
    }
}

/// Reads an issue's row.
pub(super) fn issue_row(item: &Item) -> Result<IssueRow, StoreError> {
    let mut links = BTreeMap::new();
    let mut look_again = BTreeMap::new();
    for (attribute, value) in item {
        if let Some(connection) = attribute.strip_prefix("link#") {
            let connection = ConnectionName::new(connection);
            let link =
                link_key(&connection, value).ok_or_else(|| row::corrupt(item, attribute, "is no link"))?;
            links.insert(connection, link);
        } else if let Some(connection) = attribute.strip_prefix("look#") {
            look_again.insert(
                ConnectionName::new(connection),
                row::required_time(item, attribute)?,
            );
        }
    }
    let issue =
        row::optional_number(item, "issue")?.ok_or_else(|| row::corrupt(item, "issue", "is missing"))?;
    Ok(IssueRow {
        site: SiteName::new(row::required(item, "site")?),
        issue: IssueId(issue),
        key: row::optional(item, "key")?.map(str::to_owned),
        links,
        look_again,
    })
}

fn link_key(connection: &ConnectionName, value: &AttributeValue) -> Option<LinkKey> {
    let (a, b) = value.as_s().ok()?.split_once('~')?;
    Some(LinkKey {
        connection: connection.clone(),
        a: a.parse().ok()?,
        b: b.parse().ok()?,
    })
}

fn link_row(item: &Item) -> Result<LinkRow, StoreError> {
    row::body(item)
}

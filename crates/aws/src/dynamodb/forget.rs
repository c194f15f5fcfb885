//! Finding a person's data in the table, and taking it out. What is kept of a row is [`tandem_engine::forget`]'s to say.
//!
//! Rows have no index by person, so the whole table is read, a page at a time. What tells which pairs are the person's
//! goes last: a call that is broken off leaves the rest findable, and the next one takes it up.
//!
//! 1. Every row once. People, echoes, due rows and earlier configurations are settled at once; pairs and lines of the
//!    history that name the person say which pairs are theirs.
//! 2. Lines of those pairs that don't name them: a fallback author's text has their name in front.
//! 3. Lines that do.
//! 4. Pairs that nothing is done about any more.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use tandem_core::{AccountId, ConnectionName, LinkKey, Pair, PairId, PairState};
use tandem_engine::forget;
use tandem_engine::ports::StoreError;
use tandem_engine::ports::store::{Committed, ConfigVersion, Echo, HistoryRow, Op, PersonRow};

use super::DynamoStore;
use super::due::{announcements, due_row};
use super::failure::failure;
use super::keys::{self, Key};
use super::patience::Patience;
use super::read::Range;
use super::row::{self, BODY, Item, text};
use super::schema::TABLE;
use super::write::{Sent, Write};

/// Rows that are read at once.
const PAGE_ROWS: usize = 500;

/// Lines of the history that are written at once.
const LINES_AT_ONCE: usize = 25;

/// What to do with what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forget {
    /// Count it.
    Look,
    /// Take it out.
    Now,
}

/// What was found of a person, in rows; with [`Forget::Now`], what was taken out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Rows that were read.
    pub read: u64,
    /// Look-ups of who they are on another site: removed.
    pub people: u64,
    /// Notes of writes on their behalf: removed.
    pub echoes: u64,
    /// Waiting looks with an announced change or a sentence about them: these are taken out. So are changes of which nobody
    /// said whose they are, in other looks too; looks with these alone do not count.
    pub due: u64,
    /// Lines of the history: account, texts, times of day and attributes are taken out.
    pub history: u64,
    /// Pairs that are not kept the same any more: what both sides said last is taken out.
    pub pairs: u64,
    /// Earlier published configurations: the account is replaced.
    pub configs: u64,
    /// Pairs that are alive, and stay as they are.
    pub kept_pairs: u64,
    /// The newest configuration, where it names them; it stays as it is.
    pub kept_config: Option<u64>,
    /// Rows that changed while they were looked at, and were left.
    pub left: u64,
    /// Rows of kinds that are not known to hold people, by kind; they stay as they are.
    pub others: BTreeMap<String, u64>,
    /// Other accounts that a look-up took for the same person.
    pub also: BTreeSet<AccountId>,
}

/// Pairs that are the person's; with their link where their own row says so.
type Theirs = BTreeMap<(ConnectionName, PairId), Option<LinkKey>>;

struct Search<'a> {
    store: &'a DynamoStore,
    account: &'a AccountId,
    forget: Forget,
    newest: Option<u64>,
    found: Found,
    theirs: Theirs,
}

impl DynamoStore {
    /// Looks for what the table holds of a person, and takes it out. Safe to break off and to repeat.
    ///
    /// `progress` is told how many rows were read so far.
    ///
    /// # Errors
    /// When the table fails; what was done until then is done.
    pub async fn forget(
        &self,
        account: &AccountId,
        forget: Forget,
        mut progress: impl FnMut(u64) + Send,
    ) -> Result<Found, StoreError> {
        let mut search = Search {
            store: self,
            account,
            forget,
            newest: self.config_list(1).await?.first().map(|newest| newest.number),
            found: Found::default(),
            theirs: Theirs::new(),
        };
        let mut start = None;
        loop {
            let (items, next) = self.scan(start).await?;
            for item in &items {
                search.found.read += 1;
                search.row(item).await?;
            }
            progress(search.found.read);
            start = next;
            if start.is_none() {
                break;
            }
        }
        search.history(Naming::Others).await?;
        search.history(Naming::Them).await?;
        search.pairs().await?;
        Ok(search.found)
    }

    async fn scan(&self, start: Option<Item>) -> Result<(Vec<Item>, Option<Item>), StoreError> {
        let answer = self
            .client
            .scan()
            .table_name(&self.table)
            .consistent_read(true)
            .limit(i32::try_from(PAGE_ROWS).unwrap_or(i32::MAX))
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|error| failure("read the table", error))?;
        let next = answer.last_evaluated_key.filter(|key| !key.is_empty());
        Ok((answer.items.unwrap_or_default(), next))
    }
}

/// Which lines of the person's pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    Them,
    Others,
}

impl Search<'_> {
    fn is_for_real(&self) -> bool {
        self.forget == Forget::Now
    }

    fn names(&self, value: &AttributeValue) -> bool {
        names(value, self.account)
    }

    /// Settles a row that names the person, or remembers that it does.
    async fn row(&mut self, item: &Item) -> Result<(), StoreError> {
        let key = row::key(item)?;
        let kind = key.pk.split('#').next().unwrap_or_default().to_owned();
        if !item.values().any(|value| self.names(value)) {
            let nobodys = kind == "DUE" && self.is_for_real() && self.has_nobodys(item);
            if nobodys && !self.clear(&key, item).await? {
                self.found.left += 1;
            }
            return Ok(());
        }
        let settled = match kind.as_str() {
            "PERSON" => self.person(&key, item).await?,
            "ECHO" => self.echo(&key, item).await?,
            "DUE" => self.due(&key, item).await?,
            "CONFIG" => self.config(&key, item).await?,
            "HISTORY" => self.note_line(item),
            "PAIRS" => self.note_pair(item),
            _ => None,
        };
        if settled.is_none() {
            *self.found.others.entry(kind).or_default() += 1;
        }
        Ok(())
    }

    async fn person(&mut self, key: &Key, item: &Item) -> Result<Option<()>, StoreError> {
        let Ok(person) = row::body::<PersonRow>(item) else {
            return Ok(None);
        };
        let of_both = [Some(person.account), person.other];
        if !of_both.contains(&Some(self.account.clone())) {
            return Ok(None);
        }
        let others = of_both.into_iter().flatten().filter(|one| one != self.account);
        self.found.also.extend(others);
        self.found.people += 1;
        self.remove(key).await
    }

    async fn echo(&mut self, key: &Key, item: &Item) -> Result<Option<()>, StoreError> {
        let Ok(echo) = row::body::<Echo>(item) else {
            return Ok(None);
        };
        self.found.echoes += 1;
        if echo.worklog.is_none() {
            // A create that may still be under way: without its mark, another connection would take what it makes for
            // somebody's own. The mark is a digest; who it was goes.
            if self.is_for_real() {
                let nobodys = Echo { author: None, ..echo };
                let item = row::with_body(key, &nobodys)?;
                let write = Write::put(row::expiring(item, nobodys.expires))?;
                self.store
                    .send("forget whose a write was", write, ReturnValue::None)
                    .await?;
            }
            return Ok(Some(()));
        }
        // Without it the webhook of our own write costs a look.
        self.remove(key).await
    }

    async fn remove(&self, key: &Key) -> Result<Option<()>, StoreError> {
        if self.is_for_real() {
            let write = Write::delete(key.clone());
            self.store.send("forget a row", write, ReturnValue::None).await?;
        }
        Ok(Some(()))
    }

    async fn due(&mut self, key: &Key, item: &Item) -> Result<Option<()>, StoreError> {
        if due_row(item).is_err() {
            return Ok(None);
        }
        self.found.due += 1;
        if self.is_for_real() && !self.clear(key, item).await? {
            self.found.due -= 1;
            self.found.left += 1;
        }
        Ok(Some(()))
    }

    /// Says whether a due row holds announced changes of which nobody said whose they are.
    fn has_nobodys(&self, item: &Item) -> bool {
        due_row(item).is_ok_and(|row| {
            let others = forget::announced(&row.announced, self.account);
            others.len() < row.announced.len()
        })
    }

    /// Takes the person out of a due row; `false` where others kept changing it.
    async fn clear(&self, key: &Key, item: &Item) -> Result<bool, StoreError> {
        let mut item = item.clone();
        let mut patience = Patience::new();
        loop {
            let write = due_without(key, &item, self.account)?;
            match self
                .store
                .send("forget in a due row", write, ReturnValue::None)
                .await?
            {
                Sent::Refused(Some(now)) => item = now,
                Sent::Done(_) | Sent::Refused(None) => return Ok(true),
            }
            if patience.spend("a due row kept changing").is_err() {
                return Ok(false);
            }
        }
    }

    async fn config(&mut self, key: &Key, item: &Item) -> Result<Option<()>, StoreError> {
        let Ok(mut version) = row::body::<ConfigVersion>(item) else {
            return Ok(None);
        };
        if Some(version.number) == self.newest {
            self.found.kept_config = Some(version.number);
            return Ok(Some(()));
        }
        self.found.configs += 1;
        if self.is_for_real() {
            // Two people in one table of accounts must not become one.
            let nobody = format!("{}-{:08x}", forget::FORGOTTEN, rand::random::<u32>());
            version.text = forget::replaced(&version.text, self.account, &nobody);
            // Nobody else ever writes a version anew.
            let write = Write::put(row::with_body(key, &version)?)?;
            self.store
                .send("forget in a configuration", write, ReturnValue::None)
                .await?;
        }
        Ok(Some(()))
    }

    fn note_line(&mut self, item: &Item) -> Option<()> {
        let line: HistoryRow = row::body(item).ok()?;
        self.theirs.entry((line.connection, line.pair)).or_default();
        Some(())
    }

    fn note_pair(&mut self, item: &Item) -> Option<()> {
        let pair: Pair = row::body(item).ok()?;
        self.theirs
            .insert((pair.link.connection.clone(), pair.id), Some(pair.link));
        Some(())
    }

    async fn history(&mut self, naming: Naming) -> Result<(), StoreError> {
        let connections: BTreeSet<ConnectionName> = self
            .theirs
            .keys()
            .map(|(connection, _)| connection.clone())
            .collect();
        for connection in connections {
            let range = Range::table(keys::history(&connection)).page_size(PAGE_ROWS);
            let mut cursor = None;
            loop {
                let (items, next) = self.store.page(&range, cursor).await?;
                self.lines(&items, naming).await?;
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn lines(&mut self, items: &[Item], naming: Naming) -> Result<(), StoreError> {
        let mut ops = Vec::new();
        for item in items {
            let names_them = item.values().any(|value| self.names(value));
            if names_them != (naming == Naming::Them) {
                continue;
            }
            // One that is not readable was counted by its kind when all rows were read.
            let Ok(mut line) = row::body::<HistoryRow>(item) else {
                continue;
            };
            let theirs = self
                .theirs
                .contains_key(&(line.connection.clone(), line.pair.clone()));
            if !theirs || (!names_them && forget::is_line_forgotten(&line)) {
                continue;
            }
            self.found.history += 1;
            forget::line(&mut line, self.account);
            ops.push(Op::PutHistory(Box::new(line)));
        }
        if self.is_for_real() {
            for ops in ops.chunks(LINES_AT_ONCE) {
                self.store.commit_all(ops).await?;
            }
        }
        Ok(())
    }

    async fn pairs(&mut self) -> Result<(), StoreError> {
        let mut linked: BTreeMap<LinkKey, bool> = BTreeMap::new();
        let theirs: Vec<(LinkKey, PairId)> = std::mem::take(&mut self.theirs)
            .into_iter()
            .filter_map(|((_, id), link)| Some((link?, id)))
            .collect();
        for (link, id) in theirs {
            let is_linked = match linked.get(&link) {
                Some(known) => *known,
                None => {
                    let known = self.store.link_get(&link).await?.is_some();
                    linked.insert(link.clone(), known);
                    known
                }
            };
            self.pair(&link, &id, is_linked).await?;
        }
        Ok(())
    }

    async fn pair(&mut self, link: &LinkKey, id: &PairId, is_linked: bool) -> Result<(), StoreError> {
        let mut patience = Patience::new();
        loop {
            let Some(mut pair) = self.store.pair_get(link, id).await? else {
                // It moved to another link meanwhile; the next call finds it there.
                self.found.left += 1;
                return Ok(());
            };
            if pair.state == PairState::Live && is_linked {
                self.found.kept_pairs += 1;
                return Ok(());
            }
            if !self.is_for_real() {
                self.found.pairs += 1;
                return Ok(());
            }
            forget::pair(&mut pair);
            pair.rev += 1;
            if self.store.commit_all(&[Op::PutPair(Box::new(pair))]).await? == Committed::Yes {
                self.found.pairs += 1;
                return Ok(());
            }
            if patience.spend("a pair kept changing").is_err() {
                self.found.left += 1;
                return Ok(());
            }
        }
    }
}

/// Says whether a value of a row names the person.
fn names(value: &AttributeValue, account: &AccountId) -> bool {
    match value {
        AttributeValue::S(text) => forget::mentions(text, account),
        AttributeValue::L(values) => values.iter().any(|value| names(value, account)),
        _ => false,
    }
}

/// Takes the person out of a due row, unless a hint, a take or the end of a look comes in between.
fn due_without(key: &Key, item: &Item, account: &AccountId) -> Result<Write, StoreError> {
    let row = due_row(item)?;
    let announced = forget::announced(&row.announced, account);
    let mut conditions = Vec::new();
    let mut write = Write::update(key.clone())
        // As when a row is shortened: a run under way has read it all, and the next one takes both parts.
        .set("#taken_announced = :announced")
        .remove(&["#announced"])
        .value(":announced", announcements(key, &announced)?);
    // What a site said of somebody else's time stays in the queue.
    let is_theirs = item.values().any(|value| names(value, account));
    if let Some(detail) = row.detail.as_ref().filter(|_| is_theirs) {
        write = write
            .set("#detail = :detail")
            .value(":detail", text(forget::detail(detail, account)));
    }
    for attribute in ["generation", "lease_until", "gsk"] {
        match item.get(attribute) {
            Some(value) => {
                conditions.push(format!("#{attribute} = :was_{attribute}"));
                write = write.value(&format!(":was_{attribute}"), value.clone());
            }
            None => conditions.push(format!("attribute_not_exists(#{attribute})")),
        }
    }
    debug_assert!(item.contains_key(TABLE.partition_key) && item.contains_key(BODY));
    Ok(write.when(conditions.join(" AND ")))
}

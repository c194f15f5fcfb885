//! Writing several rows or none.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::ReturnValue;
use jiff::{SignedDuration, Timestamp};
use tandem_core::{LinkKey, Pair, PairId};
use tandem_engine::ports::StoreError;
use tandem_engine::ports::store::{Committed, Op};

use super::DynamoStore;
use super::keys::{self, IndexKey, Key};
use super::read::{Page, Range};
use super::row::{self, Item, number, text, time};
use super::schema::TABLE;
use super::write::{Sent, Transacted, WRITES_MAX, Write};

/// For how long a proof of a delete is kept: as long as the longest history.
const EVIDENCE_KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);

impl DynamoStore {
    pub(super) async fn commit_all(&self, ops: &[Op]) -> Result<Committed, StoreError> {
        let mut writes = writes(ops)?;
        if writes.len() > WRITES_MAX {
            return Err(StoreError::Corrupt(format!(
                "a commit of {} rows ({} operations): at most {WRITES_MAX} are possible",
                writes.len(),
                ops.len()
            )));
        }
        // Half the price of a transaction. A lone delete isn't sent this way: when its answer is lost, nothing
        // is left that could tell whose delete it was.
        if writes.len() == 1 && writes[0].is_put() {
            let write = writes.remove(0).marked();
            return Ok(match self.send("write a row", write, ReturnValue::None).await? {
                Sent::Done(_) => Committed::Yes,
                Sent::Refused(_) => Committed::Lost,
            });
        }
        Ok(match self.transact(writes).await? {
            Transacted::Done => Committed::Yes,
            Transacted::Refused(_) => Committed::Lost,
        })
    }

    pub(super) async fn pairs_of(&self, link: &LinkKey) -> Result<Vec<Pair>, StoreError> {
        self.all(&Range::table(keys::pairs(link)))
            .await?
            .iter()
            .map(row::body)
            .collect()
    }

    pub(super) async fn pair_get(&self, link: &LinkKey, id: &PairId) -> Result<Option<Pair>, StoreError> {
        self.get(&Key::pair(link, id))
            .await?
            .as_ref()
            .map(row::body)
            .transpose()
    }

    pub(super) async fn pairs_waiting(
        &self,
        connection: &tandem_core::ConnectionName,
        cursor: Option<String>,
    ) -> Result<Page<Pair>, StoreError> {
        let (items, next) = self
            .page(&Range::index(keys::waiting(connection)), cursor)
            .await?;
        Ok((items.iter().map(row::body).collect::<Result<_, _>>()?, next))
    }
}

/// For how long the row of a hold is kept after its end.
const HOLD_KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Turns operations into writes, one per row: a transaction may touch each row once.
pub(super) fn writes(ops: &[Op]) -> Result<Vec<Write>, StoreError> {
    let mut writes: Vec<Write> = Vec::with_capacity(ops.len());
    let mut by_key: BTreeMap<Key, (usize, bool)> = BTreeMap::new();
    for op in ops {
        let conditional = is_conditional(op);
        for write in op_writes(op)? {
            let key = write.key().clone();
            match by_key.get(&key) {
                None => {
                    by_key.insert(key, (writes.len(), conditional));
                    writes.push(write);
                }
                // Without conditions the last one simply stands, as if they had come one after the other.
                Some((at, false)) if !conditional => writes[*at] = write,
                Some(_) => {
                    return Err(StoreError::Corrupt(format!(
                        "two operations of one commit write the row {key}"
                    )));
                }
            }
        }
    }
    Ok(writes)
}

fn is_conditional(op: &Op) -> bool {
    match op {
        Op::Fence { .. }
        | Op::Hold { .. }
        | Op::Held { .. }
        | Op::PutPair(_)
        | Op::DropPair { .. }
        | Op::PutWhere(_)
        | Op::TakeWhere { .. }
        | Op::PutClaim { .. }
        | Op::DropClaim { .. } => true,
        Op::PutOrigin { .. }
        | Op::PutEvidence(_)
        | Op::PutEcho(_)
        | Op::PutHistory(_)
        | Op::PutLearn { .. }
        | Op::PutJiraId { .. } => false,
    }
}

fn op_writes(op: &Op) -> Result<Vec<Write>, StoreError> {
    let write = match op {
        Op::Fence { key, owner } => Write::check(Key::due(key))
            .when("#owner = :owner")
            .value(":owner", text(owner)),
        Op::Hold {
            site,
            issue,
            link,
            now,
            until,
        } => Write::update(Key::hold(site, *issue))
            .when(
                "attribute_not_exists(#pk) OR #link = :link \
                 OR (#until <= :now AND (attribute_not_exists(#busy_until) OR #busy_until <= :now))",
            )
            .set("#link = :link, #until = :until, #expires = :expires")
            .value(":link", text(link.to_string()))
            .value(":now", time(*now))
            .value(":until", time(*until))
            .value(":expires", number(after(*until, HOLD_KEPT).as_second())),
        Op::Held {
            site,
            issue,
            link,
            busy_until,
        } => Write::update(Key::hold(site, *issue))
            .when("#link = :link")
            .set("#busy_until = :busy_until")
            .value(":link", text(link.to_string()))
            .value(":busy_until", time(busy_until.unwrap_or(Timestamp::UNIX_EPOCH))),
        Op::PutPair(pair) => put_pair(pair)?,
        Op::DropPair { link, id, rev } => Write::delete(Key::pair(link, id))
            .when("#rev = :rev")
            .value(":rev", number(rev)),
        Op::PutWhere(whereabouts) => {
            let key = Key::whereabouts(&whereabouts.connection, &whereabouts.site, whereabouts.worklog);
            let mut item = row::with_body(&key, whereabouts)?;
            if whereabouts.rival {
                // It is nobody's yet, and whoever turns out to have it takes the row.
                Write::put(item)?.when("attribute_not_exists(#pair)")
            } else {
                item.insert("pair".to_owned(), text(whereabouts.pair.as_str()));
                Write::put(item)?
                    .when("attribute_not_exists(#pair) OR #pair = :pair")
                    .value(":pair", text(whereabouts.pair.as_str()))
            }
        }
        Op::TakeWhere { whereabouts, from } => {
            let key = Key::whereabouts(&whereabouts.connection, &whereabouts.site, whereabouts.worklog);
            let mut item = row::with_body(&key, whereabouts)?;
            item.insert("pair".to_owned(), text(whereabouts.pair.as_str()));
            Write::put(item)?
                .when("#pair = :from")
                .value(":from", text(from.as_str()))
        }
        Op::PutOrigin {
            site,
            worklog,
            origin,
        } => Write::put(row::with_body(&Key::origin(site, *worklog), origin)?)?,
        Op::PutClaim {
            root,
            site,
            claim,
            instead_of,
        } => {
            let key = Key::claim(root, site);
            let mut item = row::with_body(&key, claim)?;
            item.insert("connection".to_owned(), text(claim.connection.as_str()));
            let connection = text(claim.connection.as_str());
            let put = Write::put(item)?.value(":connection", connection);
            match instead_of {
                None => put.when("attribute_not_exists(#pk) OR #connection = :connection"),
                Some(old) => put
                    .when("attribute_not_exists(#pk) OR #connection = :connection OR #body = :body")
                    .value(":body", row::body_of(&key, old)?),
            }
        }
        Op::DropClaim {
            root,
            site,
            connection,
        } => Write::delete(Key::claim(root, site))
            .when("#connection = :connection")
            .value(":connection", text(connection.as_str())),
        Op::PutEvidence(evidence) => {
            let item = row::with_body(&Key::evidence(&evidence.site, &evidence.id), evidence)?;
            Write::put(row::expiring(item, after(evidence.at, EVIDENCE_KEPT)))?
        }
        Op::PutEcho(echo) => {
            let item = row::with_body(&Key::echo(&echo.site, &echo.mark), echo)?;
            Write::put(row::expiring(item, echo.expires))?
        }
        Op::PutHistory(line) => {
            let item = row::with_body(&Key::history(&line.connection, &line.id), line)?;
            let item = match &line.link {
                Some(link) => row::indexed(item, IndexKey::link_history(link, &line.id)),
                None => item,
            };
            Write::put(row::expiring(item, line.expires))?
        }
        Op::PutLearn {
            site,
            worklog,
            at,
            anew,
        } => {
            let index = IndexKey::learn(site, *worklog, *at);
            let gone: &[&str] = if *anew { &["#jira"] } else { &[] };
            // An update: the Jira id stays if it is known by now.
            Write::update(Key::tempo(site, *worklog))
                .remove(gone)
                .set("#worklog = :worklog, #asked_at = :at, #gpk = :gpk, #gsk = :gsk")
                .value(":worklog", number(worklog))
                .value(":at", time(*at))
                .value(":gpk", text(index.gpk))
                .value(":gsk", text(index.gsk))
        }
        Op::PutJiraId { site, jira, worklog } => {
            let numbers = |mut item: Item| {
                item.insert("jira".to_owned(), number(jira));
                item.insert("worklog".to_owned(), number(worklog));
                Write::put(item)
            };
            let by_jira = numbers(row::bare(&Key::jira(site, *jira)))?;
            // Replaces the request to learn it, and with it the place in the index.
            let by_tempo = numbers(row::bare(&Key::tempo(site, *worklog)))?;
            return Ok(vec![by_jira, by_tempo]);
        }
    };
    Ok(vec![write])
}

fn put_pair(pair: &Pair) -> Result<Write, StoreError> {
    let key = Key::pair(&pair.link, &pair.id);
    let mut item = row::with_body(&key, pair)?;
    item.insert("rev".to_owned(), number(pair.rev));
    if let Some(index) = IndexKey::waiting(pair) {
        item = row::indexed(item, index);
    }
    let write = Write::put(item)?;
    match pair.rev {
        0 => Err(StoreError::Corrupt(format!(
            "{key} would be written with rev 0; the first is 1"
        ))),
        1 => Ok(write.when(format!("attribute_not_exists(#{})", TABLE.partition_key))),
        rev => Ok(write.when("#rev = :rev").value(":rev", number(rev - 1))),
    }
}

/// Adds a duration; the end of time when that is too far.
pub(super) fn after(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

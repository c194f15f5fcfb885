//! Sites: the token bucket and how a site fares.

use std::sync::PoisonError;
use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use jiff::Timestamp;
use tandem_core::SiteName;
use tandem_engine::ports::StoreError;
use tandem_engine::ports::store::{Committed, SiteState, Slot};

use super::DynamoStore;
use super::keys::Key;
use super::patience::Patience;
use super::row::{self, Item, number};
use super::write::{Sent, Write};

/// The attribute that says from when on the next slot is free, in nanoseconds since 1970: exact, so that slots
/// don't drift from what was asked.
const FREE_AT: &str = "free_at";

/// One of the two ways to a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Behind the slots given out already.
    Queue,
    /// Now, since none is ahead.
    Now,
}

impl DynamoStore {
    pub(super) async fn slot(
        &self,
        site: &SiteName,
        now: Timestamp,
        interval: Duration,
        patience: Duration,
    ) -> Result<Slot, StoreError> {
        let now_ns = now.as_nanosecond();
        let patience_ns = nanos(patience);
        // The bucket's last known state tells which way is likely the right one; the table decides.
        let mut way = match self.known_free_at(site) {
            Some(free_at) if free_at >= now_ns => Way::Queue,
            _ => Way::Now,
        };
        let mut tries = Patience::new();
        loop {
            let (write, returning) = match way {
                Way::Queue => (
                    Write::update(Key::site_bucket(site))
                        .when("#free_at >= :now AND #free_at <= :limit")
                        .set("#free_at = #free_at + :interval")
                        .value(":now", number(now_ns))
                        .value(":limit", number(now_ns + patience_ns))
                        .value(":interval", number(nanos(interval))),
                    ReturnValue::UpdatedOld,
                ),
                Way::Now => (
                    Write::update(Key::site_bucket(site))
                        .when("attribute_not_exists(#free_at) OR #free_at < :now")
                        .set("#free_at = :next")
                        .value(":now", number(now_ns))
                        .value(":next", number(now_ns + nanos(interval))),
                    ReturnValue::None,
                ),
            };
            let seen = match self.send("reserve a slot", write, returning).await? {
                Sent::Done(_) if way == Way::Now => {
                    self.remember_free_at(site, now_ns + nanos(interval));
                    return Ok(Slot::At(now));
                }
                Sent::Done(before) => {
                    let at = free_at(&before)?.unwrap_or(now_ns);
                    self.remember_free_at(site, at + nanos(interval));
                    return Ok(Slot::At(timestamp(at)));
                }
                Sent::Refused(item) => item.as_ref().map(free_at).transpose()?.flatten(),
            };
            way = match seen {
                Some(free_at) if free_at > now_ns + patience_ns => {
                    self.remember_free_at(site, free_at);
                    return Ok(Slot::NotBefore(timestamp(free_at - patience_ns)));
                }
                Some(free_at) if free_at >= now_ns => Way::Queue,
                _ => Way::Now,
            };
            tries.spend("the site's bucket kept changing")?;
        }
    }

    pub(super) async fn bucket_free_at(&self, site: &SiteName) -> Result<Option<Timestamp>, StoreError> {
        let item = self.get(&Key::site_bucket(site)).await?;
        Ok(item.as_ref().map(free_at).transpose()?.flatten().map(timestamp))
    }

    pub(super) async fn bucket_hold(&self, site: &SiteName, until: Timestamp) -> Result<(), StoreError> {
        let write = Write::update(Key::site_bucket(site))
            .when("attribute_not_exists(#free_at) OR #free_at < :until")
            .set("#free_at = :until")
            .value(":until", number(until.as_nanosecond()));
        // Refused: it is closed for longer already.
        self.send("hold a site's bucket", write, ReturnValue::None)
            .await?;
        self.remember_free_at(site, until.as_nanosecond());
        Ok(())
    }

    pub(super) async fn site_get(&self, site: &SiteName) -> Result<SiteState, StoreError> {
        let item = self.get(&Key::site_state(site)).await?;
        item.as_ref()
            .map(row::body)
            .transpose()
            .map(Option::unwrap_or_default)
    }

    pub(super) async fn site_put(&self, site: &SiteName, state: &SiteState) -> Result<Committed, StoreError> {
        let next = SiteState {
            rev: state.rev + 1,
            ..state.clone()
        };
        let mut item = row::with_body(&Key::site_state(site), &next)?;
        item.insert("rev".to_owned(), number(next.rev));
        let put = Write::put(item)?;
        let put = match state.rev {
            0 => put.when("attribute_not_exists(#rev)"),
            rev => put.when("#rev = :rev").value(":rev", number(rev)),
        };
        let sent = self.send("remember a site", put.marked(), ReturnValue::None);
        Ok(match sent.await? {
            Sent::Done(_) => Committed::Yes,
            Sent::Refused(_) => Committed::Lost,
        })
    }

    fn known_free_at(&self, site: &SiteName) -> Option<i128> {
        self.free_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(site)
            .copied()
    }

    fn remember_free_at(&self, site: &SiteName, free_at: i128) {
        self.free_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(site.clone(), free_at);
    }
}

fn free_at(item: &Item) -> Result<Option<i128>, StoreError> {
    row::optional_number(item, FREE_AT)
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::from(i64::MAX))
}

fn timestamp(nanosecond: i128) -> Timestamp {
    Timestamp::from_nanosecond(nanosecond).unwrap_or(Timestamp::MAX)
}

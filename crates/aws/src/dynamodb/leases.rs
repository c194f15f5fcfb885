//! Leases of what one runner at a time is to do. Those of links are in their due rows.

use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use jiff::Timestamp;
use tandem_engine::ports::StoreError;

use super::DynamoStore;
use super::due::later;
use super::keys::Key;
use super::row::{text, time};
use super::write::{Sent, Write};

impl DynamoStore {
    pub(super) async fn lease_begin(
        &self,
        what: &str,
        owner: &str,
        now: Timestamp,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        let write = Write::update(Key::lease(what))
            .when("attribute_not_exists(#owner) OR #owner = :owner OR #lease_until <= :now")
            .set("#owner = :owner")
            .set("#lease_until = :until")
            .value(":owner", text(owner))
            .value(":now", time(now))
            .value(":until", time(later(now, lease)));
        let sent = self.send("take a lease", write, ReturnValue::None).await?;
        Ok(matches!(sent, Sent::Done(_)))
    }

    pub(super) async fn lease_end(&self, what: &str, owner: &str) -> Result<(), StoreError> {
        let write = Write::delete(Key::lease(what))
            .when("#owner = :owner")
            .value(":owner", text(owner));
        self.send("give a lease back", write, ReturnValue::None).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tandem_engine::ports::Store;

    use super::*;
    use crate::Embedded;

    #[tokio::test]
    async fn a_lease_is_one_runners_until_it_is_given_back_or_runs_out() {
        let store = Embedded::open(None).await.unwrap().store();
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let begin = async |what, owner, second| {
            let lease = Duration::from_secs(50);
            store.begin(what, owner, at(second), lease).await.unwrap()
        };
        assert!(begin("sweep", "first", 0).await);
        assert!(!begin("sweep", "second", 10).await);
        assert!(
            begin("audit", "second", 10).await,
            "another thing is another lease"
        );
        // Its owner prolongs it; who has no lease cannot give it back.
        assert!(begin("sweep", "first", 40).await);
        store.end("sweep", "second").await.unwrap();
        assert!(!begin("sweep", "second", 60).await);
        // The first one died.
        assert!(begin("sweep", "second", 90).await);
        store.end("sweep", "first").await.unwrap();
        assert!(!begin("sweep", "first", 100).await);
        store.end("sweep", "second").await.unwrap();
        assert!(begin("sweep", "first", 100).await);
    }
}

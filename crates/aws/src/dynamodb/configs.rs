//! Published configurations.

use aws_sdk_dynamodb::types::ReturnValue;
use jiff::Timestamp;
use tandem_engine::ports::StoreError;
use tandem_engine::ports::store::ConfigVersion;

use super::DynamoStore;
use super::keys::{CONFIG, Key};
use super::patience::Patience;
use super::read::Range;
use super::row;
use super::write::{Sent, Write};

impl DynamoStore {
    pub(super) async fn config_list(&self, limit: usize) -> Result<Vec<ConfigVersion>, StoreError> {
        let range = Range::table(CONFIG.to_owned())
            .backward()
            .page_size(limit.min(100));
        self.first(&range, limit).await?.iter().map(row::body).collect()
    }

    pub(super) async fn config_put(&self, text: &str, now: Timestamp) -> Result<u64, StoreError> {
        let mut patience = Patience::new();
        loop {
            let number = self
                .config_list(1)
                .await?
                .first()
                .map_or(0, |newest| newest.number)
                + 1;
            let version = ConfigVersion {
                number,
                text: text.to_owned(),
                at: now,
            };
            let write = Write::put(row::with_body(&Key::config(number), &version)?)?
                .when("attribute_not_exists(#pk)")
                .marked();
            match self
                .send("publish a configuration", write, ReturnValue::None)
                .await?
            {
                Sent::Done(_) => return Ok(number),
                Sent::Refused(_) => patience.wait("others kept publishing configurations").await?,
            }
        }
    }
}

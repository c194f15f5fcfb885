//! The table's definition, in one place: embedded and tests create it from here, and the template is compared
//! with it.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, StreamSpecification, StreamViewType, TableDescription, TableStatus,
    TimeToLiveSpecification,
};
use tandem_engine::ports::StoreError;

use super::failure::{failure, invalid};

/// How the table is cut. All key attributes are strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSchema {
    /// The attribute of the partition.
    pub partition_key: &'static str,
    /// The attribute that sorts rows in it.
    pub sort_key: &'static str,
    /// The index's name. It carries whole rows.
    pub index: &'static str,
    /// The attribute of the index's partition.
    pub index_partition_key: &'static str,
    /// The attribute that sorts rows in it.
    pub index_sort_key: &'static str,
    /// The attribute with the second (since 1970) at which a row may go.
    pub ttl: &'static str,
    /// What the stream shows of a changed row, if there is a stream.
    pub stream_view: Option<&'static str>,
    /// The attribute whose presence in a stream record's new image wakes the worker.
    pub wake: &'static str,
}

/// The table.
pub const TABLE: TableSchema = TableSchema {
    partition_key: "pk",
    sort_key: "sk",
    index: "by-order",
    index_partition_key: "gpk",
    index_sort_key: "gsk",
    ttl: "expires",
    stream_view: Some("NEW_IMAGE"),
    wake: "hint_at",
};

/// How long a new table may take.
const ACTIVE_WAIT_SECS: u32 = 60;

/// Creates the table, with its TTL and its stream if it has one; succeeds when it is there already.
pub async fn create_table(client: &Client, name: &str, schema: &TableSchema) -> Result<(), StoreError> {
    let index = GlobalSecondaryIndex::builder()
        .index_name(schema.index)
        .key_schema(key(schema.index_partition_key, KeyType::Hash)?)
        .key_schema(key(schema.index_sort_key, KeyType::Range)?)
        .projection(Projection::builder().projection_type(ProjectionType::All).build())
        .build()
        .map_err(invalid)?;
    let stream = match schema.stream_view {
        Some(view) => {
            let stream = StreamSpecification::builder().stream_enabled(true);
            Some(
                stream
                    .stream_view_type(StreamViewType::from(view))
                    .build()
                    .map_err(invalid)?,
            )
        }
        None => None,
    };
    let created = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(attributes(schema)?))
        .key_schema(key(schema.partition_key, KeyType::Hash)?)
        .key_schema(key(schema.sort_key, KeyType::Range)?)
        .global_secondary_indexes(index)
        .set_stream_specification(stream)
        .send()
        .await;
    match created {
        Ok(created) if status(created.table_description.as_ref()) == Some(&TableStatus::Active) => {}
        Ok(_) => wait_until_active(client, name).await?,
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|e| e.is_resource_in_use_exception()) =>
        {
            return Ok(());
        }
        Err(error) => return Err(failure("create the table", error)),
    }
    let ttl = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name(schema.ttl)
        .build()
        .map_err(invalid)?;
    client
        .update_time_to_live()
        .table_name(name)
        .time_to_live_specification(ttl)
        .send()
        .await
        .map_err(|error| failure("set the table's TTL", error))?;
    Ok(())
}

async fn wait_until_active(client: &Client, name: &str) -> Result<(), StoreError> {
    for _ in 0..ACTIVE_WAIT_SECS {
        let described = client.describe_table().table_name(name).send().await;
        let described = described.map_err(|error| failure("look at the new table", error))?;
        if status(described.table.as_ref()) == Some(&TableStatus::Active) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err(StoreError::Unavailable(format!(
        "the table {name} is still being made after {ACTIVE_WAIT_SECS} s"
    )))
}

fn status(table: Option<&TableDescription>) -> Option<&TableStatus> {
    table.and_then(TableDescription::table_status)
}

fn attributes(schema: &TableSchema) -> Result<Vec<AttributeDefinition>, StoreError> {
    [
        schema.partition_key,
        schema.sort_key,
        schema.index_partition_key,
        schema.index_sort_key,
    ]
    .into_iter()
    .map(|name| {
        AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S)
            .build()
            .map_err(invalid)
    })
    .collect()
}

fn key(name: &str, kind: KeyType) -> Result<KeySchemaElement, StoreError> {
    KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(kind)
        .build()
        .map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Embedded;

    #[tokio::test]
    async fn the_table_is_made_as_defined_and_making_it_again_does_no_harm() {
        let store = Embedded::open(None).await.unwrap().store();
        store.create_table().await.unwrap();
        let described = store
            .client
            .describe_table()
            .table_name(&store.table)
            .send()
            .await
            .unwrap();
        let table = described.table.unwrap();
        let names = |keys: &[KeySchemaElement]| {
            keys.iter()
                .map(|key| key.attribute_name.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(table.key_schema()), [TABLE.partition_key, TABLE.sort_key]);
        let index = &table.global_secondary_indexes()[0];
        assert_eq!(index.index_name(), Some(TABLE.index));
        assert_eq!(
            names(index.key_schema()),
            [TABLE.index_partition_key, TABLE.index_sort_key]
        );
        let ttl = store
            .client
            .describe_time_to_live()
            .table_name(&store.table)
            .send()
            .await
            .unwrap();
        assert_eq!(
            ttl.time_to_live_description.unwrap().attribute_name.as_deref(),
            Some(TABLE.ttl)
        );
    }
}

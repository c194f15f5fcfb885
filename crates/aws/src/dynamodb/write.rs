//! One write with its condition, sent alone or in a transaction.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, ReturnValue, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update,
};
use tandem_engine::ports::StoreError;

use super::DynamoStore;
use super::failure::{Cancelled, cancelled, failure, invalid, is_conflict};
use super::keys::Key;
use super::patience::Patience;
use super::row::{self, Item};
use super::schema::TABLE;

/// The most writes in a transaction.
pub(super) const WRITES_MAX: usize = 100;

/// The most bytes in a transaction.
const TRANSACTION_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The attribute that names the call which wrote a row: see [`Write::marked`].
const MARK: &str = "written_by";

/// A write to one row.
///
/// `#name` in an expression stands for the attribute `name`, so that no attribute can be one of DynamoDB's
/// reserved words; [`Write::named`] gives another meaning where an attribute's name is not an identifier.
#[derive(Clone, Debug)]
pub(super) struct Write {
    key: Key,
    kind: Kind,
    condition: Option<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
    mark: Option<String>,
}

#[derive(Clone, Debug)]
enum Kind {
    Put(Item),
    Update { set: Vec<String>, remove: Vec<String> },
    Delete,
    Check,
}

/// How a write went.
#[derive(Debug)]
pub(super) enum Sent {
    /// Written; with the attributes asked for.
    Done(Item),
    /// The condition did not hold; with the row as it is, if there is one.
    Refused(Option<Item>),
}

/// How a transaction went.
#[derive(Debug)]
pub(super) enum Transacted {
    /// All is written.
    Done,
    /// Nothing is: per write, `Some` where its condition did not hold, with the row as it is.
    Refused(Vec<Option<Option<Item>>>),
}

impl Write {
    fn new(key: Key, kind: Kind) -> Self {
        Self {
            key,
            kind,
            condition: None,
            names: HashMap::new(),
            values: HashMap::new(),
            mark: None,
        }
    }

    /// Replaces the row.
    pub(super) fn put(item: Item) -> Result<Self, StoreError> {
        row::check_size(&item)?;
        Ok(Self::new(row::key(&item)?, Kind::Put(item)))
    }

    /// Changes parts of the row.
    pub(super) fn update(key: Key) -> Self {
        Self::new(
            key,
            Kind::Update {
                set: Vec::new(),
                remove: Vec::new(),
            },
        )
    }

    /// Removes the row.
    pub(super) fn delete(key: Key) -> Self {
        Self::new(key, Kind::Delete)
    }

    /// Writes nothing, but holds the others to a condition.
    pub(super) fn check(key: Key) -> Self {
        Self::new(key, Kind::Check)
    }

    /// Adds assignments, such as `#a = :a`.
    pub(super) fn set(mut self, assignment: impl Into<String>) -> Self {
        if let Kind::Update { set, .. } = &mut self.kind {
            set.push(assignment.into());
        }
        self
    }

    /// Removes attributes, written `#a`.
    pub(super) fn remove(mut self, attributes: &[&str]) -> Self {
        if let Kind::Update { remove, .. } = &mut self.kind {
            remove.extend(attributes.iter().map(|name| (*name).to_owned()));
        }
        self
    }

    /// Sets the condition.
    pub(super) fn when(mut self, condition: impl Into<String>) -> Self {
        self.condition = Some(condition.into());
        self
    }

    /// Gives a value to a placeholder.
    pub(super) fn value(mut self, placeholder: &str, value: AttributeValue) -> Self {
        self.values.insert(placeholder.to_owned(), value);
        self
    }

    /// Gives a placeholder the meaning of an attribute whose name is not an identifier.
    pub(super) fn named(mut self, placeholder: &str, attribute: String) -> Self {
        self.names.insert(placeholder.to_owned(), attribute);
        self
    }

    /// Leaves this call's mark in the row. When the answer to a write is lost and the SDK repeats it, the
    /// condition fails on what the first try wrote; by the mark the write is known as our own.
    pub(super) fn marked(mut self) -> Self {
        let mark = token();
        match &mut self.kind {
            Kind::Put(item) => {
                item.insert(MARK.to_owned(), row::text(mark.clone()));
            }
            Kind::Update { set, .. } => {
                set.push(format!("#{MARK} = :{MARK}"));
                self.values.insert(format!(":{MARK}"), row::text(mark.clone()));
            }
            Kind::Delete | Kind::Check => {}
        }
        self.mark = Some(mark);
        self
    }

    /// Returns the row's key.
    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    fn bytes(&self) -> usize {
        match &self.kind {
            Kind::Put(item) => row::size(item),
            _ => row::size(&self.values),
        }
    }

    /// Says whether the write puts a whole row under a condition or under none, which is safe to send alone.
    pub(super) fn is_put(&self) -> bool {
        matches!(self.kind, Kind::Put(_))
    }

    fn update_expression(&self) -> String {
        let Kind::Update { set, remove } = &self.kind else {
            return String::new();
        };
        let mut expression = String::new();
        if !set.is_empty() {
            expression.push_str("SET ");
            expression.push_str(&set.join(", "));
        }
        if !remove.is_empty() {
            expression.push_str(" REMOVE ");
            expression.push_str(&remove.join(", "));
        }
        expression
    }

    /// Returns the names that the expressions use; DynamoDB refuses any more than that.
    fn expression_names(&self) -> Option<HashMap<String, String>> {
        let mut names = HashMap::new();
        let update = self.update_expression();
        for expression in [Some(update.as_str()), self.condition.as_deref()]
            .into_iter()
            .flatten()
        {
            collect_names(expression, &self.names, &mut names);
        }
        (!names.is_empty()).then_some(names)
    }

    fn expression_values(&self) -> Option<HashMap<String, AttributeValue>> {
        (!self.values.is_empty()).then(|| self.values.clone())
    }

    fn row_key(&self) -> Item {
        row::bare(&self.key)
    }

    fn into_transact(self, table: &str) -> Result<TransactWriteItem, StoreError> {
        let names = self.expression_names();
        let values = self.expression_values();
        let condition = self.condition.clone();
        let show = ReturnValuesOnConditionCheckFailure::AllOld;
        let write = TransactWriteItem::builder();
        let write = match &self.kind {
            Kind::Put(item) => write.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(item.clone()))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(show)
                    .build()
                    .map_err(invalid)?,
            ),
            Kind::Update { .. } => write.update(
                Update::builder()
                    .table_name(table)
                    .set_key(Some(self.row_key()))
                    .update_expression(self.update_expression())
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(show)
                    .build()
                    .map_err(invalid)?,
            ),
            Kind::Delete => write.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(Some(self.row_key()))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(show)
                    .build()
                    .map_err(invalid)?,
            ),
            Kind::Check => write.condition_check(
                ConditionCheck::builder()
                    .table_name(table)
                    .set_key(Some(self.row_key()))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(show)
                    .build()
                    .map_err(invalid)?,
            ),
        };
        Ok(write.build())
    }
}

/// Collects what each `#name` of an expression stands for.
pub(super) fn collect_names(
    expression: &str,
    given: &HashMap<String, String>,
    names: &mut HashMap<String, String>,
) {
    for part in expression.split('#').skip(1) {
        let end = part
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(part.len());
        let placeholder = format!("#{}", &part[..end]);
        let attribute = given
            .get(&placeholder)
            .cloned()
            .unwrap_or_else(|| part[..end].to_owned());
        names.insert(placeholder, attribute);
    }
}

/// Makes a text that no other call has: 32 characters, as a request token may have at most 36.
pub(super) fn token() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

impl DynamoStore {
    /// Sends one write alone; an update returns the attributes asked for.
    pub(super) async fn send(
        &self,
        doing: &str,
        write: Write,
        returning: ReturnValue,
    ) -> Result<Sent, StoreError> {
        let mut patience = Patience::new();
        loop {
            let sent = match self.attempt(doing, &write, &returning).await {
                Ok(sent) => sent,
                Err(Attempt::Conflict(text)) => {
                    patience.wait(&text).await?;
                    continue;
                }
                Err(Attempt::Failed(error)) => return Err(error),
            };
            return Ok(match (sent, &write.mark) {
                (Sent::Refused(Some(item)), Some(mark)) if row::optional(&item, MARK)? == Some(mark) => {
                    Sent::Done(item)
                }
                (sent, _) => sent,
            });
        }
    }

    async fn attempt(&self, doing: &str, write: &Write, returning: &ReturnValue) -> Result<Sent, Attempt> {
        let show = ReturnValuesOnConditionCheckFailure::AllOld;
        match &write.kind {
            Kind::Put(item) => {
                let request = self
                    .client
                    .put_item()
                    .table_name(&self.table)
                    .set_item(Some(item.clone()))
                    .set_condition_expression(write.condition.clone())
                    .set_expression_attribute_names(write.expression_names())
                    .set_expression_attribute_values(write.expression_values())
                    .return_values_on_condition_check_failure(show);
                match request.send().await {
                    Ok(_) => Ok(Sent::Done(Item::new())),
                    Err(error) => match error.as_service_error() {
                        Some(aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(
                            refused,
                        )) => Ok(Sent::Refused(refused.item().cloned())),
                        _ => Err(Attempt::from(doing, error)),
                    },
                }
            }
            Kind::Update { .. } => {
                let request = self
                    .client
                    .update_item()
                    .table_name(&self.table)
                    .set_key(Some(write.row_key()))
                    .update_expression(write.update_expression())
                    .set_condition_expression(write.condition.clone())
                    .set_expression_attribute_names(write.expression_names())
                    .set_expression_attribute_values(write.expression_values())
                    .return_values(returning.clone())
                    .return_values_on_condition_check_failure(show);
                match request.send().await {
                    Ok(answer) => Ok(Sent::Done(answer.attributes.unwrap_or_default())),
                    Err(error) => match error.as_service_error() {
                        Some(
                            aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(
                                refused,
                            ),
                        ) => Ok(Sent::Refused(refused.item().cloned())),
                        _ => Err(Attempt::from(doing, error)),
                    },
                }
            }
            Kind::Delete => {
                let request = self
                    .client
                    .delete_item()
                    .table_name(&self.table)
                    .set_key(Some(write.row_key()))
                    .set_condition_expression(write.condition.clone())
                    .set_expression_attribute_names(write.expression_names())
                    .set_expression_attribute_values(write.expression_values())
                    .return_values_on_condition_check_failure(show);
                match request.send().await {
                    Ok(_) => Ok(Sent::Done(Item::new())),
                    Err(error) => match error.as_service_error() {
                        Some(
                            aws_sdk_dynamodb::operation::delete_item::DeleteItemError::ConditionalCheckFailedException(
                                refused,
                            ),
                        ) => Ok(Sent::Refused(refused.item().cloned())),
                        _ => Err(Attempt::from(doing, error)),
                    },
                }
            }
            Kind::Check => Err(Attempt::Failed(invalid(
                "a check makes sense in a transaction only",
            ))),
        }
    }

    /// Sends writes as one transaction. No two may be to one row.
    ///
    /// The request token stays the same through all repetitions, the SDK's and ours, so that a transaction
    /// which went through but whose answer was lost answers `Done` and not `Refused`.
    pub(super) async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        if writes.is_empty() {
            return Ok(Transacted::Done);
        }
        if writes.len() > WRITES_MAX {
            return Err(StoreError::Corrupt(format!(
                "a transaction of {} writes: at most {WRITES_MAX} are possible",
                writes.len()
            )));
        }
        let bytes: usize = writes.iter().map(Write::bytes).sum();
        if bytes > TRANSACTION_BYTES_MAX {
            return Err(StoreError::Corrupt(format!(
                "a transaction of {} KB, beginning with {}: at most {} KB are possible",
                bytes.div_ceil(1024),
                writes[0].key(),
                TRANSACTION_BYTES_MAX / 1024
            )));
        }
        let token = token();
        let items: Vec<_> = writes
            .into_iter()
            .map(|write| write.into_transact(&self.table))
            .collect::<Result<_, _>>()?;
        let mut patience = Patience::new();
        loop {
            let sent = self
                .client
                .transact_write_items()
                .set_transact_items(Some(items.clone()))
                .client_request_token(&token)
                .send()
                .await;
            let error = match sent {
                Ok(_) => return Ok(Transacted::Done),
                Err(error) => error,
            };
            match cancelled(error) {
                Cancelled::Refused(reasons) => {
                    let refused = reasons.into_iter().map(|reason| {
                        reason.map(|reason| reason.item.filter(|item| item.contains_key(TABLE.partition_key)))
                    });
                    return Ok(Transacted::Refused(refused.collect()));
                }
                Cancelled::Again(text) => patience.wait(&text).await?,
                Cancelled::Failed(error) => return Err(error),
            }
        }
    }
}

/// Why one attempt came to nothing.
enum Attempt {
    Conflict(String),
    Failed(StoreError),
}

impl Attempt {
    fn from<E, R>(doing: &str, error: aws_sdk_dynamodb::error::SdkError<E, R>) -> Self
    where
        E: std::error::Error + aws_sdk_dynamodb::error::ProvideErrorMetadata + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        if is_conflict(&error) {
            return Attempt::Conflict(format!("could not {doing}: a transaction is in progress"));
        }
        Attempt::Failed(failure(doing, error))
    }
}

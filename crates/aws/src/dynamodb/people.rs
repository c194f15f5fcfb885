//! People, cursors, notes, and when a connection first ran.

use aws_sdk_dynamodb::types::ReturnValue;
use jiff::Timestamp;
use tandem_core::{AccountId, ConnectionName, SiteName};
use tandem_engine::ports::StoreError;
use tandem_engine::ports::store::{Cursor, PersonRow};

use super::DynamoStore;
use super::keys::Key;
use super::row::{self, text, time};
use super::write::{Sent, Write};

impl DynamoStore {
    pub(super) async fn people_of(
        &self,
        from: &SiteName,
        to: &SiteName,
        accounts: &[AccountId],
        now: Timestamp,
    ) -> Result<Vec<PersonRow>, StoreError> {
        let items = self
            .get_all(accounts.iter().map(|account| Key::person(from, to, account)))
            .await?;
        let people: Vec<PersonRow> = items.iter().map(row::body).collect::<Result<_, _>>()?;
        Ok(people.into_iter().filter(|person| person.expires > now).collect())
    }

    pub(super) async fn person_put(
        &self,
        from: &SiteName,
        to: &SiteName,
        person: &PersonRow,
    ) -> Result<(), StoreError> {
        let item = row::with_body(&Key::person(from, to, &person.account), person)?;
        let write = Write::put(row::expiring(item, person.expires))?;
        self.send("remember a person", write, ReturnValue::None).await?;
        Ok(())
    }

    pub(super) async fn cursor_get(&self, name: &str) -> Result<Option<Cursor>, StoreError> {
        let Some(item) = self.get(&Key::cursor(name)).await? else {
            return Ok(None);
        };
        Ok(Some(Cursor {
            at: row::required_time(&item, "at")?,
        }))
    }

    pub(super) async fn cursor_put(&self, name: &str, cursor: &Cursor) -> Result<(), StoreError> {
        let write = Write::update(Key::cursor(name))
            .when("attribute_not_exists(#at) OR #at < :at")
            .set("#at = :at")
            .value(":at", time(cursor.at));
        // Refused: another runner is further.
        self.send("move a cursor", write, ReturnValue::None).await?;
        Ok(())
    }

    pub(super) async fn note_get(&self, name: &str) -> Result<Option<String>, StoreError> {
        let Some(item) = self.get(&Key::note(name)).await? else {
            return Ok(None);
        };
        row::required(&item, "text").map(|text| Some(text.to_owned()))
    }

    pub(super) async fn note_put(&self, name: &str, note: &str) -> Result<(), StoreError> {
        let mut item = row::bare(&Key::note(name));
        item.insert("text".to_owned(), text(note));
        self.send("keep a note", Write::put(item)?, ReturnValue::None)
            .await?;
        Ok(())
    }

    pub(super) async fn first_run_of(
        &self,
        connection: &ConnectionName,
        now: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        let write = Write::update(Key::first_run(connection))
            .set("#at = if_not_exists(#at, :now)")
            .value(":now", time(now));
        match self
            .send("remember a first run", write, ReturnValue::AllNew)
            .await?
        {
            Sent::Done(item) | Sent::Refused(Some(item)) => row::required_time(&item, "at"),
            Sent::Refused(None) => Ok(now),
        }
    }
}

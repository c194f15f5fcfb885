//! What is recorded at the moment at which a person has a backfill begin.
//!
//! The links have their turns one after the other, some of them much later. What the person was told of their copies is
//! recorded now: from then on they are twins, or wait for somebody, and whoever edits, moves or deletes one of them before
//! its link has its turn does that to a twin.

use std::collections::BTreeSet;

use tandem_core::observed::Observed;
use tandem_core::plan::{Step, take_over};
use tandem_core::{LinkKey, PairId, check};
use tracing::{debug, warn};

use super::{LinkEstimate, NAP, Note, Order};
use crate::error::EngineError;
use crate::execute::{RECORDS_PER_COMMIT, Run};
use crate::gate::signed;
use crate::options::{Connection, Engine};
use crate::ports::StoreError;
use crate::ports::store::{DueKey, Finish, Lane};

/// Plans of one link: with a thousand steps each, more than its listing may have worklogs.
const ROUNDS_MAX: usize = 1000;

impl Engine {
    /// Records what was told of a link's copies, where they are to be taken over, and notes what was asked for. Where that
    /// cannot be recorded now, they are taken over with the link's turn, as they are then.
    pub(super) async fn begin_backfill(&self, one: &LinkEstimate, order: &Order) -> Result<(), EngineError> {
        let connection = self
            .connection(&one.link.connection)
            .ok_or_else(|| EngineError::Unknown(format!("{} is not configured", one.link.connection)))?;
        let key = DueKey::Link(one.link.clone());
        // The note first: whoever takes the link's row from here on, also after this one has died, knows what it is due for.
        self.note_order(&one.link, order, &key).await?;
        if !self.is_to_record(connection, one, order).await? {
            return Ok(());
        }
        // A run ends with its budget, and a dead one's lease with its time.
        let patience = self.options.run_budget + 2 * self.options.lease;
        let until = self.clock.now() + signed(patience);
        loop {
            let error = match self.begin_now(connection, one, order, &key).await {
                Err(error) if !matches!(error, EngineError::Store(_)) => error,
                result => return result,
            };
            let may_pass = matches!(error, EngineError::Lost | EngineError::Held);
            if !may_pass || self.clock.now() >= until {
                warn!(link.key = %one.link, "Could not take over now what was copied on {}: {}", one.link, error.unsaid());
                return Ok(());
            }
            self.clock.sleep(NAP.unsigned_abs()).await;
        }
    }

    /// Notes what was asked for, where that is not noted already and still to be done.
    async fn note_order(&self, link: &LinkKey, order: &Order, key: &DueKey) -> Result<(), EngineError> {
        let is_noted = async || -> Result<bool, EngineError> {
            let note = self.note_of(link).await?;
            Ok(note.is_some_and(|note| note.done.is_none() && note.order == *order))
        };
        if is_noted().await? {
            // A run that ends after this leaves it open.
            self.hint_all(vec![key.clone()], Lane::Backfill, false).await?;
            if is_noted().await? {
                return Ok(());
            }
        }
        self.put_note_of(link, &Note::of(order)).await
    }

    async fn begin_now(
        &self,
        connection: &Connection,
        one: &LinkEstimate,
        order: &Order,
        key: &DueKey,
    ) -> Result<(), EngineError> {
        let owner = self.new_runner();
        let now = self.clock.now();
        let mut row = self.store.take(key, &owner, now, self.options.lease).await?;
        if row.is_none() && self.store.due_row(key).await?.is_none() {
            self.hint_all(vec![key.clone()], Lane::Backfill, false).await?;
            row = self.store.take(key, &owner, now, self.options.lease).await?;
        }
        let Some(row) = row else {
            return Err(EngineError::Lost);
        };
        let mut run = Run::new(self, connection, &one.link, &row, &owner);
        let result = match run.hold(None).await {
            Ok(()) => self.record_told(&mut run, one, order).await,
            Err(error) => Err(error),
        };
        run.let_go().await;
        if let Err(error) = self.ask_to_learn(connection, &run.report.to_learn).await {
            debug!(link.key = %one.link, "Jira ids are left for the sweep: {}", error.unsaid());
        }
        // Whatever the row was there for is still to be done.
        let finish = Finish::Again {
            at: row.next_attempt,
            attempts: row.attempts,
            reason: row.reason,
            detail: row.detail.clone(),
            quiet: row.quiet,
            announced: row.announced.clone(),
        };
        self.store.finish(&row, &owner, &finish, self.clock.now()).await?;
        result
    }

    async fn record_told(
        &self,
        run: &mut Run<'_>,
        one: &LinkEstimate,
        order: &Order,
    ) -> Result<(), EngineError> {
        let mut observed = self.observe_told(run.connection, one, order).await?;
        let settings = &run.connection.settings;
        let mut outgrown: BTreeSet<PairId> = BTreeSet::new();
        for _ in 0..ROUNDS_MAX {
            let plan = take_over(&observed, settings);
            check::check(&plan, &observed, settings)?;
            let is_open = |step: &&Step| !outgrown.contains(&step.pair.id);
            let steps: Vec<&Step> = plan.steps.iter().filter(is_open).collect();
            if steps.is_empty() {
                break;
            }
            for batch in steps.chunks(RECORDS_PER_COMMIT) {
                run.keep_lease().await?;
                match run.record(batch, &mut observed).await {
                    // What is too long for a row holds up nobody else.
                    Err(EngineError::Store(StoreError::TooLarge(_))) => {
                        for step in batch {
                            match run.record(&[*step], &mut observed).await {
                                Err(EngineError::Store(StoreError::TooLarge(_))) => {
                                    outgrown.insert(step.pair.id.clone());
                                }
                                result => result?,
                            }
                        }
                    }
                    result => result?,
                }
            }
        }
        Ok(())
    }

    /// Says whether there is anything to record: whoever gives the same command again waits for nobody.
    async fn is_to_record(
        &self,
        connection: &Connection,
        one: &LinkEstimate,
        order: &Order,
    ) -> Result<bool, EngineError> {
        let is_told = !one.told.listings.a.is_empty() || !one.told.listings.b.is_empty();
        if !order.adopt || !is_told {
            return Ok(false);
        }
        let observed = self.observe_told(connection, one, order).await?;
        Ok(!take_over(&observed, &connection.settings).steps.is_empty())
    }

    /// What was listed then, and what the table knows now.
    async fn observe_told(
        &self,
        connection: &Connection,
        one: &LinkEstimate,
        order: &Order,
    ) -> Result<Observed, EngineError> {
        let mut observed = Observed::empty(one.link.clone(), self.clock.now());
        observed.since = self.since(connection).await?;
        observed.backfill = Some(order.backfill());
        observed.listings = one.told.listings.clone();
        observed.lookups = one.told.lookups.clone();
        observed.blind = one.told.blind;
        observed.pairs = self.store.pairs(&one.link).await?;
        self.place_unpaired(connection, &mut observed).await?;
        self.trace_origins(connection, &mut observed).await?;
        Ok(observed)
    }
}

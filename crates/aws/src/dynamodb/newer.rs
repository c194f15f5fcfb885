//! Looking for a newer configuration along with a webhook's look-up.
//!
//! A webhook may cost two requests to the table before it is answered: a look-up and a write. Whether somebody has published
//! meanwhile would be a third, in each process that has not asked for a minute. Versions are numbered without gaps and are
//! never removed, so what comes after the one in use has a known key, and a look-up of known keys can ask for it too.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tandem_engine::ports::StoreError;
use tandem_engine::ports::store::ConfigVersion;
use tracing::warn;

use super::DynamoStore;
use super::keys::{CONFIG, Key};
use super::row::{self, Item};

/// How many versions after the one in use are asked for. Each that is not there costs a read unit; where all are there, the
/// newest has to be asked for by itself.
const AHEAD: u64 = 4;

/// For how long the rows of a look-up that found a newer version serve the same look-up again.
const KEPT: SignedDuration = SignedDuration::from_secs(5);

/// What look-ups are to ask for besides, and what came of it.
#[derive(Debug, Default)]
pub struct Newer(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The version in use, once somebody wants to know what comes after it.
    after: Option<u64>,
    told: Told,
    kept: Option<Kept>,
}

/// What a look-up has told of newer versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Told {
    /// Nothing: there was no look-up.
    #[default]
    Nothing,
    /// The table has not answered it.
    Unanswered,
    /// That there are none.
    None,
    /// The newest one.
    Newest(ConfigVersion),
    /// That there are so many that the newest has to be asked for.
    Many,
}

/// A look-up whose answer was not used, since there is a newer version to use it with.
#[derive(Debug)]
struct Kept {
    keys: BTreeSet<Key>,
    items: Vec<Item>,
    at: Timestamp,
}

impl Newer {
    /// Has the next look-up ask for what comes after a version as well. If it finds any, it fails: whoever wanted it does so
    /// again on the newer one, and the table is not asked a second time for the same rows.
    pub fn ask(&self, after: u64) {
        self.with(|state| {
            state.after = Some(after);
            state.told = Told::Nothing;
        });
    }

    /// Takes what look-ups have told since then.
    pub fn take(&self) -> Told {
        self.with(|state| {
            state.after = None;
            std::mem::take(&mut state.told)
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn told(&self, told: Told) {
        self.with(|state| state.told = told);
    }

    /// Takes the rows of the look-up before, if they answer this one.
    fn kept(&self, keys: &BTreeSet<Key>, now: Timestamp) -> Option<Vec<Item>> {
        let kept = self.with(|state| state.kept.take())?;
        let age = now.duration_since(kept.at);
        let is_fresh = (SignedDuration::ZERO..=KEPT).contains(&age);
        (is_fresh && keys.is_subset(&kept.keys)).then(|| {
            let is_wanted = |item: &Item| row::key(item).is_ok_and(|key| keys.contains(&key));
            kept.items.into_iter().filter(is_wanted).collect()
        })
    }
}

impl DynamoStore {
    /// Reads the rows of a look-up, and newer configurations with them where that was asked for.
    pub(super) async fn looked_up(
        &self,
        keys: BTreeSet<Key>,
        now: Timestamp,
    ) -> Result<Vec<Item>, StoreError> {
        if let Some(items) = self.newer.kept(&keys, now) {
            return Ok(items);
        }
        let Some(after) = self.newer.with(|state| state.after) else {
            return self.get_all(keys).await;
        };
        let versions = (1..=AHEAD).map(|ahead| Key::config(after.saturating_add(ahead)));
        let all = self.get_all(keys.iter().cloned().chain(versions)).await;
        let all = all.inspect_err(|_| self.newer.told(Told::Unanswered))?;
        let is_version = |item: &Item| row::required(item, "pk").is_ok_and(|pk| pk == CONFIG);
        let (versions, items): (Vec<Item>, Vec<Item>) = all.into_iter().partition(is_version);
        let told = match newest(&versions) {
            Ok(None) => Told::None,
            Ok(Some(newest)) if newest.number < after.saturating_add(AHEAD) => Told::Newest(newest),
            Ok(Some(_)) => Told::Many,
            Err(problem) => {
                warn!("A newer configuration cannot be read: {problem}");
                Told::Nothing
            }
        };
        let is_newer = matches!(told, Told::Newest(_) | Told::Many);
        self.newer.told(told);
        if !is_newer {
            return Ok(items);
        }
        let at = now;
        self.newer
            .with(|state| state.kept = Some(Kept { keys, items, at }));
        Err(StoreError::Unavailable(
            "there is a newer configuration, which this is to be done with".to_owned(),
        ))
    }
}

fn newest(versions: &[Item]) -> Result<Option<ConfigVersion>, StoreError> {
    let newest = versions
        .iter()
        .max_by_key(|item| row::required(item, "sk").map(str::to_owned).unwrap_or_default());
    newest.map(row::body).transpose()
}

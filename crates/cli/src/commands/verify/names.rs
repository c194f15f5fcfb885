//! Keys of issues, looked up for some rows at a time.

use std::collections::{BTreeMap, BTreeSet};

use tandem_core::{ConnectionName, IssueId, Side};
use tandem_engine::Engine;
use tandem_engine::verify::{Difference, Group};

use crate::ending::Failure;

/// Rows whose issues are looked up at a time.
pub(super) const AT_ONCE: usize = 500;

/// An issue of a connection.
type Place = (String, Side, IssueId);

/// The keys of some issues.
pub(super) struct Names(BTreeMap<Place, String>);

impl Names {
    /// Looks up the issues of some differences.
    pub(super) async fn of_differences(engine: &Engine, some: &[Difference]) -> Result<Self, Failure> {
        let places = some.iter().flat_map(|one| {
            let entries = [(Side::A, &one.a), (Side::B, &one.b)]
                .into_iter()
                .filter_map(|(side, entry)| Some((side, entry.as_ref()?.issue)));
            let unreadable = one
                .unreadable
                .iter()
                .filter_map(|bad| Some((bad.side, bad.issue?)));
            entries
                .chain(unreadable)
                .map(|(side, issue)| (one.connection.clone(), side, issue))
        });
        Self::look_up(engine, places.collect()).await
    }

    /// Looks up the issues of some sums by issue.
    pub(super) async fn of_groups(engine: &Engine, some: &[Group]) -> Result<Self, Failure> {
        let places = some.iter().filter_map(|one| {
            let (a, b) = issues(one)?;
            Some([(Side::A, a), (Side::B, b)].map(|(side, issue)| (one.connection.clone(), side, issue)))
        });
        Self::look_up(engine, places.flatten().collect()).await
    }

    async fn look_up(engine: &Engine, places: BTreeSet<Place>) -> Result<Self, Failure> {
        let asked: Vec<_> = places
            .iter()
            .filter_map(|(connection, side, issue)| {
                let connection = engine.connection(&ConnectionName::new(connection.as_str()))?;
                Some((connection.sites[*side].clone(), *issue))
            })
            .collect();
        let rows = engine.store.issues(&asked).await?;
        let keys: BTreeMap<_, _> = rows
            .into_iter()
            .filter_map(|row| Some(((row.site, row.issue), row.key?)))
            .collect();
        let named = places.into_iter().filter_map(|place| {
            let connection = engine.connection(&ConnectionName::new(place.0.as_str()))?;
            let key = keys.get(&(connection.sites[place.1].clone(), place.2))?;
            Some((place, key.clone()))
        });
        Ok(Self(named.collect()))
    }

    /// Returns an issue's key, or its id where no key is known.
    pub(super) fn of(&self, connection: &str, side: Side, issue: IssueId) -> String {
        let key = self.0.get(&(connection.to_owned(), side, issue));
        key.cloned().unwrap_or_else(|| issue.to_string())
    }

    /// Returns what a sum is of: for an issue both keys.
    pub(super) fn of_group(&self, group: &Group) -> String {
        match issues(group) {
            Some((a, b)) => format!(
                "{} ~ {}",
                self.of(&group.connection, Side::A, a),
                self.of(&group.connection, Side::B, b)
            ),
            None => group.key.clone(),
        }
    }
}

/// Returns the issues of a sum by issue.
fn issues(group: &Group) -> Option<(IssueId, IssueId)> {
    let (a, b) = group.key.split_once('~').filter(|_| group.by == "issue")?;
    Some((a.parse().ok()?, b.parse().ok()?))
}

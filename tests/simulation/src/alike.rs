//! Worklogs that nothing but their times of day tell apart, on sites of which one shows none: which is whose copy is nobody's
//! to say, but there are as many on each side as there were entered.
//!
//! People log them and do no more with them; a purge may take them.

use std::collections::{BTreeMap, BTreeSet};

use tandem_sim::{Content, LedgerChange, Worklog};

use crate::observer::{ALIKE, SHOWN_TIME};

/// Says whether a worklog is one of these.
pub(crate) fn is_one(worklog: &Worklog) -> bool {
    worklog
        .description
        .as_deref()
        .is_some_and(|text| text.starts_with(ALIKE))
}

/// Those with the same text.
#[derive(Clone, Debug, Default)]
struct Group {
    /// What stands, by site and id.
    places: BTreeMap<String, BTreeMap<u64, Content>>,
    /// How many people entered, and on which site.
    entered: BTreeMap<String, usize>,
    /// The times of day that they entered.
    times: BTreeSet<String>,
    /// Worklogs that people took away, and that a client did.
    gone: usize,
    followed: usize,
    /// Copies that nobody has recorded yet.
    unrecorded: BTreeSet<u64>,
    /// One of those was taken away, or made later than any may: how many there should be is nobody's to tell.
    unheard: bool,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alikes(BTreeMap<String, Group>);

impl Alikes {
    /// Notes that a client has recorded what it had written.
    pub(crate) fn records(&mut self, worklog: u64) {
        for group in self.0.values_mut() {
            group.unrecorded.remove(&worklog);
        }
    }

    /// Takes note of a change, which is a create that left too late, or not. Says what is wrong with it, under which rule.
    pub(crate) fn saw(
        &mut self,
        change: &LedgerChange,
        is_late: bool,
        timeless: Option<&str>,
    ) -> Result<(), (&'static str, String)> {
        let worklog = change.before.as_ref().or(change.after.as_ref());
        let text = worklog.and_then(|worklog| worklog.description.clone());
        let group = self.0.entry(text.unwrap_or_default()).or_default();
        let site = &change.site;
        group.unheard |= is_late;
        let story = format!("{:?} becomes {:?} on {site}", change.before, change.after);
        let entered: usize = group.entered.values().sum();
        let there = group.places.entry(site.clone()).or_default();
        match (&change.before, &change.after, &change.client) {
            (before, Some(after), None) => {
                if before.is_none() {
                    *group.entered.entry(site.clone()).or_default() += 1;
                }
                group.times.insert(after.start_time.to_string());
                there.insert(after.id, after.content.clone());
            }
            (Some(before), None, None) => {
                there.remove(&before.id);
                group.gone += 1;
                group.unheard |= group.unrecorded.contains(&before.id);
            }
            (None, Some(after), Some(_)) => {
                let is_one_too_many = there.len() >= entered;
                there.insert(after.id, after.content.clone());
                group.unrecorded.insert(after.id);
                if is_one_too_many && !group.unheard {
                    return Err(("a second twin", story));
                }
                let time = after.start_time.to_string();
                let is_entered = group.times.contains(&time) || time == SHOWN_TIME.to_string();
                if timeless != Some(site) && !is_entered {
                    return Err(("a value that nobody entered", story));
                }
            }
            (Some(before), Some(after), Some(_)) => {
                let mut shown = after.content.clone();
                if timeless == Some(site) {
                    shown.start_time = before.start_time;
                }
                there.insert(after.id, after.content.clone());
                if shown != before.content && !group.unheard {
                    return Err(("a change that nobody made", story));
                }
            }
            (Some(before), None, Some(_)) => {
                there.remove(&before.id);
                group.followed += 1;
                if group.followed > group.gone && !group.unheard {
                    return Err(("a delete that nobody asked for", story));
                }
            }
            (None, None, _) => {}
        }
        Ok(())
    }

    /// Says whether it is nobody's to tell what should become of a worklog.
    pub(crate) fn is_unheard(&self, site: &str, worklog: u64) -> bool {
        let stands = |group: &&Group| {
            group
                .places
                .get(site)
                .is_some_and(|there| there.contains_key(&worklog))
        };
        self.0.values().filter(stands).any(|group| group.unheard)
    }

    /// Says what is wrong once everything has had its time, under which rule.
    pub(crate) fn settled(
        &self,
        sites: &[String],
        excused: impl Fn(&str, u64) -> bool,
    ) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        for (text, group) in &self.0 {
            let is_excused =
                |(site, there): (&String, &BTreeMap<u64, Content>)| there.keys().any(|id| excused(site, *id));
            if group.unheard || group.places.iter().any(is_excused) {
                continue;
            }
            let count = |site: &String| group.places.get(site).map_or(0, BTreeMap::len);
            let counts: BTreeSet<usize> = sites.iter().map(count).collect();
            let entered: usize = group.entered.values().sum();
            let least = entered.saturating_sub(group.gone);
            let most = entered - usize::from(group.gone > 0 && entered > 0);
            if counts.len() != 1 || counts.iter().any(|count| *count < least || *count > most) {
                let story = format!(
                    "of {entered} with the text {text:?}, {} gone, there are {counts:?}",
                    group.gone
                );
                wrong.push(("both sides are not equal", story));
            }
        }
        wrong
    }
}

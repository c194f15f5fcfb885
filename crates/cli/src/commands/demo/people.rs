//! What people do, on both sites, by a script that is drawn from the seed.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde::Serialize;
use tandem_sim::{Content, SiteHandle};
use tokio::time::Instant;

use super::show::{Show, name_of};
use super::world::{ACCOUNTS, LINKS, PEOPLE, World, today};
use crate::words;

/// What people did.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Done {
    pub(super) logged: usize,
    pub(super) edited: usize,
    pub(super) moved: usize,
    pub(super) deleted: usize,
    /// What came too late: somebody else was faster.
    pub(super) refused: usize,
}

const TASKS: [&str; 8] = [
    "Review",
    "Workshop",
    "Call with the customer",
    "Bug hunt",
    "Estimate",
    "Release notes",
    "Tests",
    "Größenprüfung",
];

/// Lets people act for a while.
pub(super) async fn act(world: &World, show: &Show, seed: u64, time: Duration) -> Done {
    let mut script = Script {
        world,
        show,
        dice: SmallRng::seed_from_u64(seed),
        number: 0,
        in_jira: BTreeSet::new(),
        done: Done::default(),
    };
    let end = Instant::now() + time;
    script.opening();
    while Instant::now() < end {
        let pause = Duration::from_millis(script.dice.random_range(300..1300));
        tokio::time::sleep(pause.min(end - Instant::now())).await;
        script.next();
    }
    script.done
}

struct Script<'w> {
    world: &'w World,
    show: &'w Show,
    dice: SmallRng,
    number: usize,
    /// The numbers of worklogs made in Jira's screen. Nobody changes those again: Tempo sees them late, and a
    /// change meanwhile would keep their link waiting for what was announced.
    in_jira: BTreeSet<String>,
    done: Done,
}

impl Script<'_> {
    fn site(&self, side: usize) -> SiteHandle {
        self.world.sim.site(["acme", "globex"][side])
    }

    /// One of each kind to begin with: non-billable, after lunch, with an account, by somebody with another
    /// account on the other site.
    fn opening(&mut self) {
        self.log(0, 0, 0, |content| {
            content.start_time = jiff::civil::time(13, 30, 0, 0);
            content.billable_secs = 0;
        });
        self.log(1, 4, 1, |content| {
            content
                .attributes
                .insert("_Customer_".into(), ACCOUNTS[0].1.into());
        });
        self.log(0, 3, 2, |content| {
            content
                .attributes
                .insert("_Account_".into(), ACCOUNTS[1].0.into());
        });
        self.log(1, 1, 3, |_| {});
    }

    fn next(&mut self) {
        let side = self.dice.random_range(0..2);
        let worklogs = self.site(side).worklogs();
        let kind = self.dice.random_range(0..100);
        let settled: Vec<_> = worklogs
            .iter()
            .filter(|worklog| !self.in_jira.contains(tag(&worklog.content)))
            .collect();
        let picked = settled.choose(&mut self.dice).map(|worklog| worklog.id);
        match (kind, picked) {
            (35..=66, Some(id)) => self.edit(side, id),
            (67..=79, Some(id)) => self.relocate(side, id),
            (80..=92, Some(id)) => self.delete(side, id),
            (93.., _) => self.log_in_jira(side),
            _ => {
                let (person, link) = (
                    self.dice.random_range(0..PEOPLE.len()),
                    self.dice.random_range(0..LINKS.len()),
                );
                self.log(side, person, link, |_| {});
            }
        }
    }

    fn log(&mut self, side: usize, person: usize, link: usize, change: impl FnOnce(&mut Content)) {
        let site = self.site(side);
        let text = self.text();
        let secs = self.dice.random_range(1..=16) * 900;
        let start = jiff::civil::time(
            self.dice.random_range(8..17),
            [0, 15, 30, 45][self.dice.random_range(0..4)],
            0,
            0,
        );
        let mut content = Content {
            author: account(person, side).to_owned(),
            start_date: today(self.world.sim.now()),
            start_time: start,
            time_spent_secs: secs,
            billable_secs: if self.dice.random_bool(0.2) { 0 } else { secs },
            description: Some(text),
            attributes: Default::default(),
        };
        change(&mut content);
        let issue = issue(link, side);
        let what = format!("{} logs {} on {issue}", PEOPLE[person].0, told(&content));
        if site.log_time(issue, content).is_ok() {
            self.done.logged += 1;
            self.show.tell(site.name(), what);
        }
    }

    /// In Jira's own screen, which Tempo sees later.
    fn log_in_jira(&mut self, side: usize) {
        let site = self.site(side);
        let (person, link) = (
            self.dice.random_range(0..PEOPLE.len()),
            self.dice.random_range(0..LINKS.len()),
        );
        let (text, now) = (self.text(), self.world.sim.now());
        let issue = issue(link, side);
        let what = format!(
            "{} logs 45m on {issue} in Jira's screen: {text}",
            PEOPLE[person].0
        );
        if site
            .jira_log_time(issue, account(person, side), now, 2700, &text)
            .is_ok()
        {
            self.done.logged += 1;
            self.in_jira
                .insert(text.split(' ').next().unwrap_or_default().to_owned());
            self.show.tell(site.name(), what);
        }
    }

    fn edit(&mut self, side: usize, id: u64) {
        let site = self.site(side);
        let (kind, secs) = (self.dice.random_range(0..4), self.dice.random_range(1..=16) * 900);
        let mut said = String::new();
        let edited = site.edit(id, |content| {
            match kind {
                0 => {
                    content.billable_secs = if content.billable_secs == 0 {
                        content.time_spent_secs
                    } else {
                        0
                    }
                }
                1 => content.start_time = jiff::civil::time(13, 30, 0, 0),
                2 => content.description = content.description.take().map(|text| format!("{text}, checked")),
                _ => {
                    content.time_spent_secs = secs;
                    content.billable_secs = content.billable_secs.min(secs);
                }
            }
            said = format!("{} edits it to {}", name_of(&content.author), told(content));
        });
        match edited {
            Ok(()) => {
                self.done.edited += 1;
                self.show.tell(site.name(), said);
            }
            Err(_) => self.done.refused += 1,
        }
    }

    fn relocate(&mut self, side: usize, id: u64) {
        let site = self.site(side);
        let Some(worklog) = site.worklog(id) else { return };
        let here = site.issue_key(worklog.issue).unwrap_or_default();
        let others: Vec<&str> = (0..LINKS.len())
            .map(|link| issue(link, side))
            .filter(|key| *key != here)
            .collect();
        let Some(there) = others.choose(&mut self.dice) else {
            return;
        };
        match site.move_to_issue(id, there) {
            Ok(()) => {
                self.done.moved += 1;
                let what = format!(
                    "{} moves {} from {here} to {there}",
                    name_of(&worklog.author),
                    tag(&worklog.content)
                );
                self.show.tell(site.name(), what);
            }
            Err(_) => self.done.refused += 1,
        }
    }

    fn delete(&mut self, side: usize, id: u64) {
        let site = self.site(side);
        let Some(worklog) = site.worklog(id) else { return };
        match site.delete(id) {
            Ok(()) => {
                self.done.deleted += 1;
                let key = site.issue_key(worklog.issue).unwrap_or_default();
                let what = format!(
                    "{} deletes {} on {key}",
                    name_of(&worklog.author),
                    tag(&worklog.content)
                );
                self.show.tell(site.name(), what);
            }
            Err(_) => self.done.refused += 1,
        }
    }

    /// A text with a number of its own, by which a worklog is known on both sites.
    fn text(&mut self) -> String {
        self.number += 1;
        let task = TASKS.choose(&mut self.dice).copied().unwrap_or_default();
        format!("#{} {task}", self.number)
    }
}

fn issue(link: usize, side: usize) -> &'static str {
    if side == 0 { LINKS[link].0 } else { LINKS[link].1 }
}

fn account(person: usize, side: usize) -> &'static str {
    if side == 0 {
        PEOPLE[person].1
    } else {
        PEOPLE[person].2
    }
}

/// The number in a worklog's text.
pub(super) fn tag(content: &Content) -> &str {
    let text = content.description.as_deref().unwrap_or_default();
    text.split_whitespace().next().unwrap_or_default()
}

/// A worklog in a few words.
pub(super) fn told(content: &Content) -> String {
    let secs = u64::try_from(content.time_spent_secs).unwrap_or(0);
    let billable = if content.billable_secs == 0 {
        " non-billable"
    } else {
        ""
    };
    let text = content.description.as_deref().unwrap_or_default();
    format!(
        "{} at {}{billable}: {text}",
        words::hours(secs),
        content.start_time.strftime("%H:%M")
    )
}

//! People at work on all sites: everything they enter is new to its worklog, and carries a tag that says which that is.

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp};
use tandem_sim::{Content, Refused, SiteHandle, Worklog};

use crate::chance::Chance;
use crate::observer::{ALIKE, Field, OTHER_WORD, OWN, SHARED, WORD, named};
use crate::run::Plan;
use crate::world::World;

/// Everybody, by the name that they go by on all sites. The last ones log no time of their own.
pub const EVERYBODY: [&str; 6] = ["ann", "bob", "eve", "kim", "lee", "mia"];

/// How many edits are of what people seldom edit.
const RARE: f64 = 0.25;

/// How many worklogs have no text, and how many edits clear one, in lives in which people leave it out at all.
const TEXTLESS: f64 = 0.3;
const CLEARED: f64 = 0.06;

/// How often somebody also logs two worklogs that are alike but for the time of day, in lives with a site without any.
const ALIKES: f64 = 0.12;

/// The people of a run.
pub struct People {
    chance: Chance,
    /// Draws what is seldom edited, where anything is. Apart, so that a life without it is the life that it was before
    /// there was such a thing.
    rare: Option<Chance>,
    /// Counts what was entered, so that nothing is entered twice.
    entered: i64,
    tags: u64,
    sites: Vec<String>,
    links: usize,
    refusals: usize,
    /// The site that has words of its own.
    other_words: Option<String>,
    /// Draws who leaves the text out, and who logs the same twice, where anybody does.
    texts: Option<Chance>,
    alikes: Option<Chance>,
    /// The second of two that are alike, which is logged later.
    another: Option<(String, String, Content)>,
}

impl People {
    /// Gathers them; one issue per site has no twin.
    pub fn new(plan: &Plan, rare: bool) -> Self {
        let seed = plan.seed;
        Self {
            chance: Chance::new(seed, "people"),
            rare: rare.then(|| Chance::new(seed, "rare edits")),
            entered: 0,
            tags: 0,
            sites: plan.sites.clone(),
            links: plan.links,
            refusals: 0,
            other_words: plan.has_other_words(),
            texts: plan.textless.then(|| Chance::new(seed, "texts")),
            alikes: plan.timeless.is_some().then(|| Chance::new(seed, "alikes")),
            another: None,
        }
    }

    /// The accounts that somebody of this name has on a site.
    pub fn account(person: &str, site: &str) -> String {
        match person {
            "eve" => format!("eve-{site}"),
            same => same.to_owned(),
        }
    }

    /// A closed period keeps a person from it; they shrug.
    fn refused<T>(&mut self, done: Result<T, Refused>) {
        self.refusals += usize::from(done.is_err());
    }

    fn next(&mut self) -> i64 {
        self.entered += 1;
        self.entered
    }

    fn date(&mut self) -> Date {
        let n = self.next();
        let start: Date = Date::constant(2026, 1, 20);
        start + SignedDuration::from_hours(24 * (n % 40))
    }

    fn time(&mut self) -> Time {
        let n = self.next();
        Time::midnight() + SignedDuration::from_secs(6 * 3600 + (n * 37) % 50_000)
    }

    fn secs(&mut self) -> i64 {
        60 * self.next()
    }

    fn text(&mut self, tag: &str) -> String {
        format!("{tag} edit {}", self.next())
    }

    fn shared(&mut self, site: &str) -> String {
        let word = match self.other_words.as_deref() == Some(site) {
            true => OTHER_WORD,
            false => WORD,
        };
        format!("{word}{}", self.next())
    }

    fn issue(&mut self, site: &str) -> String {
        let number = match self.chance.yes(0.04) {
            true => self.links + 1,
            false => self.chance.between(1, self.links as u64) as usize,
        };
        format!("{}-{number}", project(site))
    }

    /// Somebody does something somewhere.
    pub fn act(&mut self, world: &World) {
        let Some(site) = self.chance.pick(&self.sites).cloned() else {
            return;
        };
        let handle = world.sim.site(&site);
        world.watch();
        let worklogs: Vec<Worklog> = handle
            .worklogs()
            .into_iter()
            .filter(|worklog| world.observer().tag_of(&site, worklog).is_some())
            .collect();
        let some = self.chance.pick(&worklogs).cloned();
        let what = self.chance.between(0, 99);
        match (what, some) {
            (0..35, _) | (_, None) => self.create(world, &handle),
            (35..62, Some(worklog)) => self.edit(world, &handle, &worklog),
            (62..70, Some(worklog)) => self.refused(handle.delete(worklog.id)),
            (70..75, Some(worklog)) => {
                let issue = self.issue(&site);
                if handle.issue_id(&issue) != worklog.issue {
                    self.refused(handle.move_to_issue(worklog.id, &issue));
                }
            }
            (75..81, _) => self.create_in_jira(&handle, world.now()),
            (81..87, Some(worklog)) => self.edit_in_jira(world, &handle, &worklog),
            (87..90, Some(worklog)) => {
                if let Some(jira) = worklog.jira_id {
                    let done = handle.jira_delete(jira);
                    if done.is_ok() {
                        world.observer().deletes_in_jira(&site, worklog.id);
                    }
                    self.refused(done);
                }
            }
            (_, Some(worklog)) => self.edit_both(world, &site, &worklog),
        }
        self.log_alike(world);
        world.watch();
        world.stirred();
    }

    /// Somebody logs time somewhere.
    pub fn log(&mut self, world: &World) {
        if let Some(site) = self.chance.pick(&self.sites).cloned() {
            self.create(world, &world.sim.site(&site));
            world.watch();
            world.stirred();
        }
    }

    /// Somebody logs two worklogs of which nothing but the time of day tells one from the other: both now, or the second one
    /// later.
    fn log_alike(&mut self, world: &World) {
        let Some(alikes) = &mut self.alikes else { return };
        let (is_now, is_late, is_first) = (alikes.yes(ALIKES), alikes.yes(0.5), alikes.yes(0.5));
        if !is_now {
            return;
        }
        if let Some((site, issue, content)) = self.another.take() {
            return self.refused(world.sim.site(&site).log_time(&issue, content));
        }
        let site = self.sites[usize::from(!is_first)].clone();
        let issue = format!("{}-1", project(&site));
        let secs = self.secs();
        let content = Content {
            author: "ann".to_owned(),
            start_date: self.date(),
            start_time: self.time(),
            time_spent_secs: secs,
            billable_secs: secs,
            description: Some(format!("{ALIKE}{}", self.next())),
            attributes: Default::default(),
        };
        let another = Content {
            start_time: self.time(),
            ..content.clone()
        };
        self.refused(world.sim.site(&site).log_time(&issue, content));
        match is_late {
            true => self.another = Some((site, issue, another)),
            false => self.refused(world.sim.site(&site).log_time(&issue, another)),
        }
    }

    fn create(&mut self, world: &World, handle: &SiteHandle) {
        self.tags += 1;
        let tag = format!("w{}", self.tags);
        let issue = self.issue(handle.name());
        let person = self.chance.pick(&["ann", "bob", "eve"]).copied().unwrap_or("ann");
        let mut content = Content {
            author: Self::account(person, handle.name()),
            start_date: self.date(),
            start_time: self.time(),
            time_spent_secs: self.secs(),
            billable_secs: 0,
            description: Some(self.text(&tag)),
            attributes: Default::default(),
        };
        if self.chance.yes(0.7) {
            content.billable_secs = self.secs();
        }
        if self.chance.yes(0.5) {
            content = content.attribute(SHARED, self.shared(handle.name()));
        }
        if self.chance.yes(0.5) {
            content = content.attribute(OWN, format!("own {}", self.next()));
        }
        if self.texts.as_mut().is_some_and(|texts| texts.yes(TEXTLESS)) {
            content.description = None;
        }
        let done = handle.log_time(&issue, content);
        if let Ok(id) = &done {
            world.observer().enters(handle.name(), *id, tag);
        }
        self.refused(done);
    }

    fn change(&mut self, site: &str, content: &mut Content, tag: &str) {
        // Mostly one field, as people do.
        let fields = match self.chance.yes(0.7) {
            true => 1,
            false => self.chance.between(2, 5),
        };
        for _ in 0..fields {
            match self.chance.between(0, 7) {
                0 => content.start_date = self.date(),
                1 => content.start_time = self.time(),
                2 | 3 => content.time_spent_secs = self.secs(),
                4 => content.billable_secs = self.secs(),
                5 => {
                    let value = self.shared(site);
                    content.attributes.insert(SHARED.into(), value);
                }
                6 => {
                    let value = format!("own {}", self.next());
                    content.attributes.insert(OWN.into(), value);
                }
                // Whose it is, they leave.
                _ => content.description = Some(renamed(content.description.as_deref(), self.text(tag))),
            }
        }
    }

    /// Hands a worklog to a colleague, makes it non-billable, or clears an attribute. Each of these only where its
    /// worklog never had that value: what comes back cannot be told from what was never changed.
    fn change_seldom(&mut self, world: &World, handle: &SiteHandle, content: &mut Content, tag: &str) {
        let Some(rare) = &mut self.rare else { return };
        if !rare.yes(RARE) {
            return;
        }
        world.watch();
        let observer = world.observer();
        let is_new = |field, value: &str| !observer.was_entered(tag, field, value);
        match rare.between(0, 3) {
            0 => {
                let others = EVERYBODY.iter().filter(|person| is_new(Field::Author, person));
                if let Some(person) = rare.pick(&others.collect::<Vec<_>>()) {
                    content.author = Self::account(person, handle.name());
                    content.description = content
                        .description
                        .as_deref()
                        .and_then(|text| said(named(text).1));
                }
            }
            1 if is_new(Field::Billable, "0") => content.billable_secs = 0,
            2 if is_new(Field::Shared, "") => {
                content.attributes.remove(SHARED);
            }
            3 => {
                content.attributes.remove(OWN);
            }
            _ => {}
        }
    }

    /// Clears a text, where its worklog never lacked one.
    fn clear(&mut self, world: &World, content: &mut Content, tag: &str) {
        let Some(texts) = &mut self.texts else { return };
        world.watch();
        if texts.yes(CLEARED) && !world.observer().was_entered(tag, Field::Description, "") {
            content.description = said(named(content.description.as_deref().unwrap_or_default()).0);
        }
    }

    fn edit(&mut self, world: &World, handle: &SiteHandle, worklog: &Worklog) {
        let Some(tag) = world.observer().tag_of(handle.name(), worklog) else {
            return;
        };
        let mut content = worklog.content.clone();
        self.change(handle.name(), &mut content, &tag);
        self.change_seldom(world, handle, &mut content, &tag);
        self.clear(world, &mut content, &tag);
        self.refused(handle.edit(worklog.id, |old| *old = content));
    }

    /// Two people edit both twins at the same moment.
    fn edit_both(&mut self, world: &World, site: &str, worklog: &Worklog) {
        let wanted = world.observer().tag_of(site, worklog);
        for site in self.sites.clone() {
            let handle = world.sim.site(&site);
            let twin = handle
                .worklogs()
                .into_iter()
                .find(|twin| world.observer().tag_of(&site, twin) == wanted);
            if let Some(twin) = twin {
                self.edit(world, &handle, &twin);
            }
        }
    }

    fn create_in_jira(&mut self, handle: &SiteHandle, now: Timestamp) {
        self.tags += 1;
        let tag = format!("w{}", self.tags);
        let issue = self.issue(handle.name());
        let text = self.text(&tag);
        let started = now - SignedDuration::from_secs(7 * self.next());
        let secs = self.secs();
        self.refused(handle.jira_log_time(&issue, "ann", started, secs, &text));
    }

    fn edit_in_jira(&mut self, world: &World, handle: &SiteHandle, worklog: &Worklog) {
        let tag = world.observer().tag_of(handle.name(), worklog);
        let (Some(tag), Some(jira)) = (tag, worklog.jira_id) else {
            return;
        };
        let (secs, text) = (self.secs(), self.text(&tag));
        let text = renamed(worklog.description.as_deref(), text);
        let both = self.chance.yes(0.5);
        let done = handle.jira_edit("bob", jira, |worklog| {
            worklog.time_spent_secs = secs;
            if both {
                worklog.comment = Some(text);
            }
        });
        self.refused(done);
    }
}

/// A text with the name in front that another one has.
fn renamed(old: Option<&str>, text: String) -> String {
    match named(old.unwrap_or_default()).0 {
        "" => text,
        name => format!("{name} {text}"),
    }
}

/// A text, where there is one.
fn said(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The project of a site's issues.
pub fn project(site: &str) -> &'static str {
    match site {
        "acme" => "SUP",
        "globex" => "DEV",
        _ => "OPS",
    }
}

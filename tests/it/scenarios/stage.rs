//! Plays a script: sets the worlds up, does what each line says, and tells what came of it.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::{Either, select};
use tandem_core::ConnectionName;
use tandem_engine::operator::{ItemState, QueueItem};
use tandem_engine::ports::store::{HistoryRow, Store};
use tandem_sim::{
    AttributeKind, AttributeSpec, Content, Fault, FaultOutcome, Matcher, Permission, ProjectSpec, SiteHandle,
    SiteSpec,
};

use super::script::{Arguments, Line, Script, duration, secs};
use super::show::{self, Waiting, Worlds};
use super::worker::Worker;
use crate::world::{Setup, Webhooks, World, config, site};

/// How long a worker that is to be killed may take to get there.
const KILL_PATIENCE: Duration = Duration::from_secs(120);
/// More lines of what Tandem did than this are counted instead.
const DID_MAX: usize = 16;
/// Sites by the name and the project that they have in every script.
const SITES: [(&str, &str); 3] = [("acme", "SUP"), ("globex", "DEV"), ("initech", "OPS")];

/// What was said before the first action.
struct Plan {
    sites: Vec<SiteSpec>,
    links: Vec<(usize, usize)>,
    issues: usize,
    webhooks: Webhooks,
    toml: String,
}

/// The worlds, and what was told of them so far.
pub(super) struct Stage {
    plan: Option<Plan>,
    pub(super) world: Option<World>,
    /// The linked issues by site and id: keys may change.
    pub(super) linked: Vec<Vec<(String, u64)>>,
    told: String,
    worlds: Worlds,
    waits: String,
    seen: BTreeSet<String>,
    started: Vec<(String, Worker)>,
    toml: String,
    /// How many requests there were at the last `tally`.
    pub(super) tally: usize,
    limited: bool,
}

/// A failure with its line, and what had been told until then.
pub(super) type Failure = (usize, String, String);

impl Stage {
    /// Plays a script and returns the story.
    pub(super) async fn play(script: &Script) -> Result<String, Failure> {
        // A second worker runs beside the script, on the same thread: nothing is left to chance.
        tokio::task::LocalSet::new()
            .run_until(Self::play_here(script))
            .await
    }

    async fn play_here(script: &Script) -> Result<String, Failure> {
        let mut stage = Self {
            plan: None,
            world: None,
            linked: Vec::new(),
            told: String::new(),
            worlds: Worlds::new(),
            waits: String::new(),
            seen: BTreeSet::new(),
            started: Vec::new(),
            toml: String::new(),
            tally: 0,
            limited: false,
        };
        let mut last = 0;
        for line in &script.lines {
            last = line.number;
            if line.command().is_empty() {
                stage.told.push_str(&format!("{}\n", line.text));
                continue;
            }
            stage.told.push_str(&format!("> {}\n", line.text));
            if let Err(error) = stage.perform(line).await {
                return Err((last, error, stage.told));
            }
            stage.tell().await;
        }
        match stage.manners() {
            Ok(()) => Ok(stage.told),
            Err(error) => Err((last, error, stage.told)),
        }
    }

    pub(super) fn world(&self) -> Result<&World, String> {
        self.world
            .as_ref()
            .ok_or_else(|| "a script begins with `sites`".to_owned())
    }

    fn world_mut(&mut self) -> Result<&mut World, String> {
        self.world
            .as_mut()
            .ok_or_else(|| "a script begins with `sites`".to_owned())
    }

    pub(super) fn site(&self, name: &str) -> Result<SiteHandle, String> {
        let sim = &self.world()?.sim;
        match sim.site_names().iter().any(|one| one == name) {
            true => Ok(sim.site(name)),
            false => Err(format!("there is no site `{name}`")),
        }
    }

    async fn perform(&mut self, line: &Line) -> Result<(), String> {
        let mut said = line.arguments();
        match line.command() {
            "sites" => return self.plan(said),
            "zone" | "attribute" | "project" => return self.shape(line.command(), said),
            "webhooks" if self.world.is_none() => return self.choose_webhooks(said),
            "toml" => {
                let text = line.text.trim_start()["toml".len()..].trim();
                let toml = match &mut self.plan {
                    Some(plan) => &mut plan.toml,
                    None => &mut self.toml,
                };
                toml.push_str(&format!("\n{text}\n"));
                return Ok(());
            }
            _ => {}
        }
        self.begin().await?;
        if let Some(site) = line.command().strip_suffix(':') {
            return self.person(site, said);
        }
        match line.command() {
            "webhooks" => match said.next("lost or back")?.as_str() {
                "lost" => self.world_mut()?.lose_webhooks(),
                "back" => {
                    let world = self.world_mut()?;
                    world.sim.drop_deliveries();
                    world.deliver();
                }
                other => return Err(format!("webhooks may be lost or back, not `{other}`")),
            },
            "run" => self.world()?.settle().await,
            "sweep" => self.world()?.sweep().await,
            "audit" => self.world()?.audit().await,
            "wait" => {
                let wait = duration(&said.next("how long")?)?;
                tokio::time::sleep(wait).await;
            }
            "start" => self.start(&said.next("the worker's name")?)?,
            "freeze" => self.worker(&said.next("the worker's name")?)?.freeze(),
            "thaw" => self.worker(&said.next("the worker's name")?)?.thaw(),
            "finish" => {
                for (_, worker) in self.started.drain(..) {
                    worker.finish().await;
                }
            }
            "kill" => self.kill(&mut said).await?,
            "restart" => {
                let toml = std::mem::take(&mut self.toml);
                self.world_mut()?.restart(|config| format!("{config}{toml}"));
            }
            "fault" => self.fault(&mut said)?,
            "calm" => self.world()?.sim.calm(),
            "permissions" => self.permissions(&mut said)?,
            "token" => {
                let site = self.site(&said.next("the site")?)?;
                match said.next("expires or works")?.as_str() {
                    "expires" => site.expire_tempo_tokens(),
                    "works" => site.replace_tempo_token(&format!("tempo-{}", site.name())),
                    other => return Err(format!("a token expires or works, it does not `{other}`")),
                }
            }
            "purge" => {
                let site = self.site(&said.next("the site")?)?;
                site.retention_purge(date(&said.next("the day")?)?);
            }
            "move-issue" => {
                let site = self.site(&said.next("the site")?)?;
                let (issue, project) = (said.next("the issue")?, said.next("the project")?);
                let moved = site.jira_move_issue("ann", &issue, &project);
                let key = moved.map_err(|error| error.to_string())?;
                self.told.push_str(&format!("    {issue} is {key} now\n"));
            }
            "release" => {
                let engine = &self.world()?.tandem.engine;
                let mut released = 0;
                for connection in &engine.connections {
                    let done = engine.release_mass_delete(connection).await;
                    released += done.map_err(|error| error.to_string())?;
                }
                self.told
                    .push_str(&format!("    let {released} deletes through\n"));
            }
            "retry" => {
                let retried = self.world()?.tandem.engine.retry(&[]).await;
                retried.map_err(|error| error.to_string())?;
            }
            "undelete" => self.undelete(&said.next("the worklog's text")?).await?,
            "show" => {
                let text = show::all(&show::worlds(&self.world()?.sim));
                self.told.push_str(&text);
            }
            "queue" => {
                let items = self.queue().await?;
                let text = show::waiting(&items.iter().map(|item| self.waiting(item)).collect::<Vec<_>>());
                self.told.push_str(if text.is_empty() {
                    "    nothing waits\n"
                } else {
                    &text
                });
            }
            "history" => self.tell_history().await?,
            "totals" => {
                let verdict = self.world()?.verify().await;
                for (side, totals) in [("a", verdict.totals.a), ("b", verdict.totals.b)] {
                    self.told.push_str(&format!(
                        "    {side}: {} worklogs, {}, billable {}\n",
                        totals.worklogs,
                        show::hours(totals.seconds),
                        show::hours(totals.billable)
                    ));
                }
            }
            "tally" => self.tally = self.world()?.sim.requests().len(),
            "expect" => {
                let rest = self.expect(&mut said).await;
                rest?;
            }
            other => {
                return Err(format!(
                    "there is no command `{other}`; see tests/scenarios/README.md"
                ));
            }
        }
        said.end()
    }

    // --- before the first action ---

    fn plan(&mut self, mut said: Arguments) -> Result<(), String> {
        if self.plan.is_some() || self.world.is_some() {
            return Err("`sites` stands once, before the first action".into());
        }
        let (count, links) = match said.next("two, chain or ring")?.as_str() {
            "two" => (2, vec![(0, 1)]),
            "chain" => (3, vec![(0, 1), (1, 2)]),
            "ring" => (3, vec![(0, 1), (1, 2), (2, 0)]),
            other => return Err(format!("sites are two, chain or ring, not `{other}`")),
        };
        let issues = said.option("issues").unwrap_or_else(|| "1".into());
        let issues = issues
            .parse()
            .map_err(|_| format!("`{issues}` is no number of issues"))?;
        self.plan = Some(Plan {
            // One more issue on each site that has no twin.
            sites: SITES[..count]
                .iter()
                .map(|(name, key)| site(name, key, issues + 1))
                .collect(),
            links,
            issues,
            webhooks: Webhooks::Both,
            toml: String::new(),
        });
        said.end()
    }

    fn planned(&mut self) -> Result<&mut Plan, String> {
        let late = self.world.is_some();
        self.plan.as_mut().ok_or_else(|| match late {
            true => "this has to stand before the first action".to_owned(),
            false => "a script begins with `sites`".to_owned(),
        })
    }

    fn choose_webhooks(&mut self, mut said: Arguments) -> Result<(), String> {
        self.planned()?.webhooks = match said.next("which")?.as_str() {
            "both" => Webhooks::Both,
            "tempo" => Webhooks::TempoOnly,
            "jira" => Webhooks::JiraOnly,
            "none" => Webhooks::None,
            other => return Err(format!("webhooks are both, tempo, jira or none, not `{other}`")),
        };
        said.end()
    }

    fn shape(&mut self, command: &str, mut said: Arguments) -> Result<(), String> {
        let name = said.next("the site")?;
        let sites = &mut self.planned()?.sites;
        let spec = sites.iter_mut().find(|site| site.name == name);
        let spec = spec.ok_or_else(|| format!("there is no site `{name}`"))?;
        let what = said.next("what")?;
        match command {
            "zone" => match said.option("of") {
                None => spec.time_zone = what,
                Some(person) => {
                    let user = spec.users.iter_mut().find(|user| user.account_id == person);
                    user.ok_or_else(|| format!("there is no `{person}`"))?.time_zone = Some(what);
                }
            },
            "attribute" => {
                let mut attribute =
                    AttributeSpec::new(what.as_str(), what.as_str(), AttributeKind::InputField);
                attribute.required = said.maybe().is_some_and(|word| word == "required");
                spec.attributes.push(attribute);
            }
            _ => spec.projects.push(ProjectSpec::new(what)),
        }
        said.end()
    }

    async fn begin(&mut self) -> Result<(), String> {
        if self.world.is_some() {
            return Ok(());
        }
        let plan = self.plan.take().ok_or("a script begins with `sites`")?;
        let table: Vec<(String, String)> = (1..=plan.issues)
            .map(|n| (format!("SUP-{n}"), format!("DEV-{n}")))
            .collect();
        let text = match plan.sites.len() {
            2 => config(&plan.toml, &table),
            _ => between_three(&plan),
        };
        let setup = Setup {
            sites: plan.sites,
            config: text,
            webhooks: plan.webhooks,
        };
        let world = setup.build().await;
        let names = world.sim.site_names();
        for n in 1..=plan.issues {
            let places = SITES
                .iter()
                .filter(|(name, _)| names.iter().any(|one| one == name));
            self.linked.push(
                places
                    .map(|(name, key)| {
                        (
                            (*name).to_owned(),
                            world.sim.site(name).issue_id(&format!("{key}-{n}")),
                        )
                    })
                    .collect(),
            );
        }
        self.world = Some(world);
        Ok(())
    }

    // --- people ---

    fn person(&mut self, site: &str, mut said: Arguments) -> Result<(), String> {
        let site = self.site(site)?;
        let refused = |error: tandem_sim::Refused| error.to_string();
        match said.next("what is done")?.as_str() {
            "log" => {
                let (author, issue) = (said.next("who")?, said.next("the issue")?);
                let content = entry(&author, &mut said)?;
                site.log_time(&issue, content).map_err(refused)?;
            }
            "log-many" => {
                let count: i64 = said.number("how many")?;
                let (author, issue) = (said.next("who")?, said.next("the issue")?);
                let first = entry(&author, &mut said)?;
                for n in 0..count {
                    let mut content = first.clone();
                    content.start_date = content
                        .start_date
                        .checked_add(jiff::Span::new().days(n))
                        .map_err(|error| error.to_string())?;
                    let text = content.description.unwrap_or_default();
                    content.description = Some(text.replace("{n}", &(n + 1).to_string()));
                    site.log_time(&issue, content).map_err(refused)?;
                }
            }
            "jira-log" => {
                let (author, issue) = (said.next("who")?, said.next("the issue")?);
                let started = said.next("the moment")?;
                let started = started.parse().map_err(|_| format!("`{started}` is no moment"))?;
                let spent = secs(&said.next("how long")?)? as i64;
                let text = said.next("the text")?;
                site.jira_log_time(&issue, &author, started, spent, &text)
                    .map_err(refused)?;
            }
            "edit" => {
                let id = find(&site, &said.next("the issue")?, &said.next("the text")?)?;
                let change = Change::read(&mut said)?;
                match said.option("by") {
                    Some(actor) => site.edit_as(&actor, id, |content| change.apply(content)),
                    None => site.edit(id, |content| change.apply(content)),
                }
                .map_err(refused)?;
            }
            "edit-all" => {
                let issue = said.next("the issue")?;
                let change = Change::read(&mut said)?;
                for worklog in site.worklogs_of(&issue) {
                    site.edit(worklog.id, |content| change.apply(content))
                        .map_err(refused)?;
                }
            }
            "jira-edit" => {
                let id = find(&site, &said.next("the issue")?, &said.next("the text")?)?;
                let actor = said.option("by").unwrap_or_else(|| "ann".into());
                let spent = said.option("spent").map(|text| secs(&text)).transpose()?;
                let text = said.option("text");
                let jira = site.worklog(id).and_then(|worklog| worklog.jira_id);
                site.jira_edit(&actor, jira.ok_or("Jira does not have it")?, |worklog| {
                    if let Some(spent) = spent {
                        worklog.time_spent_secs = spent as i64;
                    }
                    if text.is_some() {
                        worklog.comment = text;
                    }
                })
                .map_err(refused)?;
            }
            "delete" => {
                let (issue, text) = (said.next("the issue")?, said.next("the text")?);
                let id = match said.option("nth") {
                    None => find(&site, &issue, &text)?,
                    Some(nth) => {
                        let nth: usize = nth.parse().map_err(|_| format!("`{nth}` is no number"))?;
                        let ids = all(&site, &issue, &text);
                        *ids.get(nth.wrapping_sub(1)).ok_or("there are not so many")?
                    }
                };
                site.delete(id).map_err(refused)?;
            }
            "move" => {
                let id = find(&site, &said.next("the issue")?, &said.next("the text")?)?;
                let target = said.next("to which issue")?;
                site.move_to_issue(id, &target).map_err(refused)?;
            }
            other => return Err(format!("nobody can `{other}`; see tests/scenarios/README.md")),
        }
        said.end()
    }

    // --- what goes wrong ---

    fn fault(&mut self, said: &mut Arguments) -> Result<(), String> {
        let site = self.site(&said.next("the site")?)?;
        let what = said.next("which requests")?;
        let how = said.next("what happens")?;
        if what == "create" && how == "late" {
            let by = duration(&said.next("by how much")?)?;
            self.world()?.late.create(site.name(), by);
            return Ok(());
        }
        let mut matcher = matcher(&what)?;
        if let Some(times) = said.option("times") {
            matcher = matcher.times(times.parse().map_err(|_| format!("`{times}` is no number"))?);
        }
        if let Some(skip) = said.option("skip") {
            matcher = matcher.skip(skip.parse().map_err(|_| format!("`{skip}` is no number"))?);
        }
        let fault = match how.as_str() {
            "slow" => Fault::Slow(duration(&said.next("how slow")?)?),
            "half" => Fault::HalfBody,
            "429" => {
                self.limited = true;
                Fault::RateLimited(None)
            }
            status => {
                let outcome = match status {
                    "hangs" => FaultOutcome::Hang,
                    status => {
                        FaultOutcome::Status(status.parse().map_err(|_| format!("what is `{status}`?"))?)
                    }
                };
                match said.next("before or after it takes effect")?.as_str() {
                    "before" => Fault::LostBefore(outcome),
                    "after" => Fault::LostAfter(outcome),
                    other => return Err(format!("a request is lost before or after, not `{other}`")),
                }
            }
        };
        site.fail_next(matcher, fault);
        Ok(())
    }

    fn permissions(&mut self, said: &mut Arguments) -> Result<(), String> {
        let site = self.site(&said.next("the site")?)?;
        let how = said.next("revoke or grant")?;
        let given = match how.as_str() {
            "grant" => true,
            "revoke" => false,
            other => return Err(format!("permissions are revoked or granted, not `{other}`")),
        };
        for name in said.rest() {
            let permission = match name.as_str() {
                "browse" => Permission::Browse,
                "edit-all" => Permission::EditAll,
                "delete-all" => Permission::DeleteAll,
                "view-all" => Permission::ViewAll,
                "log-for-others" => Permission::LogForOthers,
                "set-billable" => Permission::SetBillable,
                other => return Err(format!("there is no permission `{other}`")),
            };
            site.set_permission(None, permission, given);
        }
        Ok(())
    }

    fn start(&mut self, name: &str) -> Result<(), String> {
        let tandem = self.world()?.another(name);
        let worker = Worker::start(async move {
            tandem.engine.run_due(None).await.unwrap();
        });
        self.started.push((name.to_owned(), worker));
        Ok(())
    }

    fn worker(&self, name: &str) -> Result<&Worker, String> {
        let found = self.started.iter().find(|(started, _)| started == name);
        found
            .map(|(_, worker)| worker)
            .ok_or_else(|| format!("no worker `{name}` was started"))
    }

    /// Runs what is due until a write has reached its site (or would have), and drops the run there, as a killed
    /// process leaves it: what came of the write is never heard.
    async fn kill(&mut self, said: &mut Arguments) -> Result<(), String> {
        let site = self.site(&said.next("the site")?)?;
        let what = said.next("which write")?;
        let fault = match said.next("before or after it takes effect")?.as_str() {
            "before" => Fault::LostBefore(FaultOutcome::Hang),
            "after" => Fault::LostAfter(FaultOutcome::Hang),
            other => return Err(format!("a worker is killed before or after, not `{other}`")),
        };
        site.fail_next(matcher(&what)?, fault);
        let world = self.world_mut()?;
        // Only the request that hangs is answered so.
        let hung = |world: &World| {
            let requests = world.sim.requests();
            requests.iter().filter(|request| request.status == 504).count()
        };
        let before = hung(world);
        let killed = {
            let run = async {
                loop {
                    world.tandem.engine.run_due(None).await.unwrap();
                    world.wait(1).await;
                }
            };
            let watch = async {
                while hung(world) == before {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            let both = select(Box::pin(watch), Box::pin(run));
            matches!(
                tokio::time::timeout(KILL_PATIENCE, both).await,
                Ok(Either::Left(_))
            )
        };
        if !killed {
            return Err(format!("no {what} came to {}, so nobody was killed", site.name()));
        }
        world.restart(str::to_owned);
        Ok(())
    }

    async fn undelete(&mut self, text: &str) -> Result<(), String> {
        let rows = self.history().await?;
        let row = rows
            .iter()
            .rev()
            .find(|row| {
                let body = row.before.as_ref();
                row.op == "delete" && body.is_some_and(|content| content.description == text)
            })
            .ok_or_else(|| format!("no delete of \"{text}\" is in the history"))?;
        let done = self.world()?.tandem.engine.undelete(row).await;
        done.map_err(|error| error.to_string())?;
        Ok(())
    }

    // --- telling ---

    /// Tells what a command changed: what Tandem wrote and why, the worklogs, and what waits now.
    async fn tell(&mut self) {
        if self.world.is_none() {
            return;
        }
        let rows = self.history().await.unwrap();
        let fresh: Vec<&HistoryRow> = rows.iter().filter(|row| !self.seen.contains(&row.id)).collect();
        let mut did: Vec<String> = Vec::new();
        for row in &fresh {
            let line = format!("    did: {} {}: {}", row.op, self.place(row), row.cause);
            did.push(line);
            did.extend(row.lost.iter().map(|lost| format!("    lost: {lost}")));
        }
        let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
        self.seen.extend(ids);
        let worlds = show::worlds(&self.world.as_ref().unwrap().sim);
        let changes = show::changes(&self.worlds, &worlds);
        self.worlds = worlds;
        let waits = self.waits().await;
        self.told.push_str(&show::some(did, DID_MAX));
        self.told.push_str(&changes);
        if waits != self.waits {
            self.told.push_str(if waits.is_empty() {
                "    nothing waits any more\n"
            } else {
                &waits
            });
            self.waits = waits;
        }
    }

    async fn waits(&self) -> String {
        let items = self.queue().await.unwrap();
        let waiting: Vec<Waiting> = items.iter().map(|item| self.waiting(item)).collect();
        let mut text = show::waiting(&waiting);
        let world = self.world.as_ref().unwrap();
        for name in world.sim.site_names() {
            let state = world.store.site(&name.as_str().into()).await.unwrap();
            if state.paused.is_some() {
                text.push_str(&format!("    paused: {name}\n"));
            }
        }
        text
    }

    /// What waits for more than its turn.
    pub(super) async fn queue(&self) -> Result<Vec<QueueItem>, String> {
        let items = self.world()?.tandem.engine.queue().await;
        let mut items = items.map_err(|error| error.to_string())?;
        items.retain(|item| item.is_stuck() && item.state != ItemState::Running);
        Ok(items)
    }

    fn waiting(&self, item: &QueueItem) -> Waiting {
        let issue = |key: &Option<String>| key.clone().unwrap_or_else(|| "-".into());
        Waiting {
            reason: item.reason,
            place: format!("{} ~ {}", issue(&item.a_issue), issue(&item.b_issue)),
            detail: item.detail.clone().unwrap_or_default(),
        }
    }

    async fn tell_history(&mut self) -> Result<(), String> {
        for row in self.history().await? {
            let mut text = format!("    {} {}: {}\n", row.op, self.place(&row), row.cause);
            for (mark, content) in [("-", &row.before), ("+", &row.after)] {
                if let Some(content) = content {
                    text.push_str(&format!("      {mark} {}\n", show::content(content)));
                }
            }
            for lost in &row.lost {
                text.push_str(&format!("      lost: {lost}\n"));
            }
            self.told.push_str(&text);
        }
        Ok(())
    }

    async fn history(&self) -> Result<Vec<HistoryRow>, String> {
        let world = self.world()?;
        let names: Vec<ConnectionName> = world
            .tandem
            .engine
            .connections
            .iter()
            .map(|one| one.name.clone())
            .collect();
        let rows = world.store.history(&names, None, 100_000).await;
        let mut rows = rows.map_err(|error| error.to_string())?;
        // As the command leaves them out: what had to be remembered, not done.
        rows.retain(|row| row.op != "agree");
        // Ids end in what differs from run to run; what happened at one moment is told in a settled order.
        rows.sort_by(|left, right| {
            let key = |row: &HistoryRow| {
                (
                    row.time,
                    row.connection.clone(),
                    row.side,
                    row.worklog,
                    row.op.clone(),
                )
            };
            key(left).cmp(&key(right))
        });
        Ok(rows)
    }

    fn place(&self, row: &HistoryRow) -> String {
        let world = self.world.as_ref().unwrap();
        let engine = &world.tandem.engine;
        let Some(connection) = engine.connection(&row.connection) else {
            return row.connection.to_string();
        };
        let name = connection.sites[row.side].to_string();
        let key = world
            .sim
            .site(&name)
            .issue_key(row.issue.unwrap().0)
            .unwrap_or_default();
        let worklog = row.worklog.map(|id| format!(" #{id}")).unwrap_or_default();
        format!("{name} {key}{worklog}")
    }

    /// What no script may end with: a site that was asked too often or for what it does not have.
    fn manners(&self) -> Result<(), String> {
        let Some(world) = &self.world else {
            return Err("nothing happened".into());
        };
        let violations = world.sim.violations();
        if let Some(first) = violations.first() {
            return Err(format!("{} violations, first {first:?}", violations.len()));
        }
        for name in world.sim.site_names() {
            let site = world.sim.site(&name);
            let limited = site.tempo_rate().answered_429 + site.jira_rate().answered_429;
            if limited > 0 && !self.limited {
                return Err(format!("{name} answered 429 {limited} times"));
            }
        }
        Ok(())
    }
}

/// What an edit says.
struct Change {
    author: Option<String>,
    day: Option<jiff::civil::Date>,
    time: Option<jiff::civil::Time>,
    spent: Option<i64>,
    billable: Option<i64>,
    text: Option<String>,
    attributes: Vec<(String, String)>,
}

impl Change {
    fn read(said: &mut Arguments) -> Result<Self, String> {
        Ok(Self {
            author: said.option("author"),
            day: said.option("day").map(|text| date(&text)).transpose()?,
            time: said.option("time").map(|text| time(&text)).transpose()?,
            spent: said
                .option("spent")
                .map(|text| secs(&text))
                .transpose()?
                .map(|secs| secs as i64),
            billable: said
                .option("billable")
                .map(|text| secs(&text))
                .transpose()?
                .map(|secs| secs as i64),
            text: said.option("text"),
            attributes: said.options("attr:"),
        })
    }

    /// As Tempo's form does it: billable hours follow the time until somebody sets them apart.
    fn apply(&self, content: &mut Content) {
        let follows = content.billable_secs == content.time_spent_secs;
        if let Some(author) = &self.author {
            content.author.clone_from(author);
        }
        content.start_date = self.day.unwrap_or(content.start_date);
        content.start_time = self.time.unwrap_or(content.start_time);
        content.time_spent_secs = self.spent.unwrap_or(content.time_spent_secs);
        if follows {
            content.billable_secs = content.time_spent_secs;
        }
        content.billable_secs = self.billable.unwrap_or(content.billable_secs);
        if let Some(text) = &self.text {
            content.description = Some(text.clone());
        }
        content.attributes.extend(self.attributes.iter().cloned());
    }
}

/// `DAY TIME DURATION TEXT` with `billable=` and `attr:KEY=`.
fn entry(author: &str, said: &mut Arguments) -> Result<Content, String> {
    let (day, start) = (date(&said.next("the day")?)?, time(&said.next("the time")?)?);
    let spent = secs(&said.next("how long")?)? as i64;
    let text = said.next("the text")?;
    let mut content = Content::new(author, &day.to_string(), &start.to_string(), spent).text(text);
    if let Some(billable) = said.option("billable") {
        content.billable_secs = secs(&billable)? as i64;
    }
    content.attributes.extend(said.options("attr:"));
    Ok(content)
}

pub(super) fn date(text: &str) -> Result<jiff::civil::Date, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is no day; write 2026-03-02"))
}

pub(super) fn time(text: &str) -> Result<jiff::civil::Time, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is no time of day; write 13:30"))
}

/// The one worklog of an issue that says this.
pub(super) fn find(site: &SiteHandle, issue: &str, text: &str) -> Result<u64, String> {
    match all(site, issue, text).as_slice() {
        [id] => Ok(*id),
        [] => Err(format!("no worklog of {issue} says \"{text}\"")),
        many => Err(format!("{} worklogs of {issue} say \"{text}\"", many.len())),
    }
}

/// All that say this, oldest first.
fn all(site: &SiteHandle, issue: &str, text: &str) -> Vec<u64> {
    site.worklogs_of(issue)
        .iter()
        .filter(|worklog| worklog.description.as_deref().unwrap_or_default() == text)
        .map(|worklog| worklog.id)
        .collect()
}

fn matcher(what: &str) -> Result<Matcher, String> {
    Ok(match what {
        "any" => Matcher::any(),
        "create" => Matcher::tempo("POST", "/4/worklogs"),
        "update" => Matcher::tempo("PUT", "/4/worklogs/{id}"),
        "delete" => Matcher::tempo("DELETE", "/4/worklogs/{id}"),
        "read" => Matcher::tempo("GET", "/4/worklogs/{id}"),
        "list" => Matcher::tempo("GET", "/4/worklogs/issue/{issueId}"),
        "changes" => Matcher::tempo("POST", "/4/worklogs/search"),
        "audit-trail" => Matcher::tempo("POST", "/4/papertrail/search"),
        other => return Err(format!("there are no requests called `{other}`")),
    })
}

fn between_three(plan: &Plan) -> String {
    let mut text = String::new();
    for (name, _) in SITES {
        text.push_str(&format!(
            "[sites.{name}]\njira = \"http://127.0.0.1:1/jira/{name}\"\ntempo = \"http://127.0.0.1:1/tempo\"\n\
             secret = \"env:{}\"\n",
            name.to_uppercase()
        ));
    }
    for &(a, b) in &plan.links {
        let ((a, a_key), (b, b_key)) = (SITES[a], SITES[b]);
        let table: Vec<String> = (1..=plan.issues)
            .map(|n| format!("[\"{a_key}-{n}\", \"{b_key}-{n}\"]"))
            .collect();
        text.push_str(&format!(
            "[[connections]]\nname = \"{a}-{b}\"\na = \"{a}\"\nb = \"{b}\"\nsince = \"2026-01-01\"\n\
             [connections.links]\ntable = [{}]\n{}",
            table.join(", "),
            plan.toml
        ));
    }
    text
}

//! What people see: a picture that is drawn again and again in a terminal, plain lines elsewhere.

use std::collections::{BTreeMap, VecDeque};
use std::io::{IsTerminal, Write, stdout};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tandem_engine::operator::QueueItem;
use tandem_engine::ports::store::HistoryRow;
use tandem_runtime::wiring::Tandem;
use tandem_sim::{Sim, Worklog};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::people::told;
use super::world::{LINKS, PEOPLE, World};
use crate::{output, words};

/// How often the picture is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(400);

/// Lines of history that are looked through for news.
const NEWS_MAX: usize = 200;

/// How much fits into a small terminal.
const ROWS: usize = 11;
const EVENTS: usize = 6;
const WAITING: usize = 3;

/// The stage.
#[derive(Clone)]
pub(super) struct Show {
    begun: Instant,
    style: Style,
    events: Arc<Mutex<VecDeque<String>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// A picture.
    Picture,
    /// Lines on stdout.
    Lines,
    /// Lines on stderr: stdout is for the result as JSON.
    Aside,
}

impl Show {
    pub(super) fn new(json: bool) -> Self {
        let style = match (json, stdout().is_terminal()) {
            (true, _) => Style::Aside,
            (false, true) => Style::Picture,
            (false, false) => Style::Lines,
        };
        Self {
            begun: Instant::now(),
            style,
            events: Arc::default(),
        }
    }

    /// Says something that stays.
    pub(super) fn say(&self, text: impl AsRef<str>) {
        match self.style {
            Style::Lines => drop(output::data(text)),
            Style::Picture | Style::Aside => output::say(text),
        }
    }

    /// Tells that something happened.
    pub(super) fn tell(&self, who: &str, what: impl AsRef<str>) {
        let time = self.begun.elapsed().as_secs_f32();
        let line = output::plain(&format!("{time:5.1}s {who:<7} {}", what.as_ref()));
        match self.style {
            Style::Picture => {
                let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
                events.push_back(line);
                if events.len() > EVENTS {
                    events.pop_front();
                }
            }
            Style::Lines => drop(output::data(line)),
            Style::Aside => output::say(line),
        }
    }

    /// Watches the world and shows how it changes.
    pub(super) fn watch(&self, world: &World) -> JoinHandle<()> {
        let (show, sim, tandem) = (self.clone(), world.sim.clone(), Arc::clone(&world.tandem));
        tokio::spawn(async move {
            let mut told = BTreeMap::new();
            let mut last = String::new();
            if show.style == Style::Picture {
                show.write("\x1b[2J\x1b[?25l");
            }
            loop {
                tokio::time::sleep(DRAW_EVERY).await;
                let items = tandem.engine.queue().await.unwrap_or_default();
                show.news(&sim, &tandem, &mut told).await;
                let line = format!("{}; {}", totals(&sim), waiting(&items));
                if show.style == Style::Picture {
                    show.draw(&sim, &items, &line, tandem.engine.clock.now());
                } else if line != last {
                    show.tell("ledger", &line);
                    last = line;
                }
            }
        })
    }

    /// Tells what Tandem did since it was last looked.
    async fn news(&self, sim: &Sim, tandem: &Tandem, told: &mut BTreeMap<String, ()>) {
        let names: Vec<_> = tandem
            .engine
            .connections
            .iter()
            .map(|one| one.name.clone())
            .collect();
        let Ok(rows) = tandem.engine.store.history(&names, None, NEWS_MAX).await else {
            return;
        };
        for row in rows {
            if told.insert(row.id.clone(), ()).is_none() {
                self.tell("tandem", line(sim, tandem, &row));
            }
        }
    }

    fn draw(&self, sim: &Sim, items: &[QueueItem], line: &str, now: jiff::Timestamp) {
        let mut lines = vec![format!(
            "Tandem between acme and globex, {:.0} s",
            self.begun.elapsed().as_secs_f32()
        )];
        lines.push(String::new());
        lines.extend(newest(sim).lines().map(ToOwned::to_owned));
        lines.push(String::new());
        lines.push(line.to_owned());
        lines.extend(items.iter().take(WAITING).map(|item| {
            format!(
                "  {} {} ~ {} {} {}",
                item.state.as_str(),
                item.a_issue.as_deref().unwrap_or("-"),
                item.b_issue.as_deref().unwrap_or("-"),
                item.reason.map(|reason| reason.to_string()).unwrap_or_default(),
                item.next_attempt
                    .map(|at| words::ahead(at, now))
                    .unwrap_or_default(),
            )
        }));
        lines.push(String::new());
        lines.extend(
            self.events
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
                .cloned(),
        );
        // Without wrapping: a long line is cut by the terminal.
        let mut frame = String::from("\x1b[?7l\x1b[H");
        for line in lines {
            frame.push_str(&line);
            frame.push_str("\x1b[K\r\n");
        }
        frame.push_str("\x1b[J\x1b[?7h");
        self.write(&frame);
    }

    /// Gives the terminal back.
    pub(super) fn end(&self) {
        if self.style == Style::Picture {
            self.write("\x1b[H\x1b[2J\x1b[?7h\x1b[?25h");
        }
    }

    fn write(&self, text: &str) {
        let mut out = stdout().lock();
        // A terminal that is gone needs no picture.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// What Tandem did, in a line.
fn line(sim: &Sim, tandem: &Tandem, row: &HistoryRow) -> String {
    let site = tandem
        .engine
        .connection(&row.connection)
        .map(|one| one.sites[row.side].to_string())
        .unwrap_or_default();
    let key = row.issue.and_then(|issue| sim.site(&site).issue_key(issue.0));
    let key = key.unwrap_or_default();
    let content = row.after.as_ref().or(row.before.as_ref());
    let text = content
        .map(|content| content.description.as_str())
        .unwrap_or_default();
    let number = text.split_whitespace().next().unwrap_or_default();
    format!("{} {number} on {site} {key} ({})", row.op, row.cause)
}

/// What each site adds up to.
fn totals(sim: &Sim) -> String {
    let one = |site: &str| {
        let worklogs = sim.worklogs(site);
        let secs: i64 = worklogs.iter().map(|worklog| worklog.time_spent_secs).sum();
        let worked = words::hours(u64::try_from(secs).unwrap_or(0));
        format!("{site} {}, {worked}", words::count(worklogs.len(), "worklog"))
    };
    format!("{} | {}", one("acme"), one("globex"))
}

fn waiting(items: &[QueueItem]) -> String {
    if items.is_empty() {
        return "nothing waits".to_owned();
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for item in items {
        let reason = item
            .reason
            .map(|reason| format!(" ({reason})"))
            .unwrap_or_default();
        *counts
            .entry(format!("{}{reason}", item.state.as_str()))
            .or_default() += 1;
    }
    let counts: Vec<String> = counts
        .into_iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    format!("queue: {}", counts.join(", "))
}

/// Both sites' worklogs side by side, all of them.
pub(super) fn ledger(world: &World) -> String {
    laid_out(rows(&world.sim))
}

/// The ones that changed last.
fn newest(sim: &Sim) -> String {
    let mut rows = rows(sim);
    rows.sort_by_key(|row| std::cmp::Reverse(row.changed));
    rows.truncate(ROWS);
    rows.sort_by_key(|row| row.link);
    laid_out(rows)
}

struct Row {
    link: usize,
    changed: jiff::Timestamp,
    cells: [String; 2],
}

/// A row for each number, or for each worklog without one.
fn rows(sim: &Sim) -> Vec<Row> {
    let mut rows: BTreeMap<(usize, String), Row> = BTreeMap::new();
    for (index, link) in LINKS.iter().enumerate() {
        for (side, (site, key)) in [("acme", link.0), ("globex", link.1)].into_iter().enumerate() {
            for worklog in sim.site(site).worklogs_of(key) {
                let number = format!("{:>6}", super::people::tag(&worklog.content));
                let row = rows.entry((index, number)).or_insert_with(|| Row {
                    link: index,
                    changed: worklog.updated_at,
                    cells: Default::default(),
                });
                row.changed = row.changed.max(worklog.updated_at);
                if !row.cells[side].is_empty() {
                    row.cells[side].push_str(" + ");
                }
                row.cells[side].push_str(&cell(&worklog));
            }
        }
    }
    rows.into_values().collect()
}

fn laid_out(rows: Vec<Row>) -> String {
    let rows = rows.into_iter().map(|row| {
        let [acme, globex] = row.cells;
        vec![
            LINKS[row.link].0.to_owned(),
            acme,
            LINKS[row.link].1.to_owned(),
            globex,
        ]
    });
    output::table(&["ACME", "", "GLOBEX", ""], rows.collect())
}

fn cell(worklog: &Worklog) -> String {
    let first = name_of(&worklog.author).split(' ').next().unwrap_or_default();
    output::short(&format!("{first} {}", told(&worklog.content)), 46)
}

/// The name of whoever has this account, on either site.
pub(super) fn name_of(account: &str) -> &str {
    let person = PEOPLE
        .iter()
        .find(|(_, acme, globex)| *acme == account || *globex == account);
    person.map_or(account, |(name, _, _)| name)
}

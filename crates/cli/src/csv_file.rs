//! Importing pairs from a CSV file: the good lines are kept, the bad ones told with their numbers.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use tandem_runtime::pairs::{self, Kind, Line};
use tokio::sync::watch;

use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::{output, words};

/// Reads a file's lines.
pub(crate) fn read(path: &Path, kind: Kind) -> Result<Vec<Line>, Failure> {
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", path.display())))?;
    if let Some(otherwise) = otherwise(&bytes) {
        return Err(Failure::usage(format!(
            "{} {otherwise}; save it as CSV in UTF-8, with commas between the columns",
            path.display()
        )));
    }
    let lines = pairs::read(kind, &bytes);
    if lines.is_empty() {
        output::say(format!(
            "note: {} holds no line to take in: it is empty, or has nothing but remarks and the names of its columns",
            path.display()
        ));
    }
    Ok(lines)
}

/// Says how a file is saved whose every line would be a bad one.
fn otherwise(bytes: &[u8]) -> Option<&'static str> {
    // No text of keys and account ids holds a zero, and every letter of theirs in UTF-16 does. One here and there is its
    // line's fault.
    let zeros = |from: usize| {
        bytes
            .iter()
            .skip(from)
            .step_by(2)
            .filter(|byte| **byte == 0)
            .count()
    };
    let is_wide = |from: usize| zeros(from) * 4 > bytes.len() && zeros(1 - from) * 20 < bytes.len();
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") || is_wide(0) || is_wide(1) {
        return Some("is saved as UTF-16");
    }
    let odd = bytes
        .iter()
        .filter(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace());
    if odd.count() * 20 > bytes.len() {
        return Some("holds no text");
    }
    let mut lines = bytes
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .map(<[u8]>::trim_ascii);
    if bytes.contains(&b',')
        && lines
            .clone()
            .any(|line| !line.starts_with(b"#") && line.contains(&b','))
    {
        return None;
    }
    let first = lines.find(|line| !line.is_empty() && !line.starts_with(b"#"))?;
    let parted = [
        (b';', "has its columns parted by `;`"),
        (b'\t', "has its columns parted by tabs"),
    ];
    parted
        .into_iter()
        .find_map(|(by, said)| first.contains(&by).then_some(said))
}

/// How far an import is, told on stderr from time to time: sites allow few requests, and a file may name thousands.
pub(crate) struct Progress {
    total: usize,
    told: Instant,
}

impl Progress {
    /// Begins with so many lines to go.
    pub(crate) fn begin(total: usize) -> Self {
        Self {
            total,
            told: Instant::now(),
        }
    }

    /// Says that so many are done, unless that was said just now.
    pub(crate) fn tell(&mut self, done: usize) {
        if self.told.elapsed() >= output::TELLS_EVERY {
            self.told = Instant::now();
            output::say(format!("{done} of {}", words::count(self.total, "line")));
        }
    }
}

/// Ctrl-C, as an import hears of it: between two lines, so that what was made is told of and followed up.
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Begins to listen.
    pub(crate) fn listen() -> Self {
        let (heard, stop) = watch::channel(false);
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                let _ = heard.send(true);
            }
        });
        Self(stop)
    }

    /// Says whether somebody has pressed it.
    pub(crate) fn is_wanted(&self) -> bool {
        *self.0.borrow()
    }

    /// Does what only looks until it is done or somebody presses it: then nothing.
    pub(crate) async fn or<T>(&self, look: impl Future<Output = T>) -> Option<T> {
        let mut stop = self.0.clone();
        let pressed = async {
            if stop.wait_for(|pressed| *pressed).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            done = look => Some(done),
            () = pressed => None,
        }
    }
}

/// What ends an import that was stopped.
pub(crate) fn stopped(left: usize) -> Failure {
    Failure::failed(format!(
        "stopped; {} to go: what was taken in stays, and the same command goes on with the rest",
        words::count(left, "line")
    ))
}

/// A line that says what it should: its number, and side a's issue or account, then side b's.
pub(crate) type Good = (u64, (String, String));

/// What came of an import.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Imported {
    pub(crate) new: usize,
    pub(crate) already: usize,
    bad: Vec<Bad>,
}

/// A line that was not taken, and why.
#[derive(Debug, Serialize)]
struct Bad {
    line: u64,
    message: String,
}

impl Imported {
    /// Begins with a file's lines: the bad ones are told of at the end, the good ones are returned.
    pub(crate) fn begin(lines: Vec<Line>) -> (Self, Vec<Good>) {
        let mut imported = Self::default();
        let mut good = Vec::new();
        for Line { number, pair } in lines {
            match pair {
                Ok(pair) => good.push((number, pair)),
                Err(message) => imported.refuse(number, message),
            }
        }
        (imported, good)
    }

    /// Notes that a line was not taken.
    pub(crate) fn refuse(&mut self, line: u64, message: String) {
        self.bad.push(Bad { line, message });
    }

    /// Tells what came of it. `done` says what became of those that are new, and `already` of those that were there.
    pub(crate) fn tell(
        mut self,
        global: &Global,
        file: &Path,
        done: &str,
        already: &str,
    ) -> Result<Ending, Failure> {
        self.bad.sort_by_key(|bad| bad.line);
        for bad in &self.bad {
            output::say(format!("{}:{}: {}", file.display(), bad.line, bad.message));
        }
        if global.json {
            output::json(&self)?;
        } else {
            output::say(format!(
                "{done}, {} {already}, {}",
                self.already,
                words::count(self.bad.len(), "bad line")
            ));
        }
        Ok(Ending::differs_if(!self.bad.is_empty()))
    }
}

//! How far a backfill is: a bar on a terminal, lines elsewhere.

use std::cell::Cell;
use std::fmt::Write;
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tandem_engine::backfill::Standing;

use crate::{output, words};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How long it has to go on until what is left follows from it: the first writes go out all at once.
const TOLD_AFTER: Duration = Duration::from_secs(3);

pub(super) struct Progress {
    /// Worklogs to write, per link.
    expected: Vec<u64>,
    /// What had been written before this command began, per link: an interrupted one goes on counting.
    before: Vec<u64>,
    total: u64,
    begun: Instant,
    /// `None` where there is no terminal.
    bar: Option<ProgressBar>,
    last: Cell<Option<(Instant, u64)>>,
    done: Cell<u64>,
}

impl Progress {
    pub(super) fn new(expected: Vec<u64>, before: &[Standing]) -> Self {
        let total = expected.iter().sum();
        let bar = (total > 0 && stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:30} {line}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            let line = move |state: &ProgressState, out: &mut dyn Write| {
                // It is for eyes alone: what cannot be written is left out.
                let _ = out.write_str(&line(state.pos(), total, state.elapsed()));
            };
            bar.set_style(style.with_key("line", line));
            bar.enable_steady_tick(Duration::from_millis(500));
            output::draw(Some(bar.clone()));
            bar
        });
        Self {
            expected,
            before: before.iter().map(Standing::written).collect(),
            total,
            begun: Instant::now(),
            bar,
            last: Cell::new(None),
            done: Cell::new(0),
        }
    }

    /// Shows how the links stand.
    pub(super) fn tell(&self, standing: &[Standing]) {
        let done: u64 = standing
            .iter()
            .zip(self.expected.iter().zip(&self.before))
            .map(|(standing, (expected, before))| match standing {
                Standing::Done { .. } => *expected,
                other => other.written().saturating_sub(*before).min(*expected),
            })
            .sum();
        self.done.set(done);
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            return;
        }
        let now = Instant::now();
        let due = match self.last.get() {
            Some((at, before)) => done != before && (done == self.total || now - at >= LINE_EVERY),
            None => self.total > 0,
        };
        if due {
            self.last.set(Some((now, done)));
            output::say(line(done, self.total, self.begun.elapsed()));
        }
    }

    /// How far it is, such as `61 of 122 worklogs`.
    pub(super) fn place(&self) -> String {
        format!("{} of {} worklogs", self.done.get(), self.total)
    }

    pub(super) fn stop(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            output::draw(None);
        }
    }
}

/// `1200 of 20000 worklogs (6 %), 96.0 a second, 3 min left`
fn line(done: u64, total: u64, elapsed: Duration) -> String {
    let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
    let mut text = format!("{done} of {total} worklogs ({percent} %)");
    if done == 0 || done < total && elapsed < TOLD_AFTER {
        return text;
    }
    let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
    text.push_str(&format!(", {rate:.1} a second"));
    if done < total {
        let left = (total - done) as f64 / rate;
        text.push_str(&format!(", {} left", words::secs(left)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_interrupted_command_wrote_is_not_counted_again() {
        let due = |written| Standing::Due {
            written,
            at: jiff::Timestamp::UNIX_EPOCH,
            attempts: 0,
            reason: None,
            detail: None,
        };
        let progress = Progress::new(vec![450], &[due(2150)]);
        progress.tell(&[due(2150)]);
        assert_eq!(progress.place(), "0 of 450 worklogs");
        progress.tell(&[due(2200)]);
        assert_eq!(progress.place(), "50 of 450 worklogs");
        progress.tell(&[Standing::Done { written: 2600 }]);
        assert_eq!(progress.place(), "450 of 450 worklogs");
    }

    #[test]
    fn a_line_tells_rate_and_time_left() {
        let text = line(1200, 20_000, Duration::from_secs(12));
        assert_eq!(text, "1200 of 20000 worklogs (6 %), 100.0 a second, 3 min left");
        assert_eq!(line(0, 5, Duration::ZERO), "0 of 5 worklogs (0 %)");
        // The first writes go out all at once: nothing follows from them.
        assert_eq!(
            line(50, 20_000, Duration::from_millis(20)),
            "50 of 20000 worklogs (0 %)"
        );
        assert_eq!(
            line(19_999, 20_000, Duration::from_secs(100)),
            "19999 of 20000 worklogs (99 %), 200.0 a second, 1 s left"
        );
        assert_eq!(
            line(5, 5, Duration::from_secs(5)),
            "5 of 5 worklogs (100 %), 1.0 a second"
        );
    }
}

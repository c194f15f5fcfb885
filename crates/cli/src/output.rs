//! Writing to stdout and stderr.

use std::io::{BufWriter, ErrorKind, Write, stderr, stdout};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use console::{Term, measure_text_width};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::ending::Failure;

/// Writes data to stdout. A reader that has seen enough is no failure.
pub(crate) fn data(text: impl AsRef<str>) -> Result<(), Failure> {
    let mut out = stdout().lock();
    let written = writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Failed(error.into())),
        _ => Ok(()),
    }
}

/// Writes data to stdout as JSON, as it comes: it may be more than fits in memory.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let mut out = BufWriter::new(stdout().lock());
    let json = serde_json::to_writer_pretty(&mut out, value);
    let json = json.map_err(|error| match error.io_error_kind() {
        Some(kind) => Failure::from(std::io::Error::from(kind)),
        None => Failure::Failed(error.into()),
    });
    written(json.and_then(|()| Ok(writeln!(out).and_then(|()| out.flush())?)))
}

/// Forgives a reader of stdout that has seen enough.
pub(crate) fn written(result: Result<(), Failure>) -> Result<(), Failure> {
    match result {
        Err(Failure::Failed(error))
            if error
                .downcast_ref::<std::io::Error>()
                .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe) =>
        {
            Ok(())
        }
        result => result,
    }
}

/// How often what takes long says on stderr how far it is.
pub(crate) const TELLS_EVERY: Duration = Duration::from_secs(5);

/// Tells a person something, on stderr.
pub(crate) fn say(text: impl AsRef<str>) {
    // There is nobody left to tell when this fails.
    let _ = above(|| writeln!(stderr().lock(), "{}", text.as_ref()));
}

/// The bar that is drawn over itself on stderr just now.
static DRAWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Says which bar is drawn from now on, if any.
pub(crate) fn draw(bar: Option<ProgressBar>) {
    *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}

/// Writes lines to stderr, above what is drawn there: whatever goes to it past this tears the bar.
pub(crate) fn above<T>(write: impl FnOnce() -> T) -> T {
    match &*DRAWN.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Lays rows out in columns, without lines around them. In a terminal that is too narrow for that, long cells go on
/// below.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    fitting(header, rows, columns())
}

/// The same, however wide it gets.
pub(crate) fn unbroken(header: &[&str], rows: Vec<Vec<String>>) -> String {
    fitting(header, rows, None)
}

/// The same, in so many columns. Where not even the headings fit, each row is shown by itself.
pub(crate) fn fitting(header: &[&str], rows: Vec<Vec<String>>, columns: Option<u16>) -> String {
    let mut table = in_columns(&rows);
    table.set_header(header.to_vec());
    let text = laid_out(&table);
    let Some(columns) = columns.filter(|columns| !fits(&text, Some(*columns))) else {
        return text;
    };
    let text = narrowed(table, columns);
    let is_whole = |word: &str| text.split_whitespace().any(|one| one == word);
    if header
        .iter()
        .flat_map(|title| title.split_whitespace())
        .all(is_whole)
    {
        return text;
    }
    let widest = header
        .iter()
        .map(|title| measure_text_width(title))
        .max()
        .unwrap_or(0);
    let by_itself = |row: Vec<String>| {
        // Of one width in all rows.
        let titles = header.iter().map(|title| format!("{title:widest$}"));
        let lines: Vec<Vec<String>> = titles.zip(row).map(|(title, cell)| vec![title, cell]).collect();
        narrowed(in_columns(&lines), columns)
    };
    rows.into_iter().map(by_itself).collect::<Vec<_>>().join("\n\n")
}

fn in_columns(rows: &[Vec<String>]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    for row in rows {
        table.add_row(row.iter().map(|cell| plain(cell)));
    }
    table
}

fn narrowed(mut table: Table, columns: u16) -> String {
    // One more for the blank that each line begins with.
    table
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(columns.saturating_add(1));
    laid_out(&table)
}

/// The columns of the terminal that data goes to, or those that `COLUMNS` says it has; `None` where it goes elsewhere.
pub(crate) fn columns() -> Option<u16> {
    let terminal = Term::stdout();
    let (_, columns) = terminal.size_checked().filter(|_| terminal.is_term())?;
    let said = std::env::var("COLUMNS").ok().and_then(|said| said.parse().ok());
    said.or(Some(columns)).filter(|columns| *columns > 0)
}

/// Says whether no line is longer than the terminal is wide.
pub(crate) fn fits(text: &str, columns: Option<u16>) -> bool {
    columns.is_none_or(|columns| {
        text.lines()
            .all(|line| measure_text_width(line) <= usize::from(columns))
    })
}

fn laid_out(table: &Table) -> String {
    let text = table.to_string();
    text.lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Takes from a text what could move a terminal's cursor or colour, or turn round how it is read: others wrote it.
pub(crate) fn plain(text: &str) -> String {
    let turns = |letter| matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|letter| {
            if letter.is_control() || turns(letter) {
                ' '
            } else {
                letter
            }
        })
        .collect()
}

/// Cuts a text to so many characters.
pub(crate) fn short(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some(_) => text.chars().take(chars.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_letters() {
        assert_eq!(short("grün", 4), "grün");
        assert_eq!(short("grüner", 4), "grü…");
    }

    #[test]
    fn a_table_is_no_wider_than_the_terminal() {
        let row = || {
            vec![
                "acme".to_owned(),
                "paused 3 min ago: the token is not accepted".to_owned(),
                "Jira's feed".to_owned(),
            ]
        };
        let header = ["SITE", "HEALTH", "DELETES ARE READ FROM"];
        let wide = fitting(&header, vec![row()], None);
        assert_eq!(wide.lines().count(), 2, "{wide}");
        assert_eq!(fitting(&header, vec![row()], Some(200)), wide);
        for columns in [60, 40] {
            let narrow = fitting(&header, vec![row()], Some(columns));
            assert!(fits(&narrow, Some(columns)), "{columns}:\n{narrow}");
            assert!(narrow.contains("paused") && narrow.contains("token"), "{narrow}");
        }
    }

    #[test]
    fn where_a_heading_would_be_broken_each_row_is_shown_by_itself() {
        let header = [
            "SITE",
            "HEALTH",
            "LAST SWEEP",
            "DELETES ARE READ FROM",
            "TEMPO'S WEBHOOKS",
        ];
        let row = |site: &str| {
            [site, "ok", "3 min ago", "Tempo's audit trail", "ok"]
                .map(str::to_owned)
                .to_vec()
        };
        let narrow = fitting(&header, vec![row("acme"), row("globex")], Some(40));
        assert!(fits(&narrow, Some(40)), "{narrow}");
        let words = header.iter().flat_map(|title| title.split(' '));
        for word in words {
            let times = narrow.split_whitespace().filter(|one| *one == word).count();
            assert_eq!(times, 2, "{word}:\n{narrow}");
        }
        assert!(
            narrow.contains("SITE                   acme\n") && narrow.contains("\n\nSITE"),
            "{narrow}"
        );
    }

    #[test]
    fn what_others_wrote_moves_no_cursor() {
        assert_eq!(plain("a\u{1b}[2Jb\nc"), "a [2Jb c");
        assert_eq!(plain("a\u{202e}b\u{2066}c"), "a b c");
    }
}

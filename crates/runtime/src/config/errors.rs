//! Mistakes, and how they are shown to people.

use std::fmt;
use std::ops::Range;

/// How much of a long source line is shown.
const EXCERPT_CHARS_MAX: usize = 120;
/// Where the marked place begins in the excerpt of a long line.
const EXCERPT_CHARS_BEFORE: usize = 50;

/// Why there is no configuration. The text is for people and has several lines.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read; the source says why.
    #[error(
        "cannot read the configuration {file}; name one with --config; README.md shows what goes into it"
    )]
    Read {
        /// The file.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text has mistakes.
    #[error("{}", Listing(.problems, *.more))]
    Invalid {
        /// At least one mistake, in the file's order.
        problems: Vec<Problem>,
        /// How many more there are that are not listed.
        more: usize,
    },
}

impl ConfigError {
    /// Returns the mistakes in the text; none when it could not be read.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Read { .. } => &[],
            Self::Invalid { problems, .. } => problems,
        }
    }

    /// Returns what to say of it in a log: where the mistakes are and at which keys, and nothing of what is written there,
    /// which may be a person's account.
    pub fn unsaid(&self) -> impl fmt::Display {
        match self {
            Self::Read { file, .. } => format!("{file} cannot be read"),
            Self::Invalid { problems, more } => {
                let more = match more {
                    0 => String::new(),
                    more => format!("; and {more} more"),
                };
                let places: Vec<_> = problems
                    .iter()
                    .map(|problem| problem.place().to_string())
                    .collect();
                format!("{}{more}", places.join("; "))
            }
        }
    }
}

/// One mistake in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, counted in characters.
    pub column: usize,
    /// The key that it is about, where that is one of Tandem's own.
    pub key: Option<&'static str>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub right: String,
    /// The line in question, without anything that may be a secret.
    pub excerpt: String,
    /// Which characters of the excerpt are meant.
    pub marked: Range<usize>,
}

impl Problem {
    /// Returns where it is, without a word of what is there.
    fn place(&self) -> impl fmt::Display {
        let at = self.key.map(|key| format!(", at `{key}`")).unwrap_or_default();
        format!("{}, line {}, column {}{at}", self.file, self.line, self.column)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let indent = " ".repeat(self.marked.start);
        let carets = "^".repeat(self.marked.len().max(1));
        writeln!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        writeln!(f, "  {number} | {}", self.excerpt)?;
        writeln!(f, "  {gutter} | {indent}{carets}")?;
        write!(f, "  right: {}", self.right)
    }
}

struct Listing<'a>(&'a [Problem], usize);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            problem.fmt(f)?;
        }
        if self.1 > 0 {
            write!(f, "\n\nand {} more", self.1)?;
        }
        Ok(())
    }
}

/// Returns the number of the line, from 1, that a byte is on.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// A mistake whose place is still a range of bytes.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) span: Range<usize>,
    pub(super) key: Option<&'static str>,
    pub(super) message: String,
    pub(super) right: String,
}

impl Draft {
    /// Finds the mistake's line and puts it beside it. Bytes in `hidden` are not shown.
    pub(super) fn locate(self, file: &str, text: &str, hidden: &[Range<usize>]) -> Problem {
        let at = self.span.start.min(text.len());
        let end = self.span.end.max(at + 1);
        let start_of_line = text.as_bytes()[..at]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |i| i + 1);
        let line = text
            .get(start_of_line..)
            .unwrap_or_default()
            .split('\n')
            .next()
            .unwrap_or_default();
        let mut excerpt = Vec::new();
        let (mut before, mut within, mut column) = (0_usize, 0_usize, 1_usize);
        let mut hiding = None;
        for (i, letter) in line.trim_end_matches('\r').char_indices() {
            let offset = start_of_line + i;
            if offset < at {
                column += 1;
            }
            let cover = hidden.iter().position(|range| range.contains(&offset));
            if cover.is_some() && cover == hiding {
                continue;
            }
            hiding = cover;
            if offset < at {
                before += 1;
            } else if offset < end {
                within += 1;
            }
            excerpt.push(match (cover, letter) {
                (Some(_), _) => '…',
                (None, '\t') => ' ',
                (None, letter) if letter.is_control() => '\u{fffd}',
                (None, letter) => letter,
            });
        }
        let cut = if excerpt.len() > EXCERPT_CHARS_MAX {
            before.saturating_sub(EXCERPT_CHARS_BEFORE)
        } else {
            0
        };
        let excerpt: String = excerpt.into_iter().skip(cut).take(EXCERPT_CHARS_MAX).collect();
        let marked_start = before - cut;
        let marked_end = (marked_start + within)
            .min(excerpt.chars().count())
            .max(marked_start);
        Problem {
            file: file.to_owned(),
            line: line_of(text, at),
            column,
            key: self.key,
            message: self.message,
            right: self.right,
            excerpt,
            marked: marked_start..marked_end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(span: Range<usize>) -> Draft {
        Draft {
            span,
            key: None,
            message: "wrong".into(),
            right: "this".into(),
        }
    }

    #[test]
    fn a_problem_shows_its_place_its_line_and_what_would_be_right() {
        let text = "[engine]\n\tswep = \"5m\"\n";
        let shown = draft(10..14).locate("tandem.toml", text, &[]).to_string();
        assert_eq!(
            shown,
            "tandem.toml:2:2: wrong\n  2 |  swep = \"5m\"\n    |  ^^^^\n  right: this"
        );
    }

    #[test]
    fn hidden_text_is_not_shown_and_the_mark_still_fits() {
        let text = "secret = \"hunter2\" # x";
        let problem = draft(9..18).locate("f", text, std::slice::from_ref(&(9..18)));
        assert_eq!(problem.excerpt, "secret = … # x");
        assert_eq!(problem.marked, 9..10);
        assert_eq!(problem.column, 10);
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = "x".repeat(1_000) + "HERE" + &"y".repeat(1_000);
        let problem = draft(1_000..1_004).locate("f", &text, &[]);
        let marked: String = problem
            .excerpt
            .chars()
            .skip(problem.marked.start)
            .take(problem.marked.len())
            .collect();
        assert_eq!(marked, "HERE");
        assert_eq!(problem.excerpt.chars().count(), EXCERPT_CHARS_MAX);
    }

    #[test]
    fn a_place_beyond_the_end_is_the_end() {
        for text in ["", "a\n", "ä"] {
            let problem = draft(1..700).locate("f", text, &[]);
            assert!(problem.line <= 2, "{problem}");
        }
    }
}

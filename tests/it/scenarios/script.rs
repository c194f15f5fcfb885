//! What a script is made of: lines, words, durations.

use std::time::Duration;

/// A script as it was read.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) lines: Vec<Line>,
}

/// One line: a command, or a remark that goes into the output as it stands.
#[derive(Debug)]
pub(super) struct Line {
    /// Counts from 1.
    pub(super) number: usize,
    pub(super) text: String,
    words: Vec<Word>,
}

#[derive(Debug)]
struct Word {
    text: String,
    /// `"so"`: never an option, whatever is in it.
    quoted: bool,
}

impl Script {
    /// Reads a script; an error begins with the number of its line.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut lines = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let line = line.trim_end();
            let words = if line.starts_with('#') {
                Vec::new()
            } else {
                words(line).map_err(|error| format!("{number}: {error}"))?
            };
            lines.push(Line {
                number,
                text: line.to_owned(),
                words,
            });
        }
        Ok(Self { lines })
    }
}

impl Line {
    /// The first word; empty for a remark.
    pub(super) fn command(&self) -> &str {
        self.words.first().map_or("", |word| word.text.as_str())
    }

    /// The words after the command.
    pub(super) fn arguments(&self) -> Arguments {
        let (mut plain, mut options) = (Vec::new(), Vec::new());
        for word in self.words.iter().skip(1) {
            match word.text.split_once('=') {
                Some((name, value)) if !word.quoted => options.push((name.to_owned(), value.to_owned())),
                _ => plain.push(word.text.clone()),
            }
        }
        plain.reverse();
        Arguments { plain, options }
    }
}

/// Words that a command takes one after the other, and `name=value` options in any place.
pub(super) struct Arguments {
    /// The next one is the last.
    plain: Vec<String>,
    options: Vec<(String, String)>,
}

impl Arguments {
    pub(super) fn next(&mut self, what: &str) -> Result<String, String> {
        self.plain.pop().ok_or_else(|| format!("{what} is missing"))
    }

    pub(super) fn maybe(&mut self) -> Option<String> {
        self.plain.pop()
    }

    /// The rest of the words.
    pub(super) fn rest(&mut self) -> Vec<String> {
        let mut rest = std::mem::take(&mut self.plain);
        rest.reverse();
        rest
    }

    pub(super) fn option(&mut self, name: &str) -> Option<String> {
        let index = self.options.iter().position(|(named, _)| named == name)?;
        Some(self.options.remove(index).1)
    }

    /// All options of that beginning, such as `attr:KEY=VALUE`, by what comes after it.
    pub(super) fn options(&mut self, beginning: &str) -> Vec<(String, String)> {
        let (found, rest) = std::mem::take(&mut self.options)
            .into_iter()
            .partition(|(name, _)| name.starts_with(beginning));
        self.options = rest;
        found
            .into_iter()
            .map(|(name, value)| (name[beginning.len()..].to_owned(), value))
            .collect()
    }

    pub(super) fn number<T: std::str::FromStr>(&mut self, what: &str) -> Result<T, String> {
        let text = self.next(what)?;
        text.parse().map_err(|_| format!("{what} is no number: `{text}`"))
    }

    /// Fails when something was said that nobody understood.
    pub(super) fn end(self) -> Result<(), String> {
        match (self.plain.last(), self.options.first()) {
            (Some(word), _) => Err(format!("`{word}` is too much")),
            (_, Some((name, _))) => Err(format!("there is no option `{name}`")),
            (None, None) => Ok(()),
        }
    }
}

fn words(line: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut inside = false;
    for c in line.chars() {
        match c {
            '"' => {
                word.get_or_insert(Word {
                    text: String::new(),
                    quoted: true,
                });
                inside = !inside;
            }
            c if c.is_whitespace() && !inside => words.extend(word.take()),
            c => {
                let fresh = Word {
                    text: String::new(),
                    quoted: false,
                };
                word.get_or_insert(fresh).text.push(c);
            }
        }
    }
    if inside {
        return Err("a quote is not closed".into());
    }
    words.extend(word);
    Ok(words)
}

/// Reads `1h`, `1h30m`, `45m`, `20s`, `0`.
pub(super) fn secs(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no duration; write 1h30m, 45m or 20s");
    if text == "0" {
        return Ok(0);
    }
    let (mut total, mut number) = (0, String::new());
    for c in text.chars() {
        let unit = match c {
            '0'..='9' => {
                number.push(c);
                continue;
            }
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return Err(wrong()),
        };
        total += number.parse::<u64>().map_err(|_| wrong())? * unit;
        number.clear();
    }
    if number.is_empty() && total > 0 {
        Ok(total)
    } else {
        Err(wrong())
    }
}

/// The same for waiting.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match text.strip_suffix("ms") {
        Some(millis) => millis
            .parse()
            .map(Duration::from_millis)
            .map_err(|_| format!("`{text}` is no duration")),
        None => secs(text).map(Duration::from_secs),
    }
}

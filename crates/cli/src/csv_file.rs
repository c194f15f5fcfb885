//! Reading pairs of issues, or of accounts, from a CSV file.

use std::path::Path;

use crate::ending::Failure;

/// A line of the file: where it is, and the two issues or accounts, or what is wrong.
pub(crate) struct Line {
    pub(crate) number: u64,
    pub(crate) pair: Result<(String, String), String>,
}

const RIGHT: &str = "right: A_KEY,B_KEY, like SUP-1,DEV-9";
const RIGHT_ACCOUNTS: &str = "right: A_ACCOUNT,B_ACCOUNT, like 5f0a-on-acme,60c1-on-globex";

/// The longest account id that Atlassian gives out.
const ACCOUNT_BYTES_MAX: usize = 128;

/// Reads a file. A first line that names the columns is left out, as are empty lines and those that begin with `#`.
pub(crate) fn read(path: &Path) -> Result<Vec<Line>, Failure> {
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", path.display())))?;
    Ok(lines(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes)))
}

fn lines(bytes: &[u8]) -> Vec<Line> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = Vec::new();
    // Line by line: no key has a line break in it, and one open quote must not swallow the rest of the file.
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line
            .split(',')
            .map(|field| field.trim().trim_matches('"').trim())
            .collect();
        let pair = match fields.as_slice() {
            [a, b] if is_issue(a) && is_issue(b) => Ok(((*a).to_owned(), (*b).to_owned())),
            [a, b] if lines.is_empty() && !has_digit(a) && !has_digit(b) => continue,
            [a, b] => {
                let wrong = if is_issue(a) { b } else { a };
                Err(format!(
                    "`{}` is neither the key nor the id of an issue; {RIGHT}",
                    crate::output::plain(wrong)
                ))
            }
            fields => Err(format!("{} instead of 2 columns; {RIGHT}", fields.len())),
        };
        lines.push(Line { number, pair });
    }
    lines
}

/// Reads a file of accounts, as [`read`] does one of issues.
pub(crate) fn read_accounts(path: &Path) -> Result<Vec<Line>, Failure> {
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", path.display())))?;
    Ok(accounts(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes)))
}

fn accounts(bytes: &[u8]) -> Vec<Line> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line
            .split(',')
            .map(|field| field.trim().trim_matches('"').trim())
            .collect();
        let pair = match fields.as_slice() {
            // A first line that names the columns: no account is all letters.
            [a, b] if lines.is_empty() && !has_digit(a) && !has_digit(b) && a.contains("account") => continue,
            [a, b] => match [a, b].into_iter().find(|text| !is_account(text)) {
                None => Ok(((*a).to_owned(), (*b).to_owned())),
                Some(wrong) => Err(format!(
                    "`{}` is no account id; {RIGHT_ACCOUNTS}",
                    crate::output::short(&crate::output::plain(wrong), 80)
                )),
            },
            fields => Err(format!("{} instead of 2 columns; {RIGHT_ACCOUNTS}", fields.len())),
        };
        lines.push(Line { number, pair });
    }
    lines
}

fn is_account(text: &str) -> bool {
    (1..=ACCOUNT_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_' | b'.'))
}

fn has_digit(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
}

/// Returns whether a text can be an issue's key (`SUP-1`) or id (`10042`).
pub(crate) fn is_issue(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_project = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    is_number(text)
        || text
            .rsplit_once('-')
            .is_some_and(|(project, number)| is_project(project) && is_number(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_does_not_hold_up_the_others() {
        let lines = lines(
            b"a_key,b_key\nSUP-1,DEV-9\n\n# later\nSUP-2\nSUP-3,what\n \"SUP-4\" , DEV-4\n10001,\xff-1\n",
        );
        let shown: Vec<(u64, bool)> = lines
            .iter()
            .map(|line| (line.number, line.pair.is_ok()))
            .collect();
        assert_eq!(shown, [(2, true), (5, false), (6, false), (7, true), (8, false)]);
    }

    #[test]
    fn accounts_are_ids_and_never_names_or_addresses() {
        let lines = accounts(
            b"a_account,b_account\n712020:aa-1,60c1\nann,bob\nann@acme.example,60c2\nAnn Archer,60c3\n\xff,60c4\n5f,\n5f\n",
        );
        let shown: Vec<(u64, bool)> = lines
            .iter()
            .map(|line| (line.number, line.pair.is_ok()))
            .collect();
        let bad = [4, 5, 6, 7, 8].map(|number| (number, false));
        assert_eq!(shown[..2], [(2, true), (3, true)]);
        assert_eq!(shown[2..], bad);
    }
}

//! Files of pairs, as people write them: which issues are twins, which accounts are one person's. CSV of two columns.

/// The longest account id that is believed, in bytes.
const ACCOUNT_BYTES_MAX: usize = 128;

/// How much of a wrong field is shown, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// What the two columns hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Keys or ids of issues.
    Issues,
    /// Account ids.
    Accounts,
}

impl Kind {
    fn right(self) -> &'static str {
        match self {
            Self::Issues => "right: A_KEY,B_KEY, like SUP-1,DEV-9",
            Self::Accounts => "right: A_ACCOUNT,B_ACCOUNT, like 5f0a-on-acme,60c1-on-globex",
        }
    }

    fn is_not(self) -> &'static str {
        match self {
            Self::Issues => "is neither the key nor the id of an issue",
            Self::Accounts => "is no account id",
        }
    }

    fn is(self, text: &str) -> bool {
        match self {
            Self::Issues => is_issue(text),
            Self::Accounts => is_account(text),
        }
    }

    /// Says whether a first line names the columns: no issue is without a digit, and few accounts are.
    fn is_header(self, a: &str, b: &str) -> bool {
        let bare = |text: &str| !text.bytes().any(|byte| byte.is_ascii_digit());
        bare(a) && bare(b) && (self == Self::Issues || a.to_lowercase().contains("account"))
    }
}

/// A line that is no remark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where it is, counted from 1.
    pub number: u64,
    /// Side a's issue or account, then side b's; or what is wrong, in a sentence that can be shown on a terminal.
    pub pair: Result<(String, String), String>,
}

/// Reads a file. A first line that names the columns is left out, as are empty lines and those that begin with `#`.
pub fn read(kind: Kind, bytes: &[u8]) -> Vec<Line> {
    let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
    // Old spreadsheets end lines with nothing but a carriage return.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = Vec::new();
    // Line by line: no key has a line break in it, and one open quote must not swallow the rest of the file.
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let open = |field: &str| field.starts_with('"') != (field.len() > 1 && field.ends_with('"'));
        if line.split(',').any(|field| open(field.trim())) {
            let pair = Err(format!(
                "a quote is opened and not closed, or the other way round; {}",
                kind.right()
            ));
            lines.push(Line { number, pair });
            continue;
        }
        let fields: Vec<&str> = line
            .split(',')
            .map(|field| field.trim().trim_matches('"').trim())
            .collect();
        let pair = match fields[..] {
            [a, b] if lines.is_empty() && kind.is_header(a, b) => continue,
            [a, b] => match [a, b].into_iter().find(|field| !kind.is(field)) {
                None => Ok((a.to_owned(), b.to_owned())),
                Some(wrong) => Err(format!("`{}` {}; {}", shown(wrong), kind.is_not(), kind.right())),
            },
            _ => Err(format!("{} instead of 2 columns; {}", fields.len(), kind.right())),
        };
        lines.push(Line { number, pair });
    }
    lines
}

/// Returns whether a text can be an issue's key (`SUP-1`) or id (`10042`).
pub fn is_issue(text: &str) -> bool {
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

fn is_account(text: &str) -> bool {
    (1..=ACCOUNT_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_' | b'.'))
}

/// The beginning of a field, without what could move a terminal's cursor or colour.
fn shown(field: &str) -> String {
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    let mut text: String = field.chars().take(SHOWN_CHARS_MAX).map(plain).collect();
    if field.chars().nth(SHOWN_CHARS_MAX).is_some() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(lines: &[Line]) -> Vec<(u64, bool)> {
        lines
            .iter()
            .map(|line| (line.number, line.pair.is_ok()))
            .collect()
    }

    #[test]
    fn a_bad_line_does_not_hold_up_the_others() {
        let lines = read(
            Kind::Issues,
            b"\xef\xbb\xbfa_key,b_key\nSUP-1,DEV-9\n\n# later\nSUP-2\nSUP-3,what\n \"SUP-4\" , DEV-4\n10001,\xff-1\n\"SUP-5,DEV-5\nSUP-6,\"\n",
        );
        assert_eq!(
            good(&lines),
            [
                (2, true),
                (5, false),
                (6, false),
                (7, true),
                (8, false),
                (9, false),
                (10, false)
            ]
        );
    }

    #[test]
    fn a_line_ends_in_one_way_or_another() {
        let lines = read(Kind::Issues, b"a,b\rSUP-1,DEV-1\r\nSUP-2,DEV-2\nSUP-3,DEV-3\r");
        assert_eq!(good(&lines), [(2, true), (3, true), (4, true)]);
    }

    #[test]
    fn accounts_are_ids_and_never_names_or_addresses() {
        let lines = read(
            Kind::Accounts,
            b"a_account,b_account\n712020:aa-1,60c1\nann,bob\nann@acme.example,60c2\nAnn Archer,60c3\n\xff,60c4\n5f,\n5f\n",
        );
        let bad = [4, 5, 6, 7, 8].map(|number| (number, false));
        assert_eq!(good(&lines)[..2], [(2, true), (3, true)]);
        assert_eq!(good(&lines)[2..], bad);
    }

    #[test]
    fn what_is_wrong_can_be_shown_on_a_terminal() {
        let mut text = b"\x1b[31mSUP,DEV-1\n".to_vec();
        text.extend(b"x".repeat(5000));
        text.extend(b"9,DEV-1");
        for line in read(Kind::Issues, &text) {
            let wrong = line.pair.unwrap_err();
            assert!(wrong.len() < 200 && !wrong.contains('\x1b'), "{wrong:?}");
        }
    }
}

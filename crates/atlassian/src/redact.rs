//! Turns a site's words into something that may be shown and stored: short, without tokens, without people.

use secrecy::ExposeSecret as _;

use crate::call;
use crate::credentials::SiteCredentials;

/// The longest message, in characters.
pub const MESSAGE_CHARS_MAX: usize = 200;
/// How much of a text is looked at, in bytes. The rest would not be shown anyway.
const LOOKED_AT_MAX: usize = 4096;
/// From this length on, a piece of a token counts as a leak.
const PIECE_CHARS: usize = 10;
const GAP: char = '…';

/// Makes a message out of what a site said: whitespace folded, control characters, e-mail addresses and every
/// piece of the credentials taken out, at most [`MESSAGE_CHARS_MAX`] characters.
pub fn message(text: &str, credentials: Option<&SiteCredentials>) -> String {
    let folded = fold(head(text));
    let mut text = without_emails(&folded);
    for secret in secrets(credentials) {
        text = without_pieces(&text, &secret);
    }
    truncate(&text)
}

/// Takes every piece of one more secret out of a text: one that is sent in a body, such as a webhook's.
pub(crate) fn without_secret(text: &str, secret: &str) -> String {
    match secret.is_empty() {
        true => text.to_owned(),
        false => without_pieces(head(text), secret),
    }
}

/// Shows the beginning of an answer without its content: in JSON the keys and the structure stay, values go.
///
/// Works on broken JSON too, because that is when it is needed. Anything else is treated as [`message`] does,
/// with digits taken out.
pub fn excerpt(body: &[u8], credentials: Option<&SiteCredentials>) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(LOOKED_AT_MAX)]).into_owned();
    let trimmed = text.trim_start();
    match trimmed.chars().next() {
        None => "(empty)".to_owned(),
        Some('{' | '[' | '"') => message(&json_shape(trimmed), credentials),
        // A page for people, such as a login form. Digits go last: without them no token would be known again.
        Some(_) => message(trimmed, credentials)
            .chars()
            .map(|c| if c.is_ascii_digit() { '#' } else { c })
            .collect(),
    }
}

fn head(text: &str) -> &str {
    let mut end = text.len().min(LOOKED_AT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn fold(text: &str) -> String {
    let spaced: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn without_emails(text: &str) -> String {
    let part = |c: char| c.is_alphanumeric() || "._%+-".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        let kept = before.trim_end_matches(part);
        let tail = after.trim_start_matches(part);
        out.push_str(kept);
        match kept.len() < before.len() && tail.len() < after.len() {
            true => out.push(GAP),
            false => {
                out.push_str(&before[kept.len()..]);
                out.push('@');
                out.push_str(&after[..after.len() - tail.len()]);
            }
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

fn secrets(credentials: Option<&SiteCredentials>) -> Vec<String> {
    let Some(credentials) = credentials else {
        return Vec::new();
    };
    let (tempo, jira) = (
        credentials.tempo_token.expose_secret(),
        credentials.jira_token.expose_secret(),
    );
    let basic = call::basic(credentials.jira_email.trim(), jira.trim());
    let mut all = vec![
        tempo.trim().to_owned(),
        jira.trim().to_owned(),
        basic,
        credentials.jira_email.trim().to_owned(),
    ];
    all.retain(|secret| !secret.is_empty());
    all
}

/// Takes out every run of at least [`PIECE_CHARS`] characters (or the whole, if shorter) that `secret` holds.
fn without_pieces(text: &str, secret: &str) -> String {
    let text: Vec<char> = text.chars().collect();
    let secret: Vec<char> = secret.chars().collect();
    let window = secret.len().min(PIECE_CHARS);
    let mut hidden = vec![false; text.len()];
    for (at, piece) in text.windows(window).enumerate() {
        if secret.windows(window).any(|part| part == piece) {
            hidden[at..at + window].fill(true);
        }
    }
    let mut out = String::with_capacity(text.len());
    for (c, hidden) in text.into_iter().zip(hidden) {
        match hidden {
            false => out.push(c),
            true if out.ends_with(GAP) => {}
            true => out.push(GAP),
        }
    }
    out
}

fn truncate(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_CHARS_MAX) {
        None => text.to_owned(),
        Some(_) => text.chars().take(MESSAGE_CHARS_MAX - 1).chain([GAP]).collect(),
    }
}

/// Keeps keys that look like identifiers, and punctuation; strings become `"…"`, numbers `#`.
fn json_shape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' => {
                let mut string = String::new();
                let mut closed = false;
                while let Some(c) = rest.next() {
                    match c {
                        '"' => {
                            closed = true;
                            break;
                        }
                        '\\' => {
                            rest.next();
                            string.push('\\');
                        }
                        c => string.push(c),
                    }
                }
                while rest.next_if(|c| c.is_whitespace()).is_some() {}
                let is_key = closed && rest.peek() == Some(&':') && is_identifier(&string);
                out.push('"');
                out.push_str(if is_key { &string } else { "…" });
                out.push('"');
            }
            '{' | '}' | '[' | ']' | ':' | ',' => out.push(c),
            c if c.is_whitespace() => {}
            _ => {
                let mut word = String::from(c);
                while let Some(c) = rest.next_if(|c| !c.is_whitespace() && !"{}[]:,\"".contains(*c)) {
                    word.push(c);
                }
                out.push_str(match word.as_str() {
                    "true" | "false" | "null" => &word,
                    _ if word.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) => "#",
                    _ => "?",
                });
            }
        }
    }
    out
}

/// A key that a vendor's schema would have; a map's key may be an account id or a value.
fn is_identifier(text: &str) -> bool {
    text.len() <= 40 && !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> SiteCredentials {
        SiteCredentials {
            tempo_token: "tempo-0123456789-abcdefghij".to_owned().into(),
            jira_email: "bot@acme.example".into(),
            jira_token: "jira-ABCDEFGHIJ-9876543210".to_owned().into(),
            digest: String::new(),
        }
    }

    #[test]
    fn messages_are_folded_and_cut() {
        assert_eq!(message(" a\n\t b\u{0} c ", None), "a b c");
        let long = message(&"é".repeat(500), None);
        assert_eq!(long.chars().count(), 200);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn people_and_tokens_are_taken_out() {
        let credentials = credentials();
        for (text, expected) in [
            ("user a.b+c@x.example.com unknown", "user … unknown"),
            ("rate @ 5/s, x@ and @y", "rate @ 5/s, x@ and @y"),
            ("token tempo-0123456789-abcdefghij bad", "token … bad"),
            ("starts tempo-0123456789 only", "starts … only"),
            (
                "Basic Ym90QGFjbWUuZXhhbXBsZTpqaXJhLUFCQ0RFRkdISUotOTg3NjU0MzIxMA==",
                "Basic …",
            ),
        ] {
            assert_eq!(message(text, Some(&credentials)), expected);
        }
    }

    #[test]
    fn excerpts_keep_the_shape_alone() {
        let body = br#"{"results":[{"tempoWorklogId":4711,"description":"met \"Ann\"","ok":true,"x":null,
            "author":{"accountId":"5f60:1"},"5f60:1":1.5e3}], "cut": "off he"#;
        assert_eq!(
            excerpt(body, None),
            r##"{"results":[{"tempoWorklogId":#,"description":"…","ok":true,"x":null,"author":{"accountId":"…"},"…":#}],"cut":"…""##
        );
        assert_eq!(excerpt(b"<html>Log in 42</html>", None), "<html>Log in ##</html>");
        assert_eq!(excerpt(b"", None), "(empty)");
        assert_eq!(
            excerpt(b"Bearer tempo-0123456789-abcdefghij 42", Some(&credentials())),
            "Bearer … ##"
        );
    }
}

//! What Tempo says when it refuses: free text in several wrappings, and no error codes.

use http::StatusCode;
use serde_json::Value;
use tandem_core::Reason;

/// Takes the words out of an error's body: `{"errors":[{"message"}]}`, `{"errors":{"message"}}`,
/// `{"message"}`, `{"error"}`, bare text, or a page for people.
///
/// A demand for the remaining estimate comes first, so that cutting the message does not lose it.
pub fn text(body: &[u8]) -> String {
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        return plain_text(body);
    };
    let mut messages = Vec::new();
    collect(&json, &mut messages);
    messages.sort_by_key(|message| !demands_estimate(message));
    messages.join(", ")
}

fn collect(json: &Value, messages: &mut Vec<String>) {
    match json {
        Value::String(text) => messages.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, messages)),
        // Only what is known to be words for people: anything else may echo what was sent.
        Value::Object(fields) => ["errors", "message", "error", "errorMessages"]
            .iter()
            .filter_map(|name| fields.get(*name))
            .for_each(|field| collect(field, messages)),
        _ => {}
    }
}

/// Takes the words out of a body that is not JSON, markup left out.
pub(crate) fn plain_text(body: &[u8]) -> String {
    /// Nothing past this is shown.
    const LOOKED_AT_MAX: usize = 4096;
    let text = String::from_utf8_lossy(&body[..body.len().min(LOOKED_AT_MAX)]);
    if !text.trim_start().starts_with('<') {
        return text.trim().to_owned();
    }
    let mut words = String::new();
    for part in text.split('<') {
        let (tag, after) = part.split_once('>').unwrap_or(("", ""));
        if !(tag.starts_with("style") || tag.starts_with("script")) {
            words.push(' ');
            words.push_str(after);
        }
    }
    words.trim().to_owned()
}

/// Says whether a message demands the remaining estimate.
pub(crate) fn demands_estimate(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("remaining") && message.contains("must not be empty")
}

/// Returns the reason code for a 4xx. Wordings: facts 1.7 and 1.8; what is not known is `Rejected`.
pub fn reason(status: StatusCode, message: &str) -> Reason {
    let message = message.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let closed = has(&["period", "timesheet"])
        && has(&["closed", "approved", "submitted", "locked", "approval"])
        || has(&["period is closed", "closed period"]);
    match status {
        StatusCode::FORBIDDEN if closed => Reason::PeriodClosed,
        StatusCode::FORBIDDEN => Reason::PermissionMissing,
        StatusCode::BAD_REQUEST => match () {
            _ if has(&["attribute"]) && has(&["required", "mandatory"]) => Reason::AttributeRequired,
            _ if names_a_person(&message) && has(&PERSON_UNFIT) && !has_word(&message, &ABOUT_THE_TIME) => {
                Reason::AuthorUnmapped
            }
            _ if names_a_person(&message) && lacks_permission_itself(&message) => Reason::AuthorUnmapped,
            _ if closed => Reason::PeriodClosed,
            _ if has(&[
                "permission",
                "not authorized",
                "not authorised",
                "forbidden",
                "not allowed to",
            ]) =>
            {
                Reason::PermissionMissing
            }
            _ => Reason::Rejected,
        },
        _ => Reason::Rejected,
    }
}

/// How Tempo says that the person cannot have time logged.
const PERSON_UNFIT: [&str; 13] = [
    "not found",
    "does not exist",
    "doesn't exist",
    "inactive",
    "not active",
    "deactivated",
    "unknown",
    "invalid",
    "not valid",
    "not allowed to log",
    "not permitted to log",
    "cannot log",
    "can't log",
];

/// What is wrong with the worklog itself, whoever is named along with it: whose time it is has nothing to do with that.
const ABOUT_THE_TIME: [&str; 9] = [
    "attribute",
    "attributes",
    "hour",
    "hours",
    "day",
    "days",
    "date",
    "dates",
    "future",
];

/// Says whether it is the person who may not, rather than "you", the service user, for them.
fn lacks_permission_itself(message: &str) -> bool {
    let spoken_to = message
        .split(|c: char| !c.is_alphanumeric())
        .any(|word| word == "you");
    ["does not have", "doesn't have", "has no", "lacks"]
        .iter()
        .any(|words| message.contains(words))
        && message.contains("permission")
        && !spoken_to
        && !message.contains("for other")
}

fn names_a_person(message: &str) -> bool {
    has_word(
        message,
        &["author", "user", "worker", "users", "authoraccountid", "assignee"],
    )
}

fn has_word(message: &str, words: &[&str]) -> bool {
    let mut said = message.split(|c: char| !c.is_alphanumeric());
    said.any(|word| words.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: &str, expected: Reason, said: &str) {
        let text = text(body.as_bytes());
        assert_eq!(text, said, "{body}");
        assert_eq!(
            reason(StatusCode::from_u16(status).unwrap(), &text),
            expected,
            "{body}"
        );
    }

    #[test]
    fn refusals_are_told_apart_by_their_words() {
        check(
            400,
            r#"{"errors":[{"message":"Work attribute Account (_Account_) is required"}]}"#,
            Reason::AttributeRequired,
            "Work attribute Account (_Account_) is required",
        );
        check(
            400,
            r#"{"errors":[{"message":"Work attribute 'X' (_X_) is required"},{"message":"Estimated remaining time must not be empty."}]}"#,
            Reason::AttributeRequired,
            "Estimated remaining time must not be empty., Work attribute 'X' (_X_) is required",
        );
        check(
            400,
            r#"{"errors":[{"message":"Estimated remaining time must not be empty."}]}"#,
            Reason::Rejected,
            "Estimated remaining time must not be empty.",
        );
        check(
            400,
            r#"{"errors":{"message":"Author not found"}}"#,
            Reason::AuthorUnmapped,
            "Author not found",
        );
        check(
            400,
            "User 5f60 is inactive",
            Reason::AuthorUnmapped,
            "User 5f60 is inactive",
        );
        check(
            400,
            r#"{"message":"Worker is not allowed to log work"}"#,
            Reason::AuthorUnmapped,
            "Worker is not allowed to log work",
        );
        for (said, expected) in [
            (
                "User not found, the worklog could not be updated",
                Reason::AuthorUnmapped,
            ),
            (
                "User is not allowed to log more than 24 hours a day",
                Reason::PermissionMissing,
            ),
            (
                "Work attribute 'Worker type' has an invalid value",
                Reason::Rejected,
            ),
            (
                "User '5f60:1' does not have permission to work on the issue",
                Reason::AuthorUnmapped,
            ),
            (
                "User does not have permission to log work for others",
                Reason::PermissionMissing,
            ),
            (
                "You do not have permission to log work for this user",
                Reason::PermissionMissing,
            ),
        ] {
            check(400, said, expected, said);
        }
        check(400, "Period is closed", Reason::PeriodClosed, "Period is closed");
        check(
            400,
            "The timesheet is already approved",
            Reason::PeriodClosed,
            "The timesheet is already approved",
        );
        check(
            400,
            "You do not have permission to log work for others",
            Reason::PermissionMissing,
            "You do not have permission to log work for others",
        );
        check(
            400,
            r#"{"errors":{"message":"Account 'ACME' was not found"}}"#,
            Reason::Rejected,
            "Account 'ACME' was not found",
        );
        check(403, "Period is closed", Reason::PeriodClosed, "Period is closed");
        check(
            403,
            r#"{"errors":[{"message":"Forbidden"}]}"#,
            Reason::PermissionMissing,
            "Forbidden",
        );
        check(
            403,
            "<html><style>x{}</style><h1>Forbidden</h1></html>",
            Reason::PermissionMissing,
            "Forbidden",
        );
        check(413, "", Reason::Rejected, "");
    }

    #[test]
    fn echoed_fields_are_not_words() {
        assert_eq!(
            text(br#"{"errors":[{"message":"bad","rejectedValue":"met Ann"}],"description":"x"}"#),
            "bad"
        );
    }
}

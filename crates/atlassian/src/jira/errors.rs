//! What Jira says when it refuses.

use http::StatusCode;
use serde_json::Value;
use tandem_core::Reason;

use crate::tempo;

/// Takes the words out of an error's body: `{"errorMessages":[…],"errors":{field: message}}`, or what other
/// layers in front of Jira send: `{"message"}`, `{"error"}`, bare text, a page for people.
pub fn text(body: &[u8]) -> String {
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(fields)) => {
            let mut messages = Vec::new();
            for name in ["errorMessages", "message", "error", "errorMessage"] {
                collect(fields.get(name), &mut messages);
            }
            match fields.get("errors") {
                Some(Value::Object(by_field)) => by_field.iter().for_each(|(field, message)| {
                    if let Some(message) = message.as_str() {
                        messages.push(format!("{field}: {message}"));
                    }
                }),
                other => collect(other, &mut messages),
            }
            messages.join(", ")
        }
        _ => tempo::errors::text(body),
    }
}

fn collect(json: Option<&Value>, messages: &mut Vec<String>) {
    match json {
        Some(Value::String(text)) => messages.push(text.clone()),
        Some(Value::Array(items)) => items.iter().for_each(|item| collect(Some(item), messages)),
        Some(Value::Object(fields)) => collect(fields.get("message"), messages),
        _ => {}
    }
}

/// Returns the reason code for a 4xx. Jira tells a lack of permission by its status.
pub fn reason(status: StatusCode) -> Reason {
    match status {
        StatusCode::FORBIDDEN => Reason::PermissionMissing,
        _ => Reason::Rejected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_each_wrapping() {
        for (body, expected) in [
            (
                r#"{"errorMessages":["Issue does not exist"],"errors":{}}"#,
                "Issue does not exist",
            ),
            (
                r#"{"errorMessages":["a","b"],"errors":{"jql":"c"}}"#,
                "a, b, jql: c",
            ),
            (r#"{"code":401,"message":"Unauthorized"}"#, "Unauthorized"),
            (r#"{"errors":[{"message":"x"}]}"#, "x"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(text(body.as_bytes()), expected, "{body}");
        }
    }
}

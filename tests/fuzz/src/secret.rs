//! The JSON of a site's secret, as a person wrote it.

use secrecy::ExposeSecret as _;
use serde_json::Value;
use tandem_aws::SiteSecret;

/// The shortest text that counts as shown.
const SHOWN_CHARS_MIN: usize = 8;

pub(crate) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let texts = texts(&text);
    let shown = match SiteSecret::parse(&text) {
        Err(what) => {
            assert!(!what.is_empty() && what.chars().count() <= 120, "{what:?}");
            what
        }
        Ok(secret) => {
            for token in [&secret.tempo_token, &secret.jira_token] {
                assert!(!token.expose_secret().trim().is_empty());
            }
            let signing = [&secret.jira_webhook_secrets, &secret.tempo_webhook_secrets];
            for one in signing.into_iter().flatten() {
                // Anybody could sign with an empty one.
                assert!(!one.expose_secret().trim().is_empty());
            }
            let again = SiteSecret::parse(&text).unwrap();
            assert_eq!(secret.credentials_digest(), again.credentials_digest());
            assert_eq!(secret.webhook_digest(), again.webhook_digest());
            format!("{secret:?} {:?} {}", secret.tempo_oauth, secret.webhook_digest())
        }
    };
    let times: Vec<String> = texts
        .iter()
        .filter_map(|text| Some(text.parse::<jiff::Timestamp>().ok()?.to_string()))
        .collect();
    for text in texts {
        // A text that happens to be one of our own words gives nothing away, nor does a time of expiry or a part of one.
        let is_own = text.chars().all(|c| c.is_ascii_lowercase() || "`_ ,".contains(c));
        let is_time =
            text.parse::<jiff::Timestamp>().is_ok() || times.iter().any(|time| time.contains(&text));
        if !is_own && !is_time {
            assert!(!shown.contains(&text), "{shown:?} shows {text:?}");
        }
    }
}

/// All texts of a JSON that are long enough to be a secret: values, not keys.
fn texts(text: &str) -> Vec<String> {
    fn collect(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::String(text) if text.chars().count() >= SHOWN_CHARS_MIN => into.push(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
            Value::Object(fields) => fields.values().for_each(|value| collect(value, into)),
            _ => {}
        }
    }
    let mut texts = Vec::new();
    if let Ok(value) = serde_json::from_str(text) {
        collect(&value, &mut texts);
    }
    texts
}

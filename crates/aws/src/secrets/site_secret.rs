//! What a site's secret holds.

use std::fmt;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::error::Category;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// How many characters of a digest are shown and kept: enough to tell two secrets apart.
const DIGEST_CHARS: usize = 16;

/// How many secrets of a vendor's webhooks are kept at most: those in use, and those of some renewals before.
pub const WEBHOOK_SECRETS_MAX: usize = 12;

/// What a refresh replaces.
const TEMPO_PAIR: [&str; 3] = ["tempo_token", "tempo_refresh_token", "tempo_expires_at"];

/// A site's tokens and webhook secrets.
#[derive(Clone)]
pub struct SiteSecret {
    /// Tempo's token.
    pub tempo_token: SecretString,
    /// The account that `jira_token` belongs to.
    pub jira_email: String,
    /// Jira's token.
    pub jira_token: SecretString,
    /// What Jira's webhooks may be signed with.
    pub jira_webhook_secrets: Vec<SecretString>,
    /// What Tempo's webhooks may be signed with.
    pub tempo_webhook_secrets: Vec<SecretString>,
    /// What a new Tempo token is got with, where Tempo is used through OAuth.
    pub tempo_oauth: Option<TempoOauth>,
    /// When `tempo_token` runs out, when known.
    pub tempo_expires_at: Option<Timestamp>,
    /// When `jira_token` runs out, when known.
    pub jira_expires_at: Option<Timestamp>,
}

/// A token that runs out some day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Token {
    /// Tempo's.
    Tempo,
    /// Jira's.
    Jira,
}

impl Token {
    /// Both of a site's.
    pub const ALL: [Self; 2] = [Self::Tempo, Self::Jira];

    /// Returns its name in metrics and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tempo => "tempo",
            Self::Jira => "jira",
        }
    }
}

/// What a new Tempo token is got with.
#[derive(Clone)]
pub struct TempoOauth {
    /// The client.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: SecretString,
    /// The address that the client is registered with, where Tempo wants to hear it.
    pub redirect_uri: Option<String>,
    /// The refresh token.
    pub refresh_token: SecretString,
}

/// The JSON of design section 5.2. Everything is optional here, so that what's missing is named by us.
#[derive(Deserialize)]
struct Wire {
    tempo_token: Option<String>,
    jira_email: Option<String>,
    jira_token: Option<String>,
    #[serde(default)]
    jira_webhook_secrets: Vec<String>,
    #[serde(default)]
    tempo_webhook_secrets: Vec<String>,
    tempo_client_id: Option<String>,
    tempo_client_secret: Option<String>,
    tempo_redirect_uri: Option<String>,
    tempo_refresh_token: Option<String>,
    tempo_expires_at: Option<Moment>,
    jira_expires_at: Option<Moment>,
}

/// A moment, as seconds since 1970 or as RFC 3339.
#[derive(Deserialize)]
#[serde(untagged)]
enum Moment {
    Seconds(i64),
    Text(String),
}

impl SiteSecret {
    /// Reads the JSON. The error says what is wrong without showing any of the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim_start_matches('\u{feff}');
        // serde's own words may quote a value, so only the place is told.
        let wire: Wire = serde_json::from_str(text).map_err(|error| {
            let what = match error.classify() {
                Category::Data => "holds a value of the wrong kind",
                _ => "is not JSON",
            };
            format!("{what} at line {}, column {}", error.line(), error.column())
        })?;
        let oauth = match (
            &wire.tempo_client_id,
            &wire.tempo_client_secret,
            &wire.tempo_refresh_token,
        ) {
            (None, None, None) => None,
            _ => Some(TempoOauth {
                client_id: present("tempo_client_id", wire.tempo_client_id)?,
                client_secret: present("tempo_client_secret", wire.tempo_client_secret)?.into(),
                redirect_uri: wire.tempo_redirect_uri.filter(|uri| !uri.trim().is_empty()),
                refresh_token: present("tempo_refresh_token", wire.tempo_refresh_token)?.into(),
            }),
        };
        Ok(Self {
            tempo_token: present("tempo_token", wire.tempo_token)?.into(),
            jira_email: present("jira_email", wire.jira_email)?,
            jira_token: present("jira_token", wire.jira_token)?.into(),
            jira_webhook_secrets: signing("jira_webhook_secrets", wire.jira_webhook_secrets)?,
            tempo_webhook_secrets: signing("tempo_webhook_secrets", wire.tempo_webhook_secrets)?,
            tempo_oauth: oauth,
            tempo_expires_at: moment("tempo_expires_at", wire.tempo_expires_at)?,
            jira_expires_at: moment("jira_expires_at", wire.jira_expires_at)?,
        })
    }

    /// Puts a new pair of Tempo's tokens into the JSON of a secret and leaves everything else in it as it is, what
    /// Tandem does not know included.
    ///
    /// # Errors
    /// As [`SiteSecret::parse`], for a text that is no secret, before or after.
    pub fn with_tempo_pair(
        text: &str,
        token: &SecretString,
        refresh_token: &SecretString,
        expires_at: Option<Timestamp>,
    ) -> Result<SecretString, String> {
        let mut fields = fields(text)?;
        let mut set = |field: &str, value: String| fields.insert(field.to_owned(), value.into());
        set("tempo_token", token.expose_secret().to_owned());
        set("tempo_refresh_token", refresh_token.expose_secret().to_owned());
        match expires_at {
            Some(at) => drop(set("tempo_expires_at", at.to_string())),
            // The old pair's day would be wrong.
            None => drop(fields.remove("tempo_expires_at")),
        }
        let text = Value::Object(fields).to_string();
        Self::parse(&text)?;
        Ok(text.into())
    }

    /// Adds secrets of webhooks to the JSON of a secret and leaves everything else in it as it is; of each list the newest
    /// [`WEBHOOK_SECRETS_MAX`] stay. `None` when all of them are there already.
    ///
    /// # Errors
    /// As [`SiteSecret::parse`], for a text that is no secret.
    pub fn with_webhook_secrets(
        text: &str,
        jira: &[SecretString],
        tempo: &[SecretString],
    ) -> Result<Option<SecretString>, String> {
        let known = Self::parse(text)?;
        let mut fields = fields(text)?;
        let mut changed = false;
        for (field, held, more) in [
            ("jira_webhook_secrets", &known.jira_webhook_secrets, jira),
            ("tempo_webhook_secrets", &known.tempo_webhook_secrets, tempo),
        ] {
            let mut all: Vec<&str> = held.iter().map(ExposeSecret::expose_secret).collect();
            let before = all.len();
            for one in more.iter().map(ExposeSecret::expose_secret) {
                if !all.contains(&one) {
                    all.push(one);
                }
            }
            if all.len() > before {
                changed = true;
                let newest = &all[all.len().saturating_sub(WEBHOOK_SECRETS_MAX)..];
                fields.insert(field.to_owned(), newest.into());
            }
        }
        let text = Value::Object(fields).to_string();
        Self::parse(&text)?;
        Ok(changed.then(|| text.into()))
    }

    /// Says whether two secrets are the same but for what [`Self::with_tempo_pair`] puts in.
    ///
    /// # Errors
    /// As [`SiteSecret::parse`].
    pub fn same_beside_tempo_pair(one: &str, other: &str) -> Result<bool, String> {
        let rest = |text| {
            let mut fields = fields(text)?;
            fields.retain(|field, _| !TEMPO_PAIR.contains(&field.as_str()));
            Ok::<_, String>(fields)
        };
        Ok(rest(one)? == rest(other)?)
    }

    /// Returns when a token runs out, when known.
    pub fn end_of(&self, token: Token) -> Option<Timestamp> {
        match token {
            Token::Tempo => self.tempo_expires_at,
            Token::Jira => self.jira_expires_at,
        }
    }

    /// Says whether a token is renewed without anybody doing anything.
    pub fn renews(&self, token: Token) -> bool {
        token == Token::Tempo && self.tempo_oauth.is_some()
    }

    /// Returns a digest of what the site is called with: another one means that the credentials changed.
    pub fn credentials_digest(&self) -> String {
        digest([
            self.tempo_token.expose_secret(),
            &self.jira_email,
            self.jira_token.expose_secret(),
        ])
    }

    /// Returns a digest of what webhooks are checked with.
    pub fn webhook_digest(&self) -> String {
        let lists = [&self.jira_webhook_secrets, &self.tempo_webhook_secrets];
        // A digest of digests, so that moving a secret from one list to the other shows.
        let digests = lists.map(|list| digest(list.iter().map(ExposeSecret::expose_secret)));
        digest(digests.iter().map(String::as_str))
    }
}

// By hand, so that no field ever slips in.
impl fmt::Debug for SiteSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiteSecret")
            .field("digest", &self.credentials_digest())
            .field("tempo_expires_at", &self.tempo_expires_at)
            .field("jira_expires_at", &self.jira_expires_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TempoOauth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TempoOauth").finish_non_exhaustive()
    }
}

/// Reads the JSON as it stands. The error says what is wrong without showing any of the text.
fn fields(text: &str) -> Result<Map<String, Value>, String> {
    SiteSecret::parse(text)?;
    serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|_| "is not a JSON object".to_owned())
}

fn present(field: &str, value: Option<String>) -> Result<String, String> {
    match value {
        Some(value) if !value.trim().is_empty() => Ok(value),
        Some(_) => Err(format!("has an empty `{field}`")),
        None => Err(format!("has no `{field}`")),
    }
}

/// An empty signing secret would let anybody sign.
fn signing(field: &str, values: Vec<String>) -> Result<Vec<SecretString>, String> {
    if values.iter().any(|value| value.trim().is_empty()) {
        return Err(format!("has an empty entry in `{field}`"));
    }
    Ok(values.into_iter().map(SecretString::from).collect())
}

fn moment(field: &str, moment: Option<Moment>) -> Result<Option<Timestamp>, String> {
    let parsed = match moment {
        None => return Ok(None),
        Some(Moment::Seconds(second)) => Timestamp::from_second(second).ok(),
        Some(Moment::Text(text)) => text.parse().ok(),
    };
    match parsed {
        Some(moment) => Ok(Some(moment)),
        None => Err(format!(
            "has a `{field}` that is no time, such as 2027-01-31T00:00:00Z"
        )),
    }
}

fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut text = hex::encode(hash.finalize());
    text.truncate(DIGEST_CHARS);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"tempo_token":"hush-t","jira_email":"bot@acme.example","jira_token":"hush-j",
        "jira_webhook_secrets":["hush-w"],"tempo_webhook_secrets":[]}"#;

    #[test]
    fn a_secret_is_read_and_never_shown() {
        let secret = SiteSecret::parse(GOOD).unwrap();
        assert_eq!(secret.jira_token.expose_secret(), "hush-j");
        assert_eq!(secret.jira_webhook_secrets.len(), 1);
        assert!(!format!("{secret:?}").contains("hush"));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_text() {
        let cases = [
            ("hush", "is not JSON at line 1, column 1"),
            (r#"{"tempo_token":"hush","#, "is not JSON at line 1, column 22"),
            (
                r#"{"tempo_token":77}"#,
                "holds a value of the wrong kind at line 1, column 17",
            ),
            (
                r#"{"tempo_token":"hush","jira_email":"e"}"#,
                "has no `jira_token`",
            ),
            (
                r#"{"tempo_token":" ","jira_email":"e","jira_token":"hush"}"#,
                "has an empty `tempo_token`",
            ),
            (
                r#"{"tempo_token":"t","jira_email":"e","jira_token":"hush","jira_webhook_secrets":[""]}"#,
                "has an empty entry in `jira_webhook_secrets`",
            ),
            (
                r#"{"tempo_token":"t","jira_email":"e","jira_token":"hush","tempo_client_id":"c"}"#,
                "has no `tempo_client_secret`",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(SiteSecret::parse(text).unwrap_err(), expected);
        }
    }

    #[test]
    fn the_day_of_a_static_token_is_known_when_it_was_given() {
        let read =
            |at: &str| SiteSecret::parse(&GOOD.replacen('{', &format!("{{\"tempo_expires_at\":{at},"), 1));
        let day: Timestamp = "2027-01-31T00:00:00Z".parse().unwrap();
        assert_eq!(SiteSecret::parse(GOOD).unwrap().tempo_expires_at, None);
        assert_eq!(
            read("\"2027-01-31T00:00:00Z\"").unwrap().tempo_expires_at,
            Some(day)
        );
        assert_eq!(read("1801353600").unwrap().tempo_expires_at, Some(day));
        assert_eq!(
            read("\"soon\"").unwrap_err(),
            "has a `tempo_expires_at` that is no time, such as 2027-01-31T00:00:00Z"
        );
    }

    #[test]
    fn each_token_has_a_day_of_its_own() {
        let with = |fields: &str| SiteSecret::parse(&GOOD.replacen('{', &format!("{{{fields},"), 1));
        let secret = with(r#""jira_expires_at":"2027-01-31T00:00:00Z""#).unwrap();
        let ends = Token::ALL.map(|token| secret.end_of(token).map(|at| at.to_string()));
        assert_eq!(ends, [None, Some("2027-01-31T00:00:00Z".to_owned())]);
        assert_eq!(
            with(r#""jira_expires_at":"next year""#).unwrap_err(),
            "has a `jira_expires_at` that is no time, such as 2027-01-31T00:00:00Z"
        );
    }

    #[test]
    fn a_new_pair_leaves_the_rest_of_a_secret_as_it_is() {
        let before = GOOD.replacen(
            '{',
            r#"{"note":{"by":"ann"},"tempo_client_id":"c","tempo_client_secret":"hush-c","tempo_refresh_token":"hush-r","tempo_expires_at":1,"#,
            1,
        );
        let (token, refresh) = ("hush-t2".to_owned().into(), "hush-r2".to_owned().into());
        let day: Timestamp = "2027-01-31T00:00:00Z".parse().unwrap();
        let after = SiteSecret::with_tempo_pair(&before, &token, &refresh, Some(day)).unwrap();
        let read = SiteSecret::parse(after.expose_secret()).unwrap();
        assert_eq!(read.tempo_token.expose_secret(), "hush-t2");
        let oauth = read.tempo_oauth.unwrap();
        assert_eq!(oauth.refresh_token.expose_secret(), "hush-r2");
        assert_eq!(read.tempo_expires_at, Some(day));
        let fields: Value = serde_json::from_str(after.expose_secret()).unwrap();
        assert_eq!(fields["note"]["by"], "ann");
        assert_eq!(
            SiteSecret::same_beside_tempo_pair(&before, after.expose_secret()),
            Ok(true)
        );
        let touched = after.expose_secret().replace("hush-w", "hush-w2");
        assert_eq!(SiteSecret::same_beside_tempo_pair(&before, &touched), Ok(false));
        let unknown = SiteSecret::with_tempo_pair(&before, &token, &refresh, None).unwrap();
        assert_eq!(
            SiteSecret::parse(unknown.expose_secret())
                .unwrap()
                .tempo_expires_at,
            None
        );
        assert!(SiteSecret::with_tempo_pair("[]", &token, &refresh, None).is_err());
    }

    #[test]
    fn secrets_of_webhooks_are_added_once_and_the_oldest_give_way() {
        let secret = |text: &str| SecretString::from(text.to_owned());
        let before = GOOD.replacen('{', r#"{"note":{"by":"ann"},"#, 1);
        let after = SiteSecret::with_webhook_secrets(&before, &[secret("hush-w2")], &[secret("hush-v")])
            .unwrap()
            .unwrap();
        let fields: Value = serde_json::from_str(after.expose_secret()).unwrap();
        assert_eq!(
            fields["jira_webhook_secrets"],
            serde_json::json!(["hush-w", "hush-w2"])
        );
        assert_eq!(fields["tempo_webhook_secrets"], serde_json::json!(["hush-v"]));
        assert_eq!(
            (&fields["note"]["by"], &fields["tempo_token"]),
            (&"ann".into(), &"hush-t".into())
        );
        let again = SiteSecret::with_webhook_secrets(after.expose_secret(), &[secret("hush-w")], &[]);
        assert!(again.unwrap().is_none());
        let many: Vec<SecretString> = (0..20).map(|n| secret(&format!("hush-{n}"))).collect();
        let full = SiteSecret::with_webhook_secrets(&before, &many, &[])
            .unwrap()
            .unwrap();
        let kept = SiteSecret::parse(full.expose_secret())
            .unwrap()
            .jira_webhook_secrets;
        assert_eq!(kept.len(), WEBHOOK_SECRETS_MAX);
        assert_eq!(kept.last().unwrap().expose_secret(), "hush-19");
        assert!(SiteSecret::with_webhook_secrets("[]", &[], &[]).is_err());
    }

    #[test]
    fn the_digest_tells_a_change() {
        let before = SiteSecret::parse(GOOD).unwrap();
        let after = SiteSecret::parse(&GOOD.replace("hush-t", "hush-u")).unwrap();
        assert_ne!(before.credentials_digest(), after.credentials_digest());
        assert_eq!(before.webhook_digest(), after.webhook_digest());
        assert_eq!(before.credentials_digest().len(), 16);
    }
}

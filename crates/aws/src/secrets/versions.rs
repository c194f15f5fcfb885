//! A secret's versions in Secrets Manager: what a rotation and `secrets put` write.
//!
//! Texts are handed on as they are; what is in them is [`SiteSecret`](super::SiteSecret)'s to say.

use std::collections::BTreeMap;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use secrecy::{ExposeSecret, SecretString};

use crate::key;

/// The label of the version in use.
const CURRENT: &str = "AWSCURRENT";
/// The label of the version that a rotation is making.
const PENDING: &str = "AWSPENDING";
/// The label of the version that was in use before the one that is.
const PREVIOUS: &str = "AWSPREVIOUS";
/// The label of what was written only to see that something can be.
const REHEARSAL: &str = "TANDEM_REHEARSAL";

/// What Secrets Manager answers for a version that does not exist, or has no text yet.
pub(super) const NOT_THERE: &str = "ResourceNotFoundException";

/// Why a version could not be read or written. No text of a secret is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// The version has another text already.
    #[error("this version has been written already, with another text")]
    Written,
    /// Secrets Manager says no; a person has to act.
    #[error("Secrets Manager refuses: {0}")]
    Refused(String),
    /// Secrets Manager does not answer, or not now. Again later.
    #[error("Secrets Manager is out of reach for now: {0}")]
    Unreachable(String),
}

/// What a secret is, short of its texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its full ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// The version in use.
    pub current: Option<String>,
    /// The version that a rotation is making, or has left behind.
    pub pending: Option<String>,
    /// The version that was in use before `current`.
    pub previous: Option<String>,
}

impl Described {
    /// Says whether this is the secret that a configuration names by a name, an ARN, or an ARN without its last part.
    pub fn is(&self, id: &str) -> bool {
        let without_suffix = self.arn.rsplit_once('-').map(|(start, _)| start);
        id == self.arn || id == self.name || Some(id) == without_suffix
    }
}

/// The versions of one secret.
#[derive(Clone, Debug)]
pub struct Versions {
    manager: Client,
    id: String,
}

impl Versions {
    /// Begins with a name or an ARN. Asks nothing.
    pub fn new(manager: Client, id: impl Into<String>) -> Self {
        Self {
            manager,
            id: id.into(),
        }
    }

    /// Says which versions have which label.
    pub async fn describe(&self) -> Result<Described, VersionError> {
        let answer = self.manager.describe_secret().secret_id(&self.id).send().await;
        let answer = answer.map_err(failure)?;
        let versions: BTreeMap<String, Vec<String>> = answer
            .version_ids_to_stages
            .unwrap_or_default()
            .into_iter()
            .collect();
        let with = |label: &str| {
            versions
                .iter()
                .find(|(_, labels)| labels.iter().any(|one| one == label))
                .map(|(version, _)| version.clone())
        };
        Ok(Described {
            arn: answer.arn.unwrap_or_default(),
            name: answer.name.unwrap_or_default(),
            current: with(CURRENT),
            pending: with(PENDING),
            previous: with(PREVIOUS),
        })
    }

    /// Reads a version's text; `None` where there is no such version, or nothing has been written into it yet.
    pub async fn text(&self, version: &str) -> Result<Option<SecretString>, VersionError> {
        let request = self.manager.get_secret_value().secret_id(&self.id);
        match request.version_id(version).send().await {
            Ok(answer) => match answer.secret_string {
                Some(text) => Ok(Some(text.into())),
                None => Err(VersionError::Refused(
                    "it is binary; store the JSON as text".into(),
                )),
            },
            Err(error) if error.as_service_error().and_then(|error| error.code()) == Some(NOT_THERE) => {
                Ok(None)
            }
            Err(error) => Err(failure(error)),
        }
    }

    /// Writes the text of the version that a rotation is making. The same again changes nothing.
    pub async fn put_pending(&self, version: &str, text: &SecretString) -> Result<(), VersionError> {
        self.put(Some(version), Some(PENDING), text.expose_secret()).await
    }

    /// Writes a new version, which is in use from then on. Returns its name.
    pub async fn put_current(&self, text: &SecretString) -> Result<String, VersionError> {
        let version = name();
        self.put(Some(&version), None, text.expose_secret()).await?;
        Ok(version)
    }

    /// Writes a version that nobody reads, to see that one can be written: permission, key, quota.
    pub async fn rehearse(&self) -> Result<(), VersionError> {
        self.put(None, Some(REHEARSAL), "{}").await
    }

    async fn put(&self, version: Option<&str>, label: Option<&str>, text: &str) -> Result<(), VersionError> {
        let version = version.map_or_else(name, str::to_owned);
        let request = self.manager.put_secret_value().secret_id(&self.id);
        let request = request.client_request_token(version).secret_string(text);
        let sent = request
            .set_version_stages(label.map(|label| vec![label.to_owned()]))
            .send();
        sent.await.map(drop).map_err(failure)
    }

    /// Puts a version into use in place of the one that is.
    pub async fn promote(&self, version: &str, instead_of: &str) -> Result<(), VersionError> {
        let request = self.manager.update_secret_version_stage().secret_id(&self.id);
        let request = request.version_stage(CURRENT).move_to_version_id(version);
        let sent = request.remove_from_version_id(instead_of).send();
        sent.await.map(drop).map_err(failure)
    }

    /// Takes the label of a rotation under way off a version.
    pub async fn end_pending(&self, version: &str) -> Result<(), VersionError> {
        let request = self.manager.update_secret_version_stage().secret_id(&self.id);
        let sent = request
            .version_stage(PENDING)
            .remove_from_version_id(version)
            .send();
        sent.await.map(drop).map_err(failure)
    }
}

/// Draws a name for a version, in the shape that Secrets Manager gives them.
fn name() -> String {
    let drawn = hex::encode(rand::random::<[u8; 16]>());
    let parts = [
        &drawn[..8],
        &drawn[8..12],
        &drawn[12..16],
        &drawn[16..20],
        &drawn[20..],
    ];
    parts.join("-")
}

/// Whether an error code is about the moment, not about the request.
pub(super) fn is_passing(code: &str) -> bool {
    matches!(
        code,
        "InternalServiceError"
            | "InternalServiceErrorException"
            | "ThrottlingException"
            | "ServiceUnavailable"
    )
}

/// Puts a refusal into words, with what to do where it is the key.
pub(super) fn refusal(code: &str, message: &str) -> String {
    match key::is_refused(code, message) {
        true => format!("{code}: {message}. {}", key::ALLOW),
        false => format!("{code}: {message}"),
    }
}

fn failure<E>(error: SdkError<E>) -> VersionError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match &error {
        SdkError::ServiceError(service) => match service.err().code() {
            Some("ResourceExistsException") => VersionError::Written,
            Some(code) if is_passing(code) => VersionError::Unreachable(code.to_owned()),
            // The service's own words name the secret and the role, not the text.
            code => VersionError::Refused(refusal(
                code.unwrap_or("no reason given"),
                service.err().message().unwrap_or_default(),
            )),
        },
        _ => VersionError::Unreachable(crate::chain::chain(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_name_by_arn_and_by_what_aws_calls_a_partial_arn() {
        let arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:tandem/acme-AbCdEf";
        let described = Described {
            arn: arn.into(),
            name: "tandem/acme".into(),
            current: None,
            pending: None,
            previous: None,
        };
        assert!(described.is(arn) && described.is("tandem/acme"));
        assert!(described.is(arn.strip_suffix("-AbCdEf").unwrap()));
        assert!(!described.is("tandem/acm") && !described.is("acme") && !described.is(""));
    }

    #[test]
    fn a_key_that_may_not_be_used_is_told_as_that() {
        let text = refusal("AccessDeniedException", "Access to KMS is not allowed");
        assert!(text.contains("lacks the use of the KMS key"), "{text}");
        let text = refusal("AccessDeniedException", "no secretsmanager:GetSecretValue");
        assert_eq!(text, "AccessDeniedException: no secretsmanager:GetSecretValue");
    }

    #[test]
    fn a_version_is_named_as_secrets_manager_wants_it() {
        let name = name();
        assert_eq!((name.len(), name.matches('-').count()), (36, 4));
    }
}

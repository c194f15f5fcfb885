//! The standard AWS variables, and the clients built from them.
//!
//! `aws-config` is left out on purpose: a function gets its region and credentials in its environment, and
//! profiles, SSO and instance metadata would only make its cold start slower. A process that people start may bring what
//! gives credentials with it.

use std::path::PathBuf;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use secrecy::{ExposeSecret, SecretString};

use crate::counts::TableCounts;
use crate::https;
use crate::topic::{Topic, TopicError};

/// How often the SDK tries a request, the first time included.
pub const ATTEMPTS_MAX: u32 = 4;

/// What is wrong with the environment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// A variable is not set.
    #[error("{0} is not set; AWS needs it")]
    Missing(&'static str),
    /// There are no credentials at all.
    #[error("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set; AWS needs them")]
    NoKeys,
}

/// Region, credentials and endpoints.
#[derive(Clone, Debug)]
pub struct AwsEnvironment {
    region: String,
    access: Access,
    endpoint: Option<String>,
    dynamodb_endpoint: Option<String>,
    secrets_manager_endpoint: Option<String>,
    sns_endpoint: Option<String>,
    /// One for all clients: setting TLS up takes longer than most else of a function's start.
    https: SharedHttpClient,
}

/// What requests are signed with.
#[derive(Clone, Debug)]
enum Access {
    /// The keys of the environment, which stay the same for as long as the process lives.
    Keys {
        id: String,
        secret: SecretString,
        session_token: Option<SecretString>,
    },
    /// What is asked before each request, and keeps what it gives by itself.
    Asked(SharedCredentialsProvider),
}

impl Access {
    fn provider(&self) -> SharedCredentialsProvider {
        match self {
            Self::Keys {
                id,
                secret,
                session_token,
            } => SharedCredentialsProvider::new(keys(id, secret, session_token.as_ref())),
            Self::Asked(provider) => provider.clone(),
        }
    }
}

fn keys(id: &str, secret: &SecretString, session_token: Option<&SecretString>) -> Credentials {
    let session_token = session_token.map(|token| token.expose_secret().to_owned());
    Credentials::new(id, secret.expose_secret(), session_token, None, "environment")
}

impl AwsEnvironment {
    /// Reads the standard variables; those set to nothing count as missing.
    pub fn from_vars(vars: impl IntoIterator<Item = (String, String)>) -> Result<Self, EnvironmentError> {
        Self::read(vars, None)
    }

    /// The same, but where there are no credentials these are asked for each time, and kept by whoever gives them.
    pub fn from_vars_or(
        vars: impl IntoIterator<Item = (String, String)>,
        credentials: SharedCredentialsProvider,
    ) -> Result<Self, EnvironmentError> {
        Self::read(vars, Some(credentials))
    }

    fn read(
        vars: impl IntoIterator<Item = (String, String)>,
        otherwise: Option<SharedCredentialsProvider>,
    ) -> Result<Self, EnvironmentError> {
        let mut region = None;
        let mut default_region = None;
        let mut access_key_id = None;
        let mut secret_access_key = None;
        let mut session_token = None;
        let mut endpoint = None;
        let mut dynamodb_endpoint = None;
        let mut secrets_manager_endpoint = None;
        let mut sns_endpoint = None;
        let mut ca_bundle = None;
        for (name, value) in vars {
            if value.is_empty() {
                continue;
            }
            match name.as_str() {
                "AWS_REGION" => region = Some(value),
                "AWS_DEFAULT_REGION" => default_region = Some(value),
                "AWS_ACCESS_KEY_ID" => access_key_id = Some(value),
                "AWS_SECRET_ACCESS_KEY" => secret_access_key = Some(SecretString::from(value)),
                "AWS_SESSION_TOKEN" => session_token = Some(SecretString::from(value)),
                "AWS_ENDPOINT_URL" => endpoint = Some(value),
                "AWS_ENDPOINT_URL_DYNAMODB" => dynamodb_endpoint = Some(value),
                "AWS_ENDPOINT_URL_SECRETS_MANAGER" => secrets_manager_endpoint = Some(value),
                "AWS_ENDPOINT_URL_SNS" => sns_endpoint = Some(value),
                "AWS_CA_BUNDLE" => ca_bundle = Some(PathBuf::from(value)),
                _ => {}
            }
        }
        let region = region.or(default_region);
        let region = region.ok_or(EnvironmentError::Missing("AWS_REGION"))?;
        let access = match (access_key_id, secret_access_key, otherwise) {
            (Some(id), Some(secret), _) => Access::Keys {
                id,
                secret,
                session_token,
            },
            // One without the other is a mistake, whoever else could be asked.
            (Some(_), None, _) => return Err(EnvironmentError::Missing("AWS_SECRET_ACCESS_KEY")),
            (None, Some(_), _) => return Err(EnvironmentError::Missing("AWS_ACCESS_KEY_ID")),
            (None, None, Some(provider)) => Access::Asked(provider),
            (None, None, None) => return Err(EnvironmentError::NoKeys),
        };
        Ok(Self {
            region,
            access,
            endpoint,
            dynamodb_endpoint,
            secrets_manager_endpoint,
            sns_endpoint,
            https: https::client(ca_bundle),
        })
    }

    /// Builds a client of DynamoDB that counts into `counts`.
    pub fn dynamodb(&self, counts: &TableCounts) -> aws_sdk_dynamodb::Client {
        let mut config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
            .region(aws_sdk_dynamodb::config::Region::new(self.region.clone()))
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
            .timeout_config(timeouts())
            .sleep_impl(TokioSleep::new())
            .http_client(self.https.clone())
            .interceptor(counts.clone());
        config.set_credentials_provider(Some(self.access.provider()));
        if let Access::Asked(_) = self.access {
            config = config.identity_cache(aws_sdk_dynamodb::config::IdentityCache::no_cache());
        }
        if let Some(endpoint) = self.dynamodb_endpoint.as_ref().or(self.endpoint.as_ref()) {
            config = config.endpoint_url(endpoint);
        }
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// Builds a client of Secrets Manager.
    pub fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        let mut config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(aws_sdk_secretsmanager::config::BehaviorVersion::latest())
            .region(aws_sdk_secretsmanager::config::Region::new(self.region.clone()))
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
            .timeout_config(timeouts())
            .sleep_impl(TokioSleep::new())
            .http_client(self.https.clone());
        config.set_credentials_provider(Some(self.access.provider()));
        if let Access::Asked(_) = self.access {
            config = config.identity_cache(aws_sdk_secretsmanager::config::IdentityCache::no_cache());
        }
        if let Some(endpoint) = self.secrets_manager_endpoint.as_ref().or(self.endpoint.as_ref()) {
            config = config.endpoint_url(endpoint);
        }
        aws_sdk_secretsmanager::Client::from_conf(config.build())
    }

    /// Takes a topic of SNS, to publish to, by its ARN.
    ///
    /// # Errors
    /// When that is no topic's ARN, or the environment has no keys.
    pub fn topic(&self, arn: &str) -> Result<Topic, TopicError> {
        let address = self.sns_endpoint.as_ref().or(self.endpoint.as_ref());
        let Access::Keys {
            id,
            secret,
            session_token,
        } = &self.access
        else {
            return Err(TopicError::NoKeys);
        };
        let keys = keys(id, secret, session_token.as_ref());
        Topic::new(arn, address.map(String::as_str), keys)
    }
}

/// The limits of one request. A table that is slower than this is not there.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_secs(5))
        .operation_timeout(Duration::from_secs(15))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_missing_variable_is_named() {
        let error = AwsEnvironment::from_vars(vars(&[("AWS_ACCESS_KEY_ID", "k"), ("AWS_REGION", "")]));
        assert_eq!(error.unwrap_err(), EnvironmentError::Missing("AWS_REGION"));
    }

    #[test]
    fn debug_shows_no_secret() {
        let environment = AwsEnvironment::from_vars(vars(&[
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "hush-hush"),
            ("AWS_SESSION_TOKEN", "hush-hush-too"),
        ]))
        .unwrap();
        assert!(!format!("{environment:?}").contains("hush"));
    }
}

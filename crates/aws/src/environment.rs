//! The standard AWS variables, and the clients built from them.
//!
//! `aws-config` is left out on purpose: a function gets its region and credentials in its environment, and
//! profiles, SSO and instance metadata would only make its cold start slower.

use std::path::PathBuf;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_smithy_async::rt::sleep::TokioSleep;
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
}

/// Region, credentials and endpoints.
#[derive(Clone, Debug)]
pub struct AwsEnvironment {
    region: String,
    access_key_id: String,
    secret_access_key: SecretString,
    session_token: Option<SecretString>,
    endpoint: Option<String>,
    dynamodb_endpoint: Option<String>,
    secrets_manager_endpoint: Option<String>,
    sns_endpoint: Option<String>,
    ca_bundle: Option<PathBuf>,
}

impl AwsEnvironment {
    /// Reads the standard variables; those set to nothing count as missing.
    pub fn from_vars(vars: impl IntoIterator<Item = (String, String)>) -> Result<Self, EnvironmentError> {
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
        Ok(Self {
            region: region
                .or(default_region)
                .ok_or(EnvironmentError::Missing("AWS_REGION"))?,
            access_key_id: access_key_id.ok_or(EnvironmentError::Missing("AWS_ACCESS_KEY_ID"))?,
            secret_access_key: secret_access_key.ok_or(EnvironmentError::Missing("AWS_SECRET_ACCESS_KEY"))?,
            session_token,
            endpoint,
            dynamodb_endpoint,
            secrets_manager_endpoint,
            sns_endpoint,
            ca_bundle,
        })
    }

    /// Builds a client of DynamoDB that counts into `counts`.
    pub fn dynamodb(&self, counts: &TableCounts) -> aws_sdk_dynamodb::Client {
        let mut config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
            .region(aws_sdk_dynamodb::config::Region::new(self.region.clone()))
            .credentials_provider(self.credentials())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
            .timeout_config(timeouts())
            .sleep_impl(TokioSleep::new())
            .http_client(https::client(self.ca_bundle.clone()))
            .interceptor(counts.clone());
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
            .credentials_provider(self.credentials())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
            .timeout_config(timeouts())
            .sleep_impl(TokioSleep::new())
            .http_client(https::client(self.ca_bundle.clone()));
        if let Some(endpoint) = self.secrets_manager_endpoint.as_ref().or(self.endpoint.as_ref()) {
            config = config.endpoint_url(endpoint);
        }
        aws_sdk_secretsmanager::Client::from_conf(config.build())
    }

    /// Takes a topic of SNS, to publish to, by its ARN.
    ///
    /// # Errors
    /// When that is no topic's ARN.
    pub fn topic(&self, arn: &str) -> Result<Topic, TopicError> {
        let address = self.sns_endpoint.as_ref().or(self.endpoint.as_ref());
        Topic::new(arn, address.map(String::as_str), self.credentials())
    }

    fn credentials(&self) -> Credentials {
        Credentials::new(
            self.access_key_id.clone(),
            self.secret_access_key.expose_secret(),
            self.session_token
                .as_ref()
                .map(|token| token.expose_secret().to_owned()),
            None,
            "environment",
        )
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

//! Where a secret is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a site's secret is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretSource {
    /// In Secrets Manager, under this name or ARN.
    Aws(String),
    /// In this variable of the environment.
    Env(String),
    /// In this file.
    File(PathBuf),
}

/// A text that names no source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
// The text is left out: somebody may have put the secret itself there.
#[error("a secret is written aws:ID, env:NAME or file:PATH")]
pub struct SourceError;

impl FromStr for SecretSource {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some((_, "")) => Err(SourceError),
            Some(("aws", id)) => Ok(Self::Aws(id.to_owned())),
            Some(("env", name)) => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) => Ok(Self::File(path.into())),
            _ => Err(SourceError),
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aws(id) => write!(f, "aws:{id}"),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_reads_back_as_it_was_written() {
        for text in [
            "aws:tandem/acme",
            "aws:arn:aws:secretsmanager:x",
            "env:TANDEM_ACME",
            "file:acme.json",
        ] {
            assert_eq!(text.parse::<SecretSource>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_secret_in_place_of_its_source_is_not_repeated() {
        let error = "hush-hush".parse::<SecretSource>().unwrap_err();
        assert!(!error.to_string().contains("hush"));
        assert_eq!("env:".parse::<SecretSource>(), Err(SourceError));
    }
}

//! How a command ends, and which exit code that is.

use std::fmt;
use std::process::ExitCode;

use tandem_engine::EngineError;
use tandem_engine::ports::StoreError;

/// A command that did what it was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All is done, or equal.
    Done,
    /// Done, but something differs or waits.
    Differs,
    /// Some of what was asked for failed; the command itself said what.
    Failed,
}

impl Ending {
    /// `Differs` when there is something to tell.
    pub(crate) fn differs_if(something: bool) -> Self {
        if something { Self::Differs } else { Self::Done }
    }

    pub(crate) fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Differs => 3,
        })
    }
}

/// A command that did not.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was called wrongly, or the configuration is wrong.
    Usage(String),
    /// It failed.
    Failed(anyhow::Error),
}

impl Failure {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::Failed(anyhow::Error::msg(text.into()))
    }

    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => 2,
            Self::Failed(_) => 1,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => f.write_str(text),
            Self::Failed(error) => write!(f, "{error:#}"),
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

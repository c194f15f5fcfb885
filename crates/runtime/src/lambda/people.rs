//! Who is told when something needs a person: a topic of SNS.

use jiff::Timestamp;
use tandem_aws::{AwsEnvironment, EnvironmentError, Topic, TopicError};
use tracing::warn;

use super::{ANSWER, by};
use crate::alerts;
use crate::current::Published;
use crate::wiring::Tandem;

/// The variable that names the topic.
const VARIABLE: &str = "TANDEM_ALERTS_TOPIC";

/// Why it is not known whom to tell.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// A variable of AWS is missing.
    #[error(transparent)]
    Aws(#[from] EnvironmentError),
    /// What is named is no topic.
    #[error("TANDEM_ALERTS_TOPIC: {0}")]
    Topic(#[from] TopicError),
}

/// Whoever listens to the topic.
#[derive(Debug)]
pub struct People {
    topic: Option<Topic>,
}

impl People {
    /// Reads which topic it is; where none is named, nobody is told.
    ///
    /// # Errors
    /// When what is named is no topic, or AWS's own variables are missing.
    pub fn from_vars(vars: impl IntoIterator<Item = (String, String)>) -> Result<Self, PeopleError> {
        let vars: Vec<_> = vars.into_iter().collect();
        let named = vars
            .iter()
            .find(|(name, value)| name == VARIABLE && !value.is_empty());
        let topic = match named {
            Some((_, arn)) => {
                let arn = arn.clone();
                Some(AwsEnvironment::from_vars(vars)?.topic(&arn)?)
            }
            None => None,
        };
        Ok(Self { topic })
    }

    /// Tells what is new among what needs a person, while there is time. Fails nothing; the log says what could not be told.
    pub async fn tell(&self, published: &Published, tandem: &Tandem, deadline: Timestamp) {
        let Some(topic) = &self.topic else { return };
        // Boxed, as it is large and mostly has nothing to do.
        let work = Box::pin(alerts::publish(tandem, published.transport().as_ref(), topic));
        if by(published.clock(), deadline - ANSWER, work).await.is_none() {
            warn!("Left what needs a person for the next sweep to tell: the deadline has come");
        }
    }
}

//! SNS, as far as functions ask it: what is published.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use tandem_template::Allowed;

/// A form that SNS was sent.
pub(crate) struct Form(BTreeMap<String, String>);

/// What was published to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The topic's ARN.
    pub topic: String,
    /// What an e-mail shows above it.
    pub subject: String,
    /// What was said.
    pub message: String,
}

impl Form {
    /// Reads a form; `None` where it is none, and so is not for SNS.
    pub(crate) fn read(headers: &HeaderMap, body: &Bytes) -> Option<Self> {
        let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        kind.starts_with("application/x-www-form-urlencoded")
            .then(|| Self(url::form_urlencoded::parse(body).into_owned().collect()))
    }

    fn field(&self, name: &str) -> String {
        self.0.get(name).cloned().unwrap_or_default()
    }

    /// The permission that it needs.
    pub(crate) fn permission(&self) -> Allowed {
        Allowed {
            action: format!("sns:{}", self.field("Action")),
            resource: self.field("TopicArn"),
        }
    }

    /// What it publishes, and whether all is there that SNS asks for.
    pub(crate) fn publication(&self) -> Option<Published> {
        let of = |name: &str| Some(self.field(name)).filter(|text| !text.is_empty());
        let right = self.field("Action") == "Publish" && self.field("Version") == "2010-03-31";
        right.then_some(())?;
        Some(Published {
            topic: of("TopicArn")?,
            subject: of("Subject")?,
            message: of("Message")?,
        })
    }
}

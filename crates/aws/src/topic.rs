//! An SNS topic: the one request that says something to whoever listens to it.
//!
//! It is signed here and sent by the caller: SNS's own client would be a megabyte more for one form.

use std::fmt;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;
use http::{Method, Request, header};
use url::Url;
use url::form_urlencoded::Serializer;

/// The longest message that SNS takes, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// The longest subject, in characters.
const SUBJECT_MAX: usize = 99;

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// What is wrong with a topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Its ARN is none.
    #[error("`{0}` is no topic of SNS; it would be like arn:aws:sns:eu-central-1:123456789012:tandem-alarms")]
    NoArn(String),
    /// The address of SNS cannot be used.
    #[error("the address of SNS cannot be used: {0}")]
    Address(String),
    /// There is nothing to sign requests with.
    #[error("requests to SNS are signed with the environment's own keys, and there are none")]
    NoKeys,
    /// The request could not be signed.
    #[error("a request to SNS could not be signed: {0}")]
    Unsigned(String),
}

/// A topic, and who publishes to it.
#[derive(Clone)]
pub struct Topic {
    arn: String,
    region: String,
    address: Url,
    credentials: Credentials,
}

// By hand: credentials are nobody's to read.
impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Topic").field(&self.arn).finish()
    }
}

impl Topic {
    /// Takes a topic by its ARN. `address` is where SNS is, when it is not where AWS says.
    pub(crate) fn new(
        arn: &str,
        address: Option<&str>,
        credentials: Credentials,
    ) -> Result<Self, TopicError> {
        let parts: Vec<&str> = arn.split(':').collect();
        let ["arn", partition, "sns", region, account, name] = parts[..] else {
            return Err(TopicError::NoArn(arn.to_owned()));
        };
        if [partition, region, account, name].contains(&"") {
            return Err(TopicError::NoArn(arn.to_owned()));
        }
        let suffix = if partition == "aws-cn" {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        };
        let address = match address {
            Some(address) => address.to_owned(),
            None => format!("https://sns.{region}.{suffix}/"),
        };
        let address = Url::parse(&address).map_err(|error| TopicError::Address(error.to_string()))?;
        Ok(Self {
            arn: arn.to_owned(),
            region: region.to_owned(),
            address,
            credentials,
        })
    }

    /// Makes the request that publishes a message, signed at `now`. SNS takes it for a quarter of an hour.
    ///
    /// The subject is what an e-mail shows above it; beyond what SNS takes, both are cut.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn publication(
        &self,
        subject: &str,
        message: &str,
        now: SystemTime,
    ) -> Result<Request<Bytes>, TopicError> {
        let unsigned = |error: &dyn fmt::Display| TopicError::Unsigned(error.to_string());
        // A subject is printable ASCII in one line.
        let subject: String = subject
            .chars()
            .map(|letter| if matches!(letter, ' '..='~') { letter } else { ' ' })
            .take(SUBJECT_MAX)
            .collect();
        let end = message.floor_char_boundary(MESSAGE_BYTES_MAX);
        let body = Serializer::new(String::new())
            .append_pair("Action", "Publish")
            .append_pair("Version", "2010-03-31")
            .append_pair("TopicArn", &self.arn)
            .append_pair("Subject", &subject)
            .append_pair("Message", &message[..end])
            .finish();
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(self.address.as_str())
            .header(header::CONTENT_TYPE, FORM)
            .body(Bytes::from(body))
            .map_err(|error| TopicError::Address(error.to_string()))?;
        let identity: Identity = self.credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("sns")
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unsigned(&error))?
            .into();
        let signable = SignableRequest::new(
            "POST",
            self.address.as_str(),
            [(header::CONTENT_TYPE.as_str(), FORM)].into_iter(),
            SignableBody::Bytes(request.body()),
        )
        .map_err(|error| unsigned(&error))?;
        let (instructions, _) = sign(signable, &parameters)
            .map_err(|error| unsigned(&error))?
            .into_parts();
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const ARN: &str = "arn:aws:sns:eu-central-1:123456789012:tandem-alarms";

    fn topic(arn: &str) -> Result<Topic, TopicError> {
        let credentials = Credentials::new("AKIDEXAMPLE", "hush", Some("token".into()), None, "test");
        Topic::new(arn, None, credentials)
    }

    #[test]
    fn a_message_is_a_signed_form_at_the_topics_region() {
        let at = UNIX_EPOCH + Duration::from_secs(1_795_400_000);
        let request = topic(ARN)
            .unwrap()
            .publication("Tandem: 1\nthing", "• Zoë & co. = \"x\"", at)
            .unwrap();
        assert_eq!(request.uri(), "https://sns.eu-central-1.amazonaws.com/");
        let fields: Vec<(String, String)> =
            url::form_urlencoded::parse(request.body()).into_owned().collect();
        let of = |name: &str| &fields.iter().find(|(one, _)| one == name).unwrap().1;
        assert_eq!((of("Action").as_str(), of("TopicArn").as_str()), ("Publish", ARN));
        assert_eq!(of("Message"), "• Zoë & co. = \"x\"");
        assert_eq!(of("Subject"), "Tandem: 1 thing");
        let signed = request.headers()["authorization"].to_str().unwrap();
        assert!(
            signed.starts_with(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261123/eu-central-1/sns/aws4_request"
            ) && signed.contains("content-type;host;x-amz-date"),
            "{signed}"
        );
        assert_eq!(request.headers()["x-amz-security-token"], "token");
        assert!(!format!("{request:?}").contains("hush"));
        assert!(!format!("{:?}", topic(ARN)).contains("hush"));
    }

    #[test]
    fn china_has_another_name_and_what_is_no_topic_is_said() {
        let there = topic("arn:aws-cn:sns:cn-north-1:123456789012:t").unwrap();
        assert_eq!(there.address.as_str(), "https://sns.cn-north-1.amazonaws.com.cn/");
        for wrong in [
            "",
            "tandem-alarms",
            "arn:aws:sqs:eu-central-1:1:q",
            "arn:aws:sns:::x",
        ] {
            assert_eq!(topic(wrong).unwrap_err(), TopicError::NoArn(wrong.to_owned()));
        }
    }

    #[test]
    fn a_message_that_is_too_long_is_cut_between_letters() {
        let long = "ö".repeat(MESSAGE_BYTES_MAX);
        let request = topic(ARN).unwrap().publication("s", &long, UNIX_EPOCH).unwrap();
        let fields: Vec<(String, String)> =
            url::form_urlencoded::parse(request.body()).into_owned().collect();
        assert_eq!(fields[4].1.len(), MESSAGE_BYTES_MAX);
    }
}

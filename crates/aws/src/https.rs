//! The AWS SDK's way to the network.
//!
//! The SDK's own client reads and parses every certificate of the machine when it is made, which took longer than all the rest
//! of a function's start together. Here the roots are part of the binary, as they are for the vendors, and
//! nothing is set up before the first request.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Makes a client for the SDK that trusts Mozilla's roots, and those in the file `bundle` besides.
pub(crate) fn client(bundle: Option<PathBuf>) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(Connector(Arc::new(Https {
        bundle,
        client: OnceLock::new(),
    })));
    http_client_fn(move |_, _| connector.clone())
}

#[derive(Clone, Debug)]
struct Connector(Arc<Https>);

#[derive(Debug)]
struct Https {
    bundle: Option<PathBuf>,
    client: OnceLock<Result<reqwest::Client, String>>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let https = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move {
            let client = https
                .client
                .get_or_init(|| set_up(https.bundle.as_deref()))
                .as_ref()
                .map_err(|problem| ConnectorError::user(problem.clone().into()))?;
            send(client, request).await
        })
    }
}

fn set_up(bundle: Option<&Path>) -> Result<reqwest::Client, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS could not be set up: {error}"))?
        .with_root_certificates(roots(bundle)?)
        .with_no_client_auth();
    // The SDK sees to repetition and time.
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .no_gzip()
        .connect_timeout(CONNECT_TIMEOUT)
        .build()
        .map_err(|error| format!("the HTTP client could not be set up: {error}"))
}

fn roots(bundle: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(file) = bundle {
        let wrong = |what: String| format!("AWS_CA_BUNDLE names {}: {what}", file.display());
        let before = roots.len();
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))? {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
        if roots.len() == before {
            return Err(wrong(
                "there is no certificate in it; it has to be PEM".to_owned(),
            ));
        }
    }
    Ok(roots)
}

async fn send(client: &reqwest::Client, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let user = |error: Box<dyn std::error::Error + Send + Sync>| ConnectorError::user(error);
    let (parts, body) = request
        .try_into_http1x()
        .map_err(|error| user(error.into()))?
        .into_parts();
    let body = body
        .bytes()
        .ok_or_else(|| user("a body that is not in memory cannot be sent".into()))?
        .to_vec();
    let request = reqwest::Request::try_from(http::Request::from_parts(parts, body))
        .map_err(|error| user(error.into()))?;
    let answer = client.execute(request).await.map_err(failure)?;
    let status = answer.status();
    let headers = answer.headers().clone();
    let body = answer.bytes().await.map_err(failure)?;
    let mut parts = http::Response::new(SdkBody::from(body));
    *parts.status_mut() = status;
    *parts.headers_mut() = headers;
    HttpResponse::try_from(parts).map_err(|error| ConnectorError::other(error.into(), None))
}

/// Tells the SDK what kind of failure it was: it repeats those of the network, and those alone.
fn failure(error: reqwest::Error) -> ConnectorError {
    match &error {
        _ if error.is_builder() => ConnectorError::user(error.into()),
        _ if error.is_timeout() => ConnectorError::timeout(error.into()),
        _ => ConnectorError::io(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use super::*;
    use crate::{AwsEnvironment, TableCounts};

    /// Answers one call after it has broken `broken` connections off; returns how many there were.
    fn service(broken: usize) -> (String, JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = std::thread::spawn(move || {
            for connection in 0.. {
                let (mut stream, _) = listener.accept().unwrap();
                let mut seen = Vec::new();
                while !seen.ends_with(b"}") {
                    let mut some = [0; 4096];
                    let read = stream.read(&mut some).unwrap();
                    seen.extend_from_slice(&some[..read]);
                }
                if connection == broken {
                    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/x-amz-json-1.0\r\n\r\n{}";
                    stream.write_all(answer.as_bytes()).unwrap();
                    return connection + 1;
                }
            }
            0
        });
        (url, served)
    }

    fn client(vars: &[(&str, &str)], counts: &TableCounts) -> aws_sdk_dynamodb::Client {
        let always = [
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "key"),
        ];
        let vars = always.iter().chain(vars);
        let vars = vars.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        AwsEnvironment::from_vars(vars).unwrap().dynamodb(counts)
    }

    #[tokio::test]
    async fn a_connection_that_breaks_is_taken_up_again() {
        let (url, served) = service(2);
        let counts = TableCounts::default();
        let client = client(&[("AWS_ENDPOINT_URL", &url)], &counts);
        let answer = client.describe_table().table_name("t").send().await;
        assert!(answer.is_ok(), "{answer:?}");
        assert_eq!((served.join().unwrap(), counts.total()), (3, 3));
    }

    #[tokio::test]
    async fn a_bundle_that_cannot_be_read_is_told_and_nothing_is_sent() {
        let counts = TableCounts::default();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("roots.pem");
        let vars = [
            ("AWS_CA_BUNDLE", file.to_str().unwrap()),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ];
        let said = async || {
            let answer = client(&vars, &counts)
                .describe_table()
                .table_name("t")
                .send()
                .await;
            aws_sdk_dynamodb::error::DisplayErrorContext(answer.unwrap_err()).to_string()
        };
        let text = said().await;
        assert!(
            text.contains("AWS_CA_BUNDLE names") && text.contains("roots.pem"),
            "{text}"
        );
        std::fs::write(&file, "not a certificate").unwrap();
        let text = said().await;
        assert!(text.contains("there is no certificate in it"), "{text}");
    }

    #[test]
    fn the_roots_that_aws_names_are_trusted() {
        let roots = roots(None).unwrap();
        for name in [
            "Amazon Root CA 1",
            "Amazon Root CA 2",
            "Amazon Root CA 3",
            "Amazon Root CA 4",
            "Starfield Services Root Certificate Authority - G2",
        ] {
            let trusted = roots.roots.iter().any(|root| {
                let subject: &[u8] = &root.subject;
                subject.windows(name.len()).any(|part| part == name.as_bytes())
            });
            assert!(trusted, "{name}");
        }
    }

    #[test]
    fn a_bundle_adds_its_roots_to_those_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("roots.pem");
        // Any root does, since nothing is connected to: this one is Amazon Root CA 3.
        let pem = "-----BEGIN CERTIFICATE-----
MIIBtjCCAVugAwIBAgITBmyf1XSXNmY/Owua2eiedgPySjAKBggqhkjOPQQDAjA5
MQswCQYDVQQGEwJVUzEPMA0GA1UEChMGQW1hem9uMRkwFwYDVQQDExBBbWF6b24g
Um9vdCBDQSAzMB4XDTE1MDUyNjAwMDAwMFoXDTQwMDUyNjAwMDAwMFowOTELMAkG
A1UEBhMCVVMxDzANBgNVBAoTBkFtYXpvbjEZMBcGA1UEAxMQQW1hem9uIFJvb3Qg
Q0EgMzBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABCmXp8ZBf8ANm+gBG1bG8lKl
ui2yEujSLtf6ycXYqm0fc4E7O5hrOXwzpcVOho6AF2hiRVd9RFgdszflZwjrZt6j
QjBAMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgGGMB0GA1UdDgQWBBSr
ttvXBp43rDCGB5Fwx5zEGbF4wDAKBggqhkjOPQQDAgNJADBGAiEA4IWSoxe3jfkr
BqWTrBqYaGFy+uGh0PsceGCmQ5nFuMQCIQCcAu/xlJyzlvnrxir4tiz+OpAUFteM
YyRIHN8wfdVoOw==
-----END CERTIFICATE-----
";
        std::fs::write(&file, pem).unwrap();
        let without = roots(None).unwrap().len();
        assert_eq!(roots(Some(&file)).unwrap().len(), without + 1);
    }
}

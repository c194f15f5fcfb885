//! Trying the endpoint as the vendors would: is it there, does it know the site, does it hold the secrets?

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use secrecy::SecretString;
use serde::Serialize;
use tandem_atlassian::signature::{sign_jira, sign_tempo};
use tandem_atlassian::{ReqwestTransport, Transport};

use super::Report;
use super::desk::Desk;
use crate::ending::Failure;
use crate::output;

/// How long a running Tandem may use the secrets that it has read: half a minute, and a little.
const TAKES_UP_SECS: u32 = 35;

const DEADLINE: Duration = Duration::from_secs(10);

/// What the endpoint answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    /// As it should.
    Right,
    /// 401.
    Refused,
    /// Something else, by its status.
    Wrong(u16),
    /// Nothing, and why.
    Silent(String),
    /// It was not asked: no secret is held to sign with.
    Unasked,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Tried {
    handshake: Answer,
    jira: Answer,
    tempo: Answer,
}

/// Asks as Tempo will when it looks whether somebody is there.
pub(super) async fn handshake(desk: &Desk<'_>) -> Result<Answer, Failure> {
    let network = ReqwestTransport::new().map_err(|error| Failure::Failed(error.into()))?;
    Ok(shaken(&network, &desk.tempo_url).await)
}

/// Sends what is signed with the secrets held, and says what is wrong with the answers.
pub(super) async fn run(desk: &Desk<'_>, report: &mut Report, handshake: Answer) -> Result<(), Failure> {
    let network = ReqwestTransport::new().map_err(|error| Failure::Failed(error.into()))?;
    let secret = desk.secret().await?;
    let is_there = handshake == Answer::Right;
    let mut tried = Tried {
        handshake,
        jira: Answer::Unasked,
        tempo: Answer::Unasked,
    };
    for waited in 0..=TAKES_UP_SECS {
        if !is_there {
            break;
        }
        if let Some(secret) = secret.jira_webhook_secrets.last() {
            tried.jira = jira(&network, &desk.jira_url, secret).await;
        }
        if let Some(secret) = secret.tempo_webhook_secrets.last() {
            tried.tempo = tempo(&network, &desk.tempo_url, secret).await;
        }
        if ![&tried.jira, &tried.tempo].contains(&&Answer::Refused) || waited == TAKES_UP_SECS {
            break;
        }
        if waited == 0 {
            output::say(format!(
                "{}: waiting for the endpoint to take up the secrets; that may take half a minute",
                report.site
            ));
        }
        desk.pause().await;
    }
    judge(&tried, report);
    report.endpoint = Some(tried);
    Ok(())
}

async fn jira(network: &ReqwestTransport, url: &str, secret: &SecretString) -> Answer {
    let body = r#"{"webhookEvent":"tandem:connect"}"#;
    let signature = sign_jira(body.as_bytes(), secret);
    post(network, url, body, &[("X-Hub-Signature", &signature)]).await
}

async fn tempo(network: &ReqwestTransport, url: &str, secret: &SecretString) -> Answer {
    let body = r#"{"eventType":"tandem.connect"}"#;
    let timestamp = jiff::Timestamp::now().to_string();
    let signature = sign_tempo(body.as_bytes(), &timestamp, secret);
    let headers = [
        ("Tempo-Signature", signature.as_str()),
        ("Tempo-Timestamp", &timestamp),
    ];
    post(network, url, body, &headers).await
}

async fn shaken(network: &ReqwestTransport, url: &str) -> Answer {
    let value = format!("{:032x}", rand::random::<u128>());
    let request = Request::builder()
        .method(Method::GET)
        .uri(format!("{url}?randomString={value}"))
        .body(Bytes::new());
    let Ok(request) = request else {
        return Answer::Silent("it is no address".to_owned());
    };
    match network.send(request, DEADLINE).await {
        Ok(answer) if answer.status() == StatusCode::OK && answer.body() == value.as_bytes() => Answer::Right,
        Ok(answer) => other(answer.status()),
        Err(error) => Answer::Silent(error.to_string()),
    }
}

async fn post(network: &ReqwestTransport, url: &str, body: &'static str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header("Content-Type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let Ok(request) = request.body(Bytes::from_static(body.as_bytes())) else {
        return Answer::Silent("it is no address".to_owned());
    };
    match network.send(request, DEADLINE).await {
        Ok(answer) if answer.status().is_success() => Answer::Right,
        Ok(answer) => other(answer.status()),
        Err(error) => Answer::Silent(error.to_string()),
    }
}

fn other(status: StatusCode) -> Answer {
    match status {
        StatusCode::UNAUTHORIZED => Answer::Refused,
        status => Answer::Wrong(status.as_u16()),
    }
}

fn judge(tried: &Tried, report: &mut Report) {
    match &tried.handshake {
        Answer::Right | Answer::Unasked => {}
        Answer::Refused => {
            report.todo.push(format!(
                "the endpoint does not know the site {}: publish the configuration, or start tandem with it",
                report.site
            ));
            return;
        }
        Answer::Wrong(503) => {
            report
                .todo
                .push("the endpoint has no configuration yet: run `tandem publish`".to_owned());
            return;
        }
        Answer::Wrong(status) => {
            report.todo.push(format!(
                "what answers at {} is not Tandem: it answered with status {status} to what Tempo will ask",
                report.tempo.url
            ));
            return;
        }
        Answer::Silent(why) => {
            report.todo.push(format!(
                "{} does not answer from here: {why}. Start tandem behind it, and make it reachable from the internet",
                report.tempo.url
            ));
            return;
        }
    }
    for (vendor, answer) in [("Jira", &tried.jira), ("Tempo", &tried.tempo)] {
        match answer {
            Answer::Right | Answer::Unasked => {}
            Answer::Refused => report.todo.push(format!(
                "the endpoint turns away what is signed with the newest secret held for {vendor}: it runs with other secrets; start it with these"
            )),
            Answer::Wrong(status) => report
                .todo
                .push(format!("the endpoint answers {vendor}'s webhooks with status {status}")),
            Answer::Silent(why) => report
                .todo
                .push(format!("the endpoint does not answer {vendor}'s webhooks: {why}")),
        }
    }
}

//! The network between a process and the sites.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Limited};
use tandem_atlassian::{Transport, TransportError};
use tandem_sim::ConnectionReset;
use tower::ServiceExt;

use crate::process::Process;

/// The network in the hands of a process.
pub struct Network(pub Arc<Process>);

#[async_trait]
impl Transport for Network {
    async fn send(
        &self,
        mut request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, TransportError> {
        let process = &self.0;
        let world = Arc::clone(process.world());
        let (out, back) = world.draw(|chance, weather| {
            let out = match chance.yes(weather.slow_request) {
                true => chance.span(Duration::from_secs(5)),
                false => chance.span(Duration::from_millis(40)),
            };
            (out, chance.span(Duration::from_millis(40)))
        });
        let sent_as = world.register(process);
        if let Ok(agent) = HeaderValue::from_str(&sent_as) {
            request.headers_mut().insert(header::USER_AGENT, agent);
        }
        if process.point(Duration::ZERO).await {
            world.observer().leaves_late(&sent_as);
        }
        // From here on it is on its way, whatever becomes of the process.
        let on_its_way = tokio::spawn(carry(world, Arc::clone(process), request, out));
        let answer = match tokio::time::timeout(deadline, on_its_way).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(TransportError::Unknown("the request fell over".into())),
            Err(_) => Err(TransportError::Unknown("timed out".into())),
        };
        process.point(back).await;
        if answer.as_ref().is_ok_and(|answer| answer.status().is_success()) {
            process.world().observer().hears(&sent_as);
        }
        answer
    }
}

async fn carry(
    world: Arc<crate::world::World>,
    process: Arc<Process>,
    request: Request<Bytes>,
    out: Duration,
) -> Result<Response<Bytes>, TransportError> {
    tokio::time::sleep(out).await;
    let at = world.now();
    let path = request.uri().path().to_owned();
    // What a listing shows is as old as its first page.
    let page = request.uri().query().and_then(|query| {
        let mut parts = query.split('&');
        parts.find_map(|part| part.strip_prefix("offset="))
    });
    let reading = request.method() == http::Method::GET && page.is_none_or(|offset| offset == "0");
    let reading = reading.then(|| world.site_of(&request));
    let line = format!("{} {} {path}", process.name, request.method());
    let answer = async {
        let response = match world.router().oneshot(request.map(Body::from)).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let reset = response.extensions().get::<ConnectionReset>().is_some();
        let (parts, body) = response.into_parts();
        match Limited::new(body, 64 << 20).collect().await {
            Ok(body) if !reset => Ok(Response::from_parts(parts, body.to_bytes())),
            Ok(_) => Err(TransportError::Unknown("reset".into())),
            Err(error) => Err(TransportError::Unknown(error.to_string())),
        }
    };
    let mut answer = std::pin::pin!(answer);
    // The effect is there with the first poll; an answer that is held back comes later.
    let first = futures::poll!(answer.as_mut());
    world.stirred();
    world.watch();
    let answer = match first {
        std::task::Poll::Ready(answer) => answer,
        std::task::Poll::Pending => answer.await,
    };
    // Nothing rests on what was not answered yet.
    if let Some(site) = reading {
        process.has_read(&site, &path, at);
    }
    world.log(|| match &answer {
        Ok(answer) => format!("{line} {}", answer.status().as_u16()),
        Err(error) => format!("{line} {error}"),
    });
    answer
}

//! The function behind API Gateway: the same router as on one machine.

use std::collections::HashMap;
use std::sync::Arc;

use http::{StatusCode, Uri};
use http_body_util::BodyExt;
use lambda_http::lambda_runtime::{LambdaInvocation, layers::TracingLayer};
use lambda_http::{Body, Error, Request, RequestExt, Response, service_fn};
use serde::Deserialize;
use serde_json::Value;
use tandem_runtime::lambda;
use tandem_runtime::router::{Current, router};
use tower::ServiceExt;
use tower::util::MapRequestLayer;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let published = lambda::start(lambda::Work::Webhooks, std::env::vars()).await?;
    let router = router(Arc::clone(&published) as Arc<dyn Current>);
    let service = service_fn(move |request: Request| {
        let (router, published) = (router.clone(), Arc::clone(&published));
        async move {
            let deadline = request.lambda_context_ref().map_or(0, |context| context.deadline);
            let handled = router.oneshot(at_own_path(request));
            let answer = match lambda::in_time(&published, deadline, handled).await {
                Some(handled) => {
                    let (parts, body) = handled?.into_parts();
                    let body = body.collect().await?.to_bytes();
                    Response::from_parts(parts, Body::from(&body[..]))
                }
                None => {
                    let mut later = Response::new(Body::from("try again later"));
                    *later.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                    later
                }
            };
            lambda::write_metrics(&published);
            Ok::<_, Error>(answer)
        }
    });
    lambda_http::runtime(service)
        .layer(MapRequestLayer::new(mend))
        .layer(TracingLayer::new())
        .run()
        .await
}

/// Makes an address of what a stranger sent as one.
///
/// `lambda_http` panics at a host or a query that is no part of an address, and a panic ends the process. An event that has
/// neither, as a sender's have, is not written anew.
fn mend(mut invocation: LambdaInvocation) -> LambdaInvocation {
    if is_address(&invocation.body) {
        return invocation;
    }
    if let Ok(mut event) = serde_json::from_slice::<Value>(&invocation.body) {
        if let Some(headers) = event.get_mut("headers").and_then(Value::as_object_mut) {
            // Nobody reads them, and API Gateway says by itself where it is.
            headers.retain(|name, _| !["host", "x-forwarded-proto"].contains(&name.to_lowercase().as_str()));
        }
        if let Some(Value::String(query)) = event.get_mut("rawQueryString") {
            *query = escaped(query);
        }
        invocation.body = event.to_string().into();
    }
    invocation
}

/// What an address is made of.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    headers: HashMap<String, String>,
    raw_query_string: String,
    request_context: Context,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    domain_name: String,
}

/// Whether an event's host is what API Gateway says by itself, and its query one as it stands.
fn is_address(event: &[u8]) -> bool {
    let Ok(told) = serde_json::from_slice::<Told>(event) else {
        return false;
    };
    let is_own = |(name, value): (&String, &String)| match name.to_lowercase().as_str() {
        "host" => *value == told.request_context.domain_name,
        "x-forwarded-proto" => value == "https",
        _ => true,
    };
    told.headers.iter().all(is_own) && escaped(&told.raw_query_string) == told.raw_query_string
}

/// Escapes what may not stand in a query; what is escaped already stays as it is.
fn escaped(query: &str) -> String {
    let mut text = String::with_capacity(query.len());
    for byte in query.bytes() {
        match byte {
            b'"' | b'#' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => {
                text.push_str(&format!("%{byte:02X}"))
            }
            byte if byte.is_ascii_graphic() => text.push(char::from(byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// Cuts what API Gateway puts before the path: the stage, or the mapping of a custom domain.
fn at_own_path(mut request: Request) -> Request {
    let uri = request.uri();
    let path = uri.path();
    let own = ["/hooks/jira/", "/hooks/tempo/", "/healthz"]
        .iter()
        .filter_map(|own| path.find(own))
        .min();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let own = own.and_then(|start| format!("{}{query}", &path[start..]).parse::<Uri>().ok());
    if let Some(own) = own {
        *request.uri_mut() = own;
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_query_is_made_an_address() {
        assert_eq!(escaped("a=%20b+c&d=f%2B/?"), "a=%20b+c&d=f%2B/?");
        assert_eq!(escaped("<\u{fc} #>"), "%3C%C3%BC%20%23%3E");
    }

    #[test]
    fn an_event_is_written_anew_only_where_a_stranger_has_left_no_address() {
        let event = |host: &str, proto: &str, query: &str| {
            serde_json::json!({
                "headers": {"Host": host, "x-forwarded-proto": proto, "x": "<"}, "rawQueryString": query,
                "requestContext": {"domainName": "id.example"}, "body": "\u{1}",
            })
            .to_string()
        };
        assert!(is_address(event("id.example", "https", "a=%20b").as_bytes()));
        for strange in [
            event("id.example:x", "https", ""),
            event("id.example", "<", ""),
            event("id.example", "https", "<"),
            "{}".to_owned(),
            "<".to_owned(),
        ] {
            assert!(!is_address(strange.as_bytes()), "{strange}");
        }
    }

    #[test]
    fn a_stage_or_a_mapping_before_the_path_does_no_harm() {
        for (uri, own) in [
            (
                "https://id.execute-api.example/hooks/jira/acme",
                "/hooks/jira/acme",
            ),
            (
                "https://id.execute-api.example/prod/hooks/tempo/acme?a=%20b",
                "/hooks/tempo/acme?a=%20b",
            ),
            ("https://example.com/hooks/hooks/jira/hooks", "/hooks/jira/hooks"),
            ("/hooks/jira/hooks/tempo/", "/hooks/jira/hooks/tempo/"),
            ("/v1/healthz", "/healthz"),
            ("/other?x", "/other?x"),
        ] {
            let request = at_own_path(http::Request::get(uri).body(Body::Empty).unwrap());
            assert_eq!(request.uri(), own, "{uri}");
        }
    }
}

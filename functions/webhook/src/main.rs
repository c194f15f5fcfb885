//! The function behind API Gateway: the same router as on one machine.

use http::Uri;
use lambda_http::{Error, Request, service_fn};
use tandem_runtime::{lambda, router::router};
use tower::ServiceExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let published = lambda::start(std::env::vars()).await?;
    let router = router(published);
    lambda_http::run(service_fn(move |request| {
        router.clone().oneshot(at_own_path(request))
    }))
    .await
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
            let request = at_own_path(http::Request::get(uri).body(lambda_http::Body::Empty).unwrap());
            assert_eq!(request.uri(), own, "{uri}");
        }
    }
}

//! Finding what answers a request.

use jiff::Timestamp;

use crate::http::{Reply, Request};
use crate::site::Site;

/// A request on its way through a site.
pub(crate) struct Call<'a> {
    pub(crate) site: &'a mut Site,
    pub(crate) now: Timestamp,
    pub(crate) request: &'a Request,
    pub(crate) params: Vec<String>,
    /// What the client got away with but should not have done.
    pub(crate) violations: Vec<String>,
}

impl Call<'_> {
    /// Notes something a stricter vendor might refuse.
    pub(crate) fn violation(&mut self, what: impl Into<String>) {
        self.violations.push(what.into());
    }

    /// Returns a path parameter.
    pub(crate) fn param(&self, index: usize) -> &str {
        self.params.get(index).map_or("", String::as_str)
    }
}

/// An answer, or the error answer that `?` returns early.
pub(crate) type Answer = Result<Reply, Reply>;

/// One endpoint.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) template: &'static str,
    pub(crate) answer: fn(&mut Call<'_>) -> Answer,
}

/// What was found for a request.
pub(crate) enum Found {
    Route(&'static Route, Vec<String>),
    /// There is such a path, but not with this method.
    OtherMethod,
    Nothing,
}

/// Finds the route for a request; of several that fit, the first.
pub(crate) fn find(routes: &'static [Route], method: &str, segments: &[String]) -> Found {
    let mut other_method = false;
    for route in routes {
        let mut params = Vec::new();
        let template = route.template.split('/').filter(|part| !part.is_empty());
        if template.clone().count() != segments.len() {
            continue;
        }
        let fits = template.zip(segments).all(|(part, segment)| {
            let param = part.starts_with('{');
            if param {
                params.push(segment.clone());
            }
            param || part == segment
        });
        if fits && route.method == method {
            return Found::Route(route, params);
        }
        other_method |= fits;
    }
    if other_method {
        Found::OtherMethod
    } else {
        Found::Nothing
    }
}

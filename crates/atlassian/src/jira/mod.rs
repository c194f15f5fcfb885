//! Jira Cloud's REST API, version 3.

pub mod admin;
pub mod errors;
pub mod request;
pub mod wire;

/// The account under which Tempo writes worklogs to Jira, as seen on several sites (facts 4.6). Not every payload says of it
/// that it is an app.
const TEMPO_APP: &str = "557058:295406f3-a1fc-4733-b906-dd15d021bd79";

/// Says whether a user is an app; `None` where nothing tells.
pub(crate) fn is_app(account: Option<&str>, kind: Option<&str>) -> Option<bool> {
    match account {
        Some(TEMPO_APP) => Some(true),
        _ => kind.map(|kind| kind == "app"),
    }
}

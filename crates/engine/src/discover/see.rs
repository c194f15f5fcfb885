//! Asking a site for issues, many at a time.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::EngineError;
use crate::gate::Asking;
use crate::options::{Engine, Site};
use crate::ports::site::{IssueRef, JiraIssue};

/// How many issues are asked for in one request.
const SEEN_AT_ONCE: usize = 100;

impl Engine {
    /// Asks for issues, many at once, with the given extra fields. Returns those that can be seen, by the names that they
    /// were asked for by.
    ///
    /// A site names issues as they are called now: where one has another name, or two names, what is left is asked for
    /// again, in parts, until it is clear which is which.
    ///
    /// # Errors
    /// When the site fails.
    pub async fn see(
        &self,
        site: &Site,
        issues: &BTreeSet<IssueRef>,
        fields: &[String],
        asking: Asking,
    ) -> Result<BTreeMap<IssueRef, JiraIssue>, EngineError> {
        let all: Vec<IssueRef> = issues.iter().cloned().collect();
        let mut parts: Vec<Vec<IssueRef>> = all.chunks(SEEN_AT_ONCE).map(<[_]>::to_vec).collect();
        let mut seen = BTreeMap::new();
        while let Some(part) = parts.pop() {
            if let [one] = part.as_slice() {
                let issue = self
                    .ask(site, asking, async |client| client.issue(one, fields).await)
                    .await?;
                seen.extend(issue.map(|issue| (one.clone(), issue)));
                continue;
            }
            let told = self
                .ask(site, asking, async |client| client.issues(&part, fields).await)
                .await?;
            let mut others = 0;
            for issue in told {
                let names = [IssueRef::Id(issue.id), IssueRef::Key(issue.key.to_uppercase())];
                let mut of_part = names.into_iter().filter(|name| part.contains(name)).peekable();
                if of_part.peek().is_none() {
                    others += 1;
                }
                seen.extend(of_part.map(|name| (name, issue.clone())));
            }
            let unseen = part.iter().filter(|name| !seen.contains_key(*name));
            let left: Vec<IssueRef> = unseen.cloned().collect();
            if left.is_empty() || left.iter().all(|name| matches!(name, IssueRef::Id(_))) && others == 0 {
                // An id stays what it is.
                continue;
            }
            match others {
                // Of those that were answered for, one may have two names.
                0 if left.len() < part.len() => parts.push(left),
                0 => {}
                // Where most have moved, as with their project, halves would only be more requests.
                _ if others * 2 >= left.len() => parts.extend(left.into_iter().map(|name| vec![name])),
                _ => parts.extend(left.chunks(left.len().div_ceil(2)).map(<[_]>::to_vec)),
            }
        }
        Ok(seen)
    }
}

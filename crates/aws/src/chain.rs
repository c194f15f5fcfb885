//! Errors in words.

/// Says an error with what lies below it, in words: no library's own structures.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut said = vec![error.to_string()];
    let mut below = error.source();
    while let Some(error) = below {
        let text = error.to_string();
        // Some repeat what stands below them.
        if !said.iter().any(|one| one.contains(&text)) {
            said.push(text);
        }
        below = error.source();
    }
    said.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(&'static str, #[source] Option<Box<Said>>);

    #[test]
    fn what_lies_below_is_said_once() {
        let lowest = Said("connection refused", None);
        let middle = Said("connect error: connection refused", Some(Box::new(lowest)));
        let error = Said("dispatch failure", Some(Box::new(middle)));
        assert_eq!(
            chain(&error),
            "dispatch failure: connect error: connection refused"
        );
    }
}

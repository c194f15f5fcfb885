//! A value with a digest of all that it says.
//!
//! The checker tells states apart by their hash. The core's types say everything in their `Debug` text, fields to
//! come included, so that text is what is digested: once, when the value is made.

use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// A shared value that is equal to another if its digest is.
#[derive(Clone)]
pub struct Told<T> {
    value: Arc<T>,
    digest: u64,
}

impl<T: fmt::Debug> Told<T> {
    /// Digests a value.
    pub fn new(value: T) -> Self {
        let mut digest = Digest(DefaultHasher::new());
        // Writing to a hasher cannot fail, and no `Debug` of the core does.
        let _ = write!(digest, "{value:?}");
        Self {
            value: Arc::new(value),
            digest: digest.0.finish(),
        }
    }
}

impl<T> Deref for Told<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> PartialEq for Told<T> {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl<T> Eq for Told<T> {}

impl<T> Hash for Told<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl<T: fmt::Debug> fmt::Debug for Told<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

struct Digest(DefaultHasher);

impl Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

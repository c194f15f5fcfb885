//! Decisions out of bytes: the same bytes decide the same, and when they run out everything is 0.

/// Reads decisions from the front of some bytes.
pub(crate) struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// Takes the next byte.
    pub(crate) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// Decides for a number below `end`, which is at least 1.
    pub(crate) fn below(&mut self, end: u8) -> u8 {
        self.byte() % end
    }

    /// Decides for yes in one of `of` cases; for no when the bytes have run out.
    pub(crate) fn once_in(&mut self, of: u8) -> bool {
        self.below(of) == of - 1
    }

    /// Decides for one of several; for the first when the bytes have run out.
    pub(crate) fn one<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[usize::from(self.byte()) % of.len()]
    }

    /// Decides for something in one of `of` cases.
    pub(crate) fn some<T>(&mut self, of: u8, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.once_in(of).then(|| make(self))
    }
}

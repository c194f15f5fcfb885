//! Room for what does not fit in memory, for as long as one command works with it.

use std::io::{Error, ErrorKind, Result};

/// Gives out files that are gone when they are dropped, however the process ends.
pub trait Scratch: Send + Sync {
    /// Opens an empty file that nobody else can read.
    ///
    /// # Errors
    /// When there is no room for it.
    fn open(&self) -> Result<Box<dyn ScratchFile>>;
}

/// A file that is written at its end and read anywhere.
pub trait ScratchFile: Send + Sync {
    /// Adds bytes at the end.
    ///
    /// # Errors
    /// When there is no room for them.
    fn append(&mut self, bytes: &[u8]) -> Result<()>;

    /// Fills `into` with the bytes from `at` on.
    ///
    /// # Errors
    /// When there are fewer, or they cannot be read.
    fn read(&self, at: u64, into: &mut [u8]) -> Result<()>;
}

/// Memory in place of files, for what is small.
#[derive(Clone, Copy, Debug, Default)]
pub struct InMemory;

impl Scratch for InMemory {
    fn open(&self) -> Result<Box<dyn ScratchFile>> {
        Ok(Box::new(Vec::new()))
    }
}

impl ScratchFile for Vec<u8> {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<()> {
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let found = start
            .checked_add(into.len())
            .and_then(|end| self.get(start..end))
            .ok_or(Error::from(ErrorKind::UnexpectedEof))?;
        into.copy_from_slice(found);
        Ok(())
    }
}

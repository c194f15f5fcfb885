//! Temporary files without a name, as the engine is given them.

use std::fs::File;
use std::io::{Error, Read as _, Result, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tandem_engine::ports::{Scratch, ScratchFile};

/// Opens files in a folder. They have no name there: only this process can read them, and nothing is left of them when
/// it ends, in whatever way.
#[derive(Clone, Debug)]
pub struct TempFiles {
    folder: PathBuf,
}

impl TempFiles {
    /// Uses the system's folder for temporary files; `TMPDIR` names another one.
    pub fn of_the_system() -> Self {
        Self::within(&std::env::temp_dir())
    }

    /// Uses a folder.
    pub fn within(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    fn file(&self) -> Result<File> {
        let file = tempfile::tempfile_in(&self.folder)?;
        // Without a name only this user could open it anyway, through the process; so not even that depends on the umask.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
        Ok(file)
    }
}

impl Scratch for TempFiles {
    fn open(&self) -> Result<Box<dyn ScratchFile>> {
        let file = self
            .file()
            .map_err(|error| Error::new(error.kind(), format!("{}: {error}", self.folder.display())))?;
        Ok(Box::new(TempFile(Mutex::new(file))))
    }
}

/// A file and the place in it: one reader or writer at a time.
struct TempFile(Mutex<File>);

impl TempFile {
    fn file(&self) -> MutexGuard<'_, File> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ScratchFile for TempFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let mut file = self.file();
        file.seek(SeekFrom::End(0))?;
        file.write_all(bytes)
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<()> {
        let mut file = self.file();
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(into)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use std::io::ErrorKind;

    #[test]
    fn what_was_put_away_is_read_back_and_past_its_end_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = TempFiles::within(folder.path()).open().unwrap();
        file.append(b"one ").unwrap();
        let mut four = [0; 4];
        file.read(0, &mut four).unwrap();
        file.append(b"two").unwrap();
        let mut all = [0; 7];
        file.read(0, &mut all).unwrap();
        assert_eq!(&all, b"one two");
        assert_eq!(
            file.read(4, &mut four).unwrap_err().kind(),
            ErrorKind::UnexpectedEof
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let nowhere = Path::new("/nowhere/at/all");
        let error = TempFiles::within(nowhere).open().err().unwrap();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_finds_or_reads_a_file() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = TempFiles::within(folder.path()).file().unwrap();
        let told = file.metadata().unwrap();
        assert_eq!((told.mode() & 0o777, told.nlink()), (0o600, 0));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

//! Writing files whole, and not over others.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::ending::Failure;

/// Writes the configuration.
pub(super) fn text(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    write(path, text.as_bytes(), 0o644, force)
}

/// Writes a secret, for its owner alone to read.
pub(super) fn secret(path: &Path, json: &SecretString, force: bool) -> Result<(), Failure> {
    write(path, json.expose_secret().as_bytes(), 0o600, force)
}

/// Writes beside the place first, so that whoever looks, or dies, in the middle meets a whole file or none.
fn write(path: &Path, bytes: &[u8], mode: u32, force: bool) -> Result<(), Failure> {
    let beside = beside(path);
    let written = create(&beside, mode)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| match force {
            true => std::fs::rename(&beside, path),
            // Unlike a rename, a second name never takes the place of a file that is there.
            false => std::fs::hard_link(&beside, path),
        });
    // After a rename there is nothing left to remove.
    let _ = std::fs::remove_file(&beside);
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::usage(format!(
            "{} is there already; --force replaces it",
            path.display()
        )),
        _ => Failure::failed(format!("{} cannot be written: {error}", path.display())),
    })
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}

/// Makes a file that is not there yet.
pub(crate) fn create(path: &Path, mode: u32) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    options.open(path)
}

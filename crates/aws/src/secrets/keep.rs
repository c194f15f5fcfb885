//! Adding the secrets of webhooks to a site's secret, where it is kept.
//!
//! Others write there too: a person, and the rotation of Tempo's tokens, whose old ones are dead once new ones are. So what
//! is added goes to whatever is in use at the very moment, and is added again to what somebody stored in between.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use tandem_core::SiteName;

use super::{SecretError, SecretSource, Secrets, SiteSecret, Stage, VersionError, Versions};

/// How often what others stored in between is taken up.
const ROUNDS_MAX: usize = 4;

/// Whether anything had to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It was not there, and is now.
    Stored,
    /// All of it was there.
    Already,
}

/// Why the secrets of webhooks could not be stored. No text of a secret is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeepError {
    /// The environment cannot be written for later.
    #[error("the secret is in the variable {0}, where nothing can be stored")]
    Environment(String),
    /// A rotation has stored new tokens which are not in use yet.
    #[error("a rotation of {0} is under way; try again in a minute")]
    Rotating(String),
    /// The secret cannot be read, or is none.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Secrets Manager does not do it.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The file cannot be written.
    #[error("{file} cannot be written: {what}")]
    File {
        /// The file.
        file: String,
        /// What the system says.
        what: String,
    },
    /// Others kept changing it.
    #[error("the secret kept changing while it was being written; try again")]
    Changing,
}

impl Secrets {
    /// Adds secrets of webhooks to a site's secret, unless they are there, and uses them from now on.
    ///
    /// # Errors
    /// When they are not stored.
    pub async fn add_webhook_secrets(
        &self,
        site: &SiteName,
        source: &SecretSource,
        jira: &[SecretString],
        tempo: &[SecretString],
    ) -> Result<Kept, KeepError> {
        let with = |text: &SecretString| {
            SiteSecret::with_webhook_secrets(text.expose_secret(), jira, tempo).map_err(|what| {
                SecretError::Malformed {
                    site: site.clone(),
                    secret: source.clone(),
                    what,
                }
            })
        };
        let kept = match source {
            SecretSource::Env(variable) => {
                let text = self.text(site, source, Stage::Current).await?;
                match text.as_ref().map(with).transpose()?.flatten() {
                    Some(_) => return Err(KeepError::Environment(variable.clone())),
                    None => Kept::Already,
                }
            }
            SecretSource::File(path) => {
                in_file(path, || async {
                    let text = self.text(site, source, Stage::Current).await?;
                    let new = text.as_ref().map(with).transpose()?.flatten();
                    Ok((text, new))
                })
                .await?
            }
            SecretSource::Aws(id) => match self.versions(id) {
                Some(versions) => in_aws(id, &versions, |text| Ok(with(text)?)).await?,
                // Says what is missing.
                None => match self.text(site, source, Stage::Current).await {
                    Err(error) => return Err(error.into()),
                    Ok(_) => return Err(KeepError::Changing),
                },
            },
        };
        self.reload(site, source).await?;
        Ok(kept)
    }
}

/// Puts the new text into use, and looks whether it followed on the one that it was made from.
async fn in_aws(
    id: &str,
    versions: &Versions,
    with: impl Fn(&SecretString) -> Result<Option<SecretString>, KeepError>,
) -> Result<Kept, KeepError> {
    let no_version = || VersionError::Refused("the secret has no current version: put one first".to_owned());
    let mut kept = Kept::Already;
    // What to make the next text from, when that is not what is in use.
    let mut slipped_in: Option<String> = None;
    for _ in 0..ROUNDS_MAX {
        let described = versions.describe().await?;
        if let Some(pending) = &described.pending
            && described.pending != described.current
            && versions.text(pending).await?.is_some()
        {
            return Err(KeepError::Rotating(id.to_owned()));
        }
        let current = described.current.ok_or_else(no_version)?;
        let from = slipped_in.take().unwrap_or_else(|| current.clone());
        let text = versions.text(&from).await?.ok_or_else(no_version)?;
        let new = match with(&text)? {
            Some(new) => new,
            None if from == current => return Ok(kept),
            // Somebody's text that has all of ours already: it was in use, and is to be again.
            None => text,
        };
        let ours = versions.put_current(&new).await?;
        kept = Kept::Stored;
        let after = versions.describe().await?;
        match (after.current, after.previous) {
            (Some(now), Some(before)) if now == ours && before == current => return Ok(kept),
            // Our text took another's place, which had never been read.
            (Some(now), before) if now == ours => slipped_in = before,
            // Another's took the place of ours.
            _ => {}
        }
    }
    Err(KeepError::Changing)
}

/// Writes the new text beside the file and puts it in its place, so that there is always a whole one.
async fn in_file<F>(path: &Path, read: impl Fn() -> F) -> Result<Kept, KeepError>
where
    F: Future<Output = Result<(Option<SecretString>, Option<SecretString>), KeepError>>,
{
    let failed = |error: std::io::Error| KeepError::File {
        file: path.display().to_string(),
        what: error.to_string(),
    };
    // A link stays one, and what it points to is replaced.
    let file = std::fs::canonicalize(path).map_err(failed)?;
    let beside = beside(&file);
    for _ in 0..ROUNDS_MAX {
        let (before, new) = read().await?;
        // Of an earlier call that died; it holds a secret, and nobody needs it.
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let Some(new) = new else {
            return Ok(Kept::Already);
        };
        let permissions = std::fs::metadata(&file).map_err(failed)?.permissions();
        let written = write(&beside, &new, permissions);
        let (now, _) = read().await?;
        let same = |one: &Option<SecretString>| one.as_ref().map(|text| text.expose_secret().to_owned());
        if let Err(error) = written {
            // The disk may be full; the half that was written is worth nothing.
            let _ = std::fs::remove_file(&beside);
            return Err(failed(error));
        }
        if same(&before) == same(&now) {
            std::fs::rename(&beside, &file).map_err(failed)?;
            return Ok(Kept::Stored);
        }
    }
    // Best effort: the next call removes it as well.
    let _ = std::fs::remove_file(&beside);
    Err(KeepError::Changing)
}

fn beside(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!(".{name}.new"))
}

fn write(file: &Path, text: &SecretString, permissions: std::fs::Permissions) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut written = options.open(file)?;
    written.set_permissions(permissions)?;
    written.write_all(text.expose_secret().as_bytes())?;
    written.write_all(b"\n")?;
    written.sync_all()
}

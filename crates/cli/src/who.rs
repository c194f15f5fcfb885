//! Whose hand it is, for the history.

use clap::Args;

use crate::output;

/// The longest name that is kept.
const NAME_CHARS_MAX: usize = 64;

/// Who acts.
#[derive(Debug, Args)]
pub(crate) struct Who {
    /// Say in the history that it was this person (default: the user of this machine)
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
}

impl Who {
    /// Returns the name.
    pub(crate) fn name(&self) -> String {
        let given = self.name.clone().filter(|name| !name.trim().is_empty());
        let of_machine = || {
            ["LOGNAME", "USER", "USERNAME"]
                .into_iter()
                .find_map(|variable| std::env::var(variable).ok().filter(|name| !name.is_empty()))
        };
        let name = given
            .or_else(of_machine)
            .or_else(of_system)
            .unwrap_or_else(|| "somebody".to_owned());
        output::short(output::plain(&name).trim(), NAME_CHARS_MAX)
    }
}

/// The user as the system's list of users names whoever runs this process: schedulers and containers set no variable.
fn of_system() -> Option<String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        // Linux's own folder of a process belongs to its user.
        let uid = std::fs::metadata("/proc/self").ok()?.uid().to_string();
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let named = users.lines().find_map(|line| {
            let mut parts = line.split(':');
            let (name, id) = (parts.next()?, parts.nth(1)?);
            (id == uid && !name.is_empty()).then(|| name.to_owned())
        });
        Some(named.unwrap_or_else(|| format!("user {uid}")))
    }
    #[cfg(not(unix))]
    None
}

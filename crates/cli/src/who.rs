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
        let name = given.or_else(of_machine).unwrap_or_else(|| "somebody".to_owned());
        output::short(output::plain(&name).trim(), NAME_CHARS_MAX)
    }
}

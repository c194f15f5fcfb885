//! Questions in a terminal, which Ctrl-C answers too.

use std::io::{self, ErrorKind, Write, stderr, stdin};
use std::process::{Command, Stdio};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::ending::Failure;
use crate::output;

/// Whether a terminal shows what is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Yes,
    No,
}

/// Asks a question in the terminal.
///
/// Nothing else of the command goes on meanwhile, but a signal is heard: whoever waits for a line in the thread that
/// hears them would neither end at Ctrl-C nor give the terminal back as it was.
pub(crate) fn read_line(question: &str, shown: Shown) -> io::Result<String> {
    let mut out = stderr().lock();
    write!(out, "{question}")?;
    out.flush()?;
    drop(out);
    let hidden = (shown == Shown::No).then(Hidden::begin);
    let (sender, line) = oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = stdin().read_line(&mut line).map(|_| line);
        // Nobody waits for it any more once Ctrl-C has answered.
        let _ = sender.send(read);
    });
    let answer = tokio::task::block_in_place(|| {
        Handle::current().block_on(async {
            tokio::select! {
                biased;
                line = line => line.unwrap_or_else(|_| Err(ErrorKind::UnexpectedEof.into())),
                heard = tokio::signal::ctrl_c() => Err(heard.err().unwrap_or_else(|| ErrorKind::Interrupted.into())),
            }
        })
    });
    if hidden.is_some_and(|hidden| hidden.done) {
        writeln!(stderr())?;
    }
    answer
}

/// Says that there is no answer.
pub(crate) fn unread(error: io::Error) -> Failure {
    match error.kind() {
        ErrorKind::Interrupted => Failure::failed("stopped; nothing was written"),
        _ => Failure::failed(format!("the answer cannot be read: {error}")),
    }
}

/// Keeps a terminal from showing what is typed, for as long as this lives.
struct Hidden {
    done: bool,
}

impl Hidden {
    fn begin() -> Self {
        let done = stty("-echo");
        if !done {
            output::say("(this terminal shows what is typed)");
        }
        Self { done }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if self.done {
            stty("echo");
        }
    }
}

fn stty(setting: &str) -> bool {
    let status = Command::new("stty")
        .arg(setting)
        .stdin(Stdio::inherit())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

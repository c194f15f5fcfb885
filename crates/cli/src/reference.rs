//! The command reference in `docs/commands.md` is what the parser itself says, and each command is shown somewhere by an
//! example that is run.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::{Arg, Command, CommandFactory, Parser};

use crate::args::{Cli, Needs};

/// Writes the page anew instead of comparing it.
const BLESS: &str = "TANDEM_BLESS";

fn page() -> String {
    let mut command = Cli::command();
    command.build();
    let mut text = String::from(
        "# Commands\n\n<!-- Made from the parser by a test: `TANDEM_BLESS=1 cargo test -p tandem reference` writes it anew. -->\n\n",
    );
    text.push_str("Data goes to stdout, everything for people to stderr. Exit code: 0 done or equal, 1 failed, 2 wrong usage or configuration, 3 done, but something differs or waits.\n\n");
    text.push_str("Every command takes these:\n\n");
    options(&mut text, command.get_arguments());
    for below in visible(&command) {
        section(&mut text, below);
    }
    text
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|one| !one.is_hide_set() && one.get_name() != "help")
}

fn section(text: &mut String, command: &Command) {
    let name = command
        .get_display_name()
        .unwrap_or(command.get_name())
        .replace('-', " ");
    // A name of its own may have a dash in it; the parser's usage says it right.
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").trim().to_owned();
    let title = usage
        .split(" [")
        .next()
        .unwrap_or(&name)
        .split(" <")
        .next()
        .unwrap_or(&name)
        .to_owned();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = write!(text, "\n## `{title}`\n\n{about}.\n\n```text\n{usage}\n```\n");
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|one| !EVERYWHERE.contains(&one.get_id().as_str()))
        .collect();
    if own.iter().any(|one| shown(one)) {
        text.push('\n');
        options(text, own.into_iter());
    }
    if let Some(more) = command.get_after_help() {
        let _ = write!(text, "\n```text\n{}\n```\n", more.to_string().trim_end());
    }
    for below in visible(command) {
        section(text, below);
    }
}

/// What every command takes is told once.
const EVERYWHERE: [&str; 4] = ["config", "data", "table", "json"];

fn shown(argument: &Arg) -> bool {
    !argument.is_hide_set() && !matches!(argument.get_id().as_str(), "help" | "version")
}

fn options<'a>(text: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    text.push_str("| argument | |\n| --- | --- |\n");
    for argument in arguments.filter(|one| shown(one)) {
        let values: Vec<String> = argument
            .get_value_names()
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect();
        let takes = argument.get_action().takes_values();
        let values = if takes { values.join(" ") } else { String::new() };
        let is_optional = argument
            .get_num_args()
            .is_some_and(|range| range.min_values() == 0);
        let name = match argument.get_long() {
            Some(long) if values.is_empty() => format!("--{long}"),
            Some(long) if is_optional => format!("--{long}[={values}]"),
            Some(long) => format!("--{long} {values}"),
            None => values,
        };
        let name = match argument.get_short() {
            Some(short) => format!("-{short}, {name}"),
            None => name,
        };
        let mut help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let possible: Vec<String> = argument
            .get_possible_values()
            .iter()
            .filter(|one| takes && !one.is_hide_set())
            .map(|one| format!("`{}`", one.get_name()))
            .collect();
        if !possible.is_empty() {
            let _ = write!(help, " ({})", possible.join(", "));
        }
        let default: Vec<String> = argument
            .get_default_values()
            .iter()
            .filter(|_| takes && !argument.is_hide_default_value_set())
            .map(|value| format!("`{}`", value.to_string_lossy()))
            .collect();
        if !default.is_empty() {
            let _ = write!(help, " (default: {})", default.join(", "));
        }
        if let Some(variable) = argument.get_env().filter(|_| !argument.is_hide_env_set()) {
            let _ = write!(help, " (environment: `{}`)", variable.to_string_lossy());
        }
        let _ = writeln!(
            text,
            "| `{name}` | {} |",
            help.replace('|', "\\|").replace('\n', " ")
        );
    }
}

#[test]
fn the_reference_says_what_the_parser_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands.md");
    let page = page();
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == page,
        "docs/commands.md is not what the parser says; write it anew with {BLESS}=1"
    );
}

#[test]
fn each_command_says_what_it_does_and_how_its_arguments_are_meant() {
    let mut command = Cli::command();
    command.build();
    let mut todo: Vec<&Command> = visible(&command).collect();
    while let Some(one) = todo.pop() {
        assert!(
            one.get_about().is_some(),
            "{} says nothing of itself",
            one.get_name()
        );
        for argument in one.get_arguments().filter(|argument| shown(argument)) {
            assert!(
                argument.get_help().is_some(),
                "{} {}",
                one.get_name(),
                argument.get_id()
            );
        }
        todo.extend(visible(one));
    }
}

/// Commands in a page's shell blocks of this language, from `tandem` on and without the shell's own words.
///
/// Blocks in `sh` are run, word for word, by the tests of the guides; those in `console` are not.
fn examples(text: &str, language: &str) -> Vec<Vec<String>> {
    let begin = format!("```{language}");
    let mut inside = false;
    let mut lines = String::new();
    for line in text.lines() {
        match line.trim() {
            "```" => inside = false,
            line if line == begin => inside = true,
            line if inside => {
                lines.push_str(line);
                lines.push('\n');
            }
            _ => {}
        }
    }
    // From source it is the same: README says so.
    let lines = lines
        .replace("\\\n", " ")
        .replace("cargo run -p tandem --", "tandem");
    let lines = lines.lines().map(|line| {
        let line = line.trim().trim_start_matches("$ ");
        let words = line.split_whitespace();
        let words = words.take_while(|word| !word.starts_with('#') && !matches!(*word, ">" | "|" | "&&"));
        words.map(str::to_owned).collect::<Vec<_>>()
    });
    lines
        .filter(|words| words.first().is_some_and(|word| word == "tandem"))
        .collect()
}

/// The pages for people who run Tandem.
fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let docs = std::fs::read_dir(root.join("docs")).unwrap();
    let mut paths: Vec<_> = docs.map(|entry| entry.unwrap().path()).collect();
    paths.push(root.join("README.md"));
    paths.retain(|path| path.extension().is_some_and(|end| end == "md"));
    paths
        .into_iter()
        .map(|path| (path.display().to_string(), std::fs::read_to_string(path).unwrap()))
        .collect()
}

/// The names of a command and of those below it that do something themselves.
fn doing(command: &Command, above: &str, found: &mut BTreeSet<String>) {
    for below in visible(command) {
        let name = format!("{above} {}", below.get_name());
        if visible(below).next().is_none() {
            found.insert(name);
        } else {
            doing(below, &name, found);
        }
    }
}

/// The examples of a command's help, a line each, without what a shell makes of the rest of it.
fn of_help(command: &Command) -> Vec<String> {
    let help = command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let joined = help.replace("\\\n", " ");
    let lines = joined.lines().filter_map(|line| line.strip_prefix("  tandem "));
    lines
        .map(|line| {
            let said = line.split(" | ").next().unwrap_or(line);
            let said = said.split(" > ").next().unwrap_or(said);
            let said = said.split(" && ").next().unwrap_or(said);
            // What it does stands behind several blanks; those that a joined line begins with stand before an option.
            let words: Vec<&str> = said.trim().split("   ").collect();
            let typed = words
                .iter()
                .take_while(|part| part.trim_start().starts_with('-') || *part == &words[0]);
            typed.copied().collect::<Vec<_>>().join(" ")
        })
        .collect()
}

#[test]
fn what_help_shows_can_be_typed_as_it_stands() {
    let mut command = Cli::command();
    command.build();
    let mut below: Vec<&Command> = vec![&command];
    let mut count = 0;
    while let Some(one) = below.pop() {
        below.extend(visible(one));
        for example in of_help(one) {
            let arguments = example.split_whitespace().map(|word| word.trim_matches('\''));
            let parsed = Cli::try_parse_from(["tandem"].into_iter().chain(arguments));
            let cli = parsed.unwrap_or_else(|error| panic!("`tandem {example}`: {error}"));
            let names_a_table = cli.global.data.is_some() || cli.global.table.is_some();
            let needs_one = cli.command.needs() != Needs::Any;
            assert!(names_a_table || !needs_one, "`tandem {example}` needs a table");
            count += 1;
        }
    }
    assert!(count > 50, "only {count} examples were found");
}

#[test]
fn a_table_that_the_environment_names_is_taken_where_none_is_given() {
    let completed = |line: &str, variables: &[(&str, &str)]| {
        let mut cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        cli.complete(variable)
            .map(|()| (cli.global.data, cli.global.table))
    };
    let (data, table) = (("TANDEM_DATA", "./d"), ("TANDEM_TABLE", "t"));
    let (none, here) = (None::<PathBuf>, Some(PathBuf::from("./d")));
    assert_eq!(completed("tandem queue", &[data]).unwrap(), (here.clone(), None));
    assert_eq!(
        completed("tandem queue", &[table]).unwrap(),
        (none.clone(), Some("t".into()))
    );
    assert_eq!(
        completed("tandem queue", &[("TANDEM_DATA", ""), table])
            .unwrap()
            .1,
        Some("t".into())
    );
    // What has no table, or makes one of its own, takes nobody's.
    for line in [
        "tandem demo",
        "tandem demo --practice",
        "tandem man d",
        "tandem init",
    ] {
        assert_eq!(completed(line, &[data, table]).unwrap(), (None, None), "{line}");
    }
    // What is given counts, whatever the environment says.
    assert_eq!(
        completed("tandem queue --data ./d", &[data, table]).unwrap(),
        (here, None)
    );
    assert_eq!(
        completed("tandem queue --table u", &[data]).unwrap(),
        (none, Some("u".into()))
    );
    let refused = completed("tandem queue", &[data, table]).unwrap_err();
    assert!(refused.to_string().contains("unset one"), "{refused}");
}

#[test]
fn every_command_is_shown_by_an_example_that_a_test_runs() {
    let mut all = BTreeSet::new();
    doing(&Cli::command(), "tandem", &mut all);
    assert!(all.contains("tandem link add") && all.len() > 30, "{all:?}");
    let mut run = BTreeSet::new();
    for (page, text) in pages() {
        for language in ["sh", "console"] {
            for words in examples(&text, language) {
                let shown = words.join(" ");
                let parsed = Cli::command().try_get_matches_from(&words);
                let parsed =
                    parsed.unwrap_or_else(|error| panic!("{page}: `{shown}` is no command: {error}"));
                let mut name = "tandem".to_owned();
                let mut at = &parsed;
                while let Some((below, matches)) = at.subcommand() {
                    let _ = write!(name, " {below}");
                    at = matches;
                }
                if language == "sh" {
                    run.insert(name);
                }
            }
        }
    }
    let missing: Vec<&String> = all.difference(&run).collect();
    assert!(
        missing.is_empty(),
        "no page shows, in a block that is run: {missing:?}"
    );
}

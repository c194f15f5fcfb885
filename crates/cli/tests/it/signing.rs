//! What requests to AWS are signed with where the environment holds no keys.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::bench::{Bench, Ran, run};

/// Puts an `aws` that does this into a folder of its own.
fn fake(bench: &Bench, script: &str) -> PathBuf {
    let folder = bench.path("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let program = folder.join("aws");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Runs a command on the table without keys, and with nothing but this folder to find programs in.
fn without_keys(bench: &Bench, arguments: &[&str], path: &PathBuf, vars: &[(&str, &str)]) -> Ran {
    let mut command = bench.command(arguments);
    command
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env("PATH", path)
        .env("AWS_PROFILE", "worklogs")
        .envs(vars.iter().copied());
    run(&mut command)
}

const ANSWER: &str = r#"echo "{\"Version\":1,\"AccessKeyId\":\"of-$AWS_PROFILE\",\"SecretAccessKey\":\"hush\",\"SessionToken\":\"hush\",\"Expiration\":\"2099-01-01T00:00:00+00:00\"}""#;

#[test]
fn where_the_environment_has_no_keys_the_aws_cli_is_asked_for_the_profiles() {
    let bench = Bench::on_a_table("");
    let path = fake(&bench, &format!("echo \"$*\" >>\"${{0%/*}}/asked\"\n{ANSWER}"));
    without_keys(&bench, &["publish"], &path, &[]).ended(0);
    let signed_by = bench.amazon().signed_by();
    assert_eq!(Vec::from_iter(signed_by), ["of-worklogs"]);
    // Once, for all clients of the command.
    assert_eq!(
        std::fs::read_to_string(path.join("asked")).unwrap(),
        "configure export-credentials --format process\n"
    );
    // Keys of the environment come first, and nobody else is asked.
    bench.run(&["status"]).ended(0);
    assert!(bench.amazon().signed_by().contains("test"));
    assert_eq!(
        std::fs::read_to_string(path.join("asked"))
            .unwrap()
            .lines()
            .count(),
        1
    );
}

#[test]
fn without_keys_and_without_the_aws_cli_both_ways_are_named() {
    let bench = Bench::on_a_table("");
    let nothing = bench.path("nothing");
    std::fs::create_dir(&nothing).unwrap();
    let ran = without_keys(&bench, &["status"], &nothing, &[]).ended(2);
    ran.says("there is no `aws` on the PATH")
        .says("AWS_PROFILE")
        .says("export AWS_ACCESS_KEY_ID=");
    // One of the two alone is a mistake that nobody else makes up for.
    let path = fake(&bench, ANSWER);
    without_keys(&bench, &["status"], &path, &[("AWS_ACCESS_KEY_ID", "id")])
        .ended(2)
        .says("AWS_SECRET_ACCESS_KEY is not set");
}

#[test]
fn an_aws_cli_that_refuses_says_why_itself_and_nothing_that_it_printed_is_repeated() {
    let bench = Bench::on_a_table("");
    let path = fake(
        &bench,
        "echo '{\"SecretAccessKey\":\"hush\"'\necho 'The SSO session has expired: aws sso login' >&2\nexit 255",
    );
    let ran = without_keys(&bench, &["status"], &path, &[]).ended(2);
    let ran = ran
        .says("The SSO session has expired")
        .says("ended with exit status: 255");
    assert!(!ran.err.contains("hush") && ran.out.is_empty(), "{ran:?}");
}

//! A table in a file, used by several at once.

use std::path::Path;
use std::process::Command;

use tandem_aws::{DynamoStore, Embedded};
use tandem_core::Pair;
use tandem_engine::ports::store::{Committed, Op};
use tandem_engine::ports::{Store, StoreError};

use crate::world::*;

/// Tells a process of this test's own making where to write.
const SHARED: &str = "TANDEM_TEST_SHARED_TABLE";

/// How often each writer counts up.
const ROUNDS: u64 = 60;

async fn open(directory: &Path) -> DynamoStore {
    Embedded::open(Some(directory)).await.unwrap().store()
}

/// Counts a pair's rev up so many times, against all others that do the same.
async fn count_up(store: &DynamoStore) {
    let begun = pair(link(1, 2), 7);
    for round in 0..ROUNDS {
        loop {
            let seen = store.pair(&link(1, 2), &begun.id).await.unwrap();
            let rev = seen.map_or(0, |pair| pair.rev) + 1;
            let mut ops = vec![Op::PutPair(Box::new(Pair { rev, ..begun.clone() }))];
            if round % 2 == 0 {
                ops.push(Op::PutEcho(echo("m", at(60))));
            }
            if store.commit(ops).await.unwrap() == Committed::Yes {
                break;
            }
        }
        store.hint(&[hint(due(1, 2), at(0))], &[], at(0)).await.unwrap();
    }
}

async fn counted(store: &DynamoStore) -> (u64, u64) {
    let pair = store
        .pair(&link(1, 2), &pair(link(1, 2), 7).id)
        .await
        .unwrap()
        .unwrap();
    (
        pair.rev,
        store.due_row(&due(1, 2)).await.unwrap().unwrap().generation,
    )
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let nested = directory.path().join("not/yet/there");
    store_one(&open(&nested).await).await;
    let again = open(&nested).await;
    assert_eq!(again.note("n").await.unwrap().as_deref(), Some("text"));
    assert!(nested.join("tandem.db").exists());
}

async fn store_one(store: &DynamoStore) {
    store.put_note("n", "text").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_tables_on_one_file_lose_no_update() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (open(directory.path()).await, open(directory.path()).await);
    tokio::join!(count_up(&one), count_up(&two));
    assert_eq!(counted(&one).await, (2 * ROUNDS, 2 * ROUNDS));
    assert_eq!(counted(&two).await, (2 * ROUNDS, 2 * ROUNDS));
}

#[tokio::test]
async fn three_processes_on_one_file_lose_no_update() {
    if let Some(directory) = std::env::var_os(SHARED) {
        count_up(&open(Path::new(&directory)).await).await;
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut children: Vec<_> = (0..2)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "files::three_processes_on_one_file_lose_no_update",
                    "--nocapture",
                ])
                .env(SHARED, directory.path())
                .spawn()
                .unwrap()
        })
        .collect();
    let store = open(directory.path()).await;
    count_up(&store).await;
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(counted(&store).await, (3 * ROUNDS, 3 * ROUNDS));
}

#[tokio::test]
async fn a_process_that_is_killed_while_it_makes_the_table_leaves_a_whole_one_or_none() {
    if let Some(directory) = std::env::var_os(SHARED) {
        open(Path::new(&directory)).await;
        return;
    }
    // Making takes some ten milliseconds after a start of a few.
    for round in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "files::a_process_that_is_killed_while_it_makes_the_table_leaves_a_whole_one_or_none",
            ])
            .env(SHARED, directory.path())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(2 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        count_up_once(&open(directory.path()).await).await;
        assert_nothing_half_made(directory.path());
    }
}

/// Needs the table and its indexes.
async fn count_up_once(store: &DynamoStore) {
    store.hint(&[hint(due(1, 2), at(0))], &[], at(0)).await.unwrap();
    assert_eq!(store.ready(at(1), 9).await.unwrap().len(), 1);
}

fn assert_nothing_half_made(directory: &Path) {
    let names = std::fs::read_dir(directory).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    let half = names
        .iter()
        .find(|name| name.to_string_lossy().contains("making"));
    assert_eq!(half, None, "{names:?}");
}

#[tokio::test]
async fn what_was_left_half_made_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["tandem.making", "tandem.making-wal", "tandem.lock"] {
        std::fs::write(directory.path().join(name), "half").unwrap();
    }
    count_up_once(&open(directory.path()).await).await;
    assert_nothing_half_made(directory.path());
}

#[tokio::test]
async fn a_broken_file_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("tandem.db"),
        "this is no table at all, ".repeat(100),
    )
    .unwrap();
    let error = Embedded::open(Some(directory.path())).await.unwrap_err();
    let StoreError::Unusable(text) = error else {
        panic!("{error:?}")
    };
    assert!(text.contains("tandem.db") && text.contains("backup"), "{text}");
}

#[tokio::test]
async fn a_file_in_place_of_the_directory_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    for place in [file.join("data"), file] {
        let error = Embedded::open(Some(&place)).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Unusable(text) if text.contains("--data")),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_file_that_breaks_under_way_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    for n in 0..200 {
        store
            .put_note(&format!("n{n}"), &"x".repeat(5_000))
            .await
            .unwrap();
    }
    drop(store);
    let file = directory.path().join("tandem.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let from = 4096;
    bytes[from..].fill(0xAA);
    std::fs::write(&file, bytes).unwrap();
    for extra in ["tandem.db-wal", "tandem.db-shm"] {
        let _ = std::fs::remove_file(directory.path().join(extra));
    }
    let outcome = match Embedded::open(Some(directory.path())).await {
        Ok(embedded) => embedded.store().put_note("n1", "y").await,
        Err(error) => Err(error),
    };
    let error = outcome.unwrap_err();
    assert!(matches!(&error, StoreError::Unusable(_)), "{error:?}");
}

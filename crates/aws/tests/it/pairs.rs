//! Pairs, and what is known of many worklogs.

use futures::future::join_all;
use tandem_core::{IssueId, JiraWorklogId, Pair, PairState, Side, WorklogId};
use tandem_engine::ports::store::{
    Claim, Committed, Evidence, EvidenceId, Finish, Op, Origin, Root, Whereabouts,
};
use tandem_engine::ports::{Store, StoreError};

use crate::world::*;

fn put(pair: &Pair, rev: u64) -> Op {
    Op::PutPair(Box::new(Pair { rev, ..pair.clone() }))
}

fn whereabouts(pair: &Pair, worklog: u64) -> Whereabouts {
    Whereabouts {
        connection: connection(),
        site: acme(),
        worklog: WorklogId(worklog),
        link: pair.link.clone(),
        pair: pair.id.clone(),
        side: Side::A,
        state: PairState::Live,
        seen: Some(at(1)),
        said: None,
        parted: false,
        rival: false,
    }
}

#[tokio::test]
async fn a_pair_reads_back_as_it_was_written() {
    let store = store().await;
    let mut pair = pair(link(1, 2), 7);
    pair.wait = Some(wait(at(4)));
    pair.seen.a = Some("2026-03-02T09:00:00.123456789Z".parse().unwrap());
    assert_eq!(store.commit(vec![put(&pair, 1)]).await.unwrap(), Committed::Yes);
    assert_eq!(store.pairs(&link(1, 2)).await.unwrap(), vec![pair.clone()]);
    assert_eq!(store.pair(&link(1, 2), &pair.id).await.unwrap(), Some(pair));
    assert!(store.pairs(&link(1, 3)).await.unwrap().is_empty());
}

#[tokio::test]
async fn eight_writers_of_a_rev_and_one_wins() {
    let store = store().await;
    let pair = pair(link(1, 2), 7);
    for rev in 1..4 {
        for together in [false, true] {
            let rev = rev * 2 - u64::from(!together);
            let commits = (0..8).map(|_| {
                let mut ops = vec![put(&pair, rev)];
                if together {
                    ops.push(Op::PutEcho(echo("m", at(60))));
                }
                store.commit(ops)
            });
            let won = join_all(commits).await;
            assert_eq!(
                won.iter().filter(|won| matches!(won, Ok(Committed::Yes))).count(),
                1
            );
            assert_eq!(
                won.iter()
                    .filter(|won| matches!(won, Ok(Committed::Lost)))
                    .count(),
                7
            );
        }
    }
}

#[tokio::test]
async fn a_lost_condition_writes_nothing_of_a_commit() {
    let store = store().await;
    let pair = pair(link(1, 2), 7);
    let ops = vec![Op::PutWhere(whereabouts(&pair, 7)), put(&pair, 2)];
    assert_eq!(store.commit(ops).await.unwrap(), Committed::Lost);
    assert!(
        store
            .whereabouts(&connection(), &acme(), &[WorklogId(7)])
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_runner_without_the_lease_writes_nothing() {
    let store = store().await;
    let pair = pair(link(1, 2), 7);
    let fence = Op::Fence {
        key: due(1, 2),
        owner: "me".to_owned(),
    };
    assert_eq!(
        store.commit(vec![fence.clone(), put(&pair, 1)]).await.unwrap(),
        Committed::Lost
    );
    store.hint(&[hint(due(1, 2), at(0))], &[], at(0)).await.unwrap();
    let taken = store.take(&due(1, 2), "me", at(0), LEASE).await.unwrap().unwrap();
    assert_eq!(
        store.commit(vec![fence.clone(), put(&pair, 1)]).await.unwrap(),
        Committed::Yes
    );
    store
        .take(&due(1, 2), "other", at(90), LEASE)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        store.commit(vec![fence.clone(), put(&pair, 2)]).await.unwrap(),
        Committed::Lost
    );
    store
        .finish(&taken, "other", &Finish::Done, at(91))
        .await
        .unwrap();
    assert_eq!(store.commit(vec![fence]).await.unwrap(), Committed::Lost);
}

#[tokio::test]
async fn a_pair_moves_between_links_in_one_step() {
    let store = store().await;
    let pair = pair(link(1, 2), 7);
    store.commit(vec![put(&pair, 1)]).await.unwrap();
    let moved = Pair {
        link: link(3, 4),
        rev: 1,
        ..pair.clone()
    };
    let drop = |rev| Op::DropPair {
        link: link(1, 2),
        id: pair.id.clone(),
        rev,
    };
    let ops = |rev| vec![drop(rev), Op::PutPair(Box::new(moved.clone()))];
    assert_eq!(store.commit(ops(2)).await.unwrap(), Committed::Lost);
    assert_eq!(store.commit(ops(1)).await.unwrap(), Committed::Yes);
    assert!(store.pairs(&link(1, 2)).await.unwrap().is_empty());
    assert_eq!(store.pairs(&link(3, 4)).await.unwrap(), vec![moved]);
    assert_eq!(store.commit(vec![drop(1)]).await.unwrap(), Committed::Lost);
}

#[tokio::test]
async fn a_worklog_that_only_may_be_a_pairs_is_anybodys_to_have() {
    let store = store().await;
    let (one, two) = (pair(link(1, 2), 7), pair(link(1, 2), 8));
    let may_be = |pair| {
        Op::PutWhere(Whereabouts {
            rival: true,
            ..whereabouts(pair, 7)
        })
    };
    for (op, committed) in [
        (may_be(&one), Committed::Yes),
        (may_be(&two), Committed::Yes),
        (Op::PutWhere(whereabouts(&one, 7)), Committed::Yes),
        (may_be(&two), Committed::Lost),
        (Op::PutWhere(whereabouts(&two, 7)), Committed::Lost),
    ] {
        assert_eq!(store.commit(vec![op]).await.unwrap(), committed);
    }
    let found = store
        .whereabouts(&connection(), &acme(), &[WorklogId(7)])
        .await
        .unwrap();
    assert_eq!(found, vec![whereabouts(&one, 7)]);
}

#[tokio::test]
async fn a_worklog_belongs_to_one_pair_of_a_connection() {
    let store = store().await;
    let (one, two) = (pair(link(1, 2), 7), pair(link(1, 2), 8));
    assert_eq!(
        store
            .commit(vec![Op::PutWhere(whereabouts(&one, 7))])
            .await
            .unwrap(),
        Committed::Yes
    );
    assert_eq!(
        store
            .commit(vec![Op::PutWhere(whereabouts(&two, 7))])
            .await
            .unwrap(),
        Committed::Lost
    );
    let mut again = whereabouts(&one, 7);
    again.state = PairState::Gone;
    assert_eq!(
        store.commit(vec![Op::PutWhere(again.clone())]).await.unwrap(),
        Committed::Yes
    );
    let found = store
        .whereabouts(&connection(), &acme(), &[WorklogId(7), WorklogId(9)])
        .await
        .unwrap();
    assert_eq!(found, vec![again]);
}

#[tokio::test]
async fn a_copy_is_claimed_by_one_connection() {
    let store = store().await;
    let root = Root {
        site: acme(),
        worklog: WorklogId(1),
    };
    let claim = |connection: &str, worklog: Option<u64>| Op::PutClaim {
        root: root.clone(),
        site: globex(),
        claim: Claim {
            connection: connection.into(),
            worklog: worklog.map(WorklogId),
        },
        instead_of: None,
    };
    let instead = |worklog: Option<u64>| {
        let mut op = claim("two", None);
        if let Op::PutClaim { instead_of, .. } = &mut op {
            *instead_of = Some(Claim {
                connection: "one".into(),
                worklog: worklog.map(WorklogId),
            });
        }
        op
    };
    let drop = |connection: &str| Op::DropClaim {
        root: root.clone(),
        site: globex(),
        connection: connection.into(),
    };
    assert_eq!(
        store.commit(vec![claim("one", None)]).await.unwrap(),
        Committed::Yes
    );
    assert_eq!(
        store.commit(vec![claim("two", None)]).await.unwrap(),
        Committed::Lost
    );
    assert_eq!(
        store.commit(vec![claim("one", Some(5))]).await.unwrap(),
        Committed::Yes
    );
    let found = store
        .claims(&globex(), std::slice::from_ref(&root))
        .await
        .unwrap();
    assert_eq!(found[0].1.worklog, Some(WorklogId(5)));
    assert_eq!(store.commit(vec![drop("two")]).await.unwrap(), Committed::Lost);
    // Only what was known of it is replaced, and not what became of it since.
    for (known, committed) in [
        (None, Committed::Lost),
        (Some(4), Committed::Lost),
        (Some(5), Committed::Yes),
    ] {
        assert_eq!(store.commit(vec![instead(known)]).await.unwrap(), committed);
    }
    assert_eq!(
        store.commit(vec![claim("one", None)]).await.unwrap(),
        Committed::Lost
    );
    assert_eq!(store.commit(vec![drop("two")]).await.unwrap(), Committed::Yes);
    assert_eq!(
        store.commit(vec![claim("one", None)]).await.unwrap(),
        Committed::Yes
    );
    assert_eq!(store.commit(vec![drop("one")]).await.unwrap(), Committed::Yes);
    assert!(
        store
            .claims(&globex(), std::slice::from_ref(&root))
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn origins_and_proofs_are_found_by_worklog() {
    let store = store().await;
    let origin = Origin {
        root: Root {
            site: acme(),
            worklog: WorklogId(1),
        },
        written_updated_at: at(1),
        edited_at: at(0),
        moved_away: false,
    };
    let evidence = |id, at| Evidence {
        site: acme(),
        id,
        source: "papertrail".to_owned(),
        at,
    };
    let tempo = evidence(EvidenceId::Tempo(WorklogId(4)), jiff::Timestamp::now());
    let jira = evidence(EvidenceId::Jira(JiraWorklogId(4)), jiff::Timestamp::now());
    let long_ago = evidence(
        EvidenceId::Tempo(WorklogId(5)),
        "2020-01-01T00:00:00Z".parse().unwrap(),
    );
    let ops = vec![
        Op::PutOrigin {
            site: globex(),
            worklog: WorklogId(2),
            origin: origin.clone(),
        },
        Op::PutEvidence(tempo.clone()),
        Op::PutEvidence(jira.clone()),
        Op::PutEvidence(long_ago.clone()),
    ];
    assert_eq!(store.commit(ops).await.unwrap(), Committed::Yes);
    let asked = [
        (globex(), WorklogId(2)),
        (acme(), WorklogId(2)),
        (globex(), WorklogId(2)),
    ];
    assert_eq!(
        store.origins(&asked).await.unwrap(),
        vec![((globex(), WorklogId(2)), origin)]
    );
    let mut found = store
        .evidence(&acme(), &[tempo.id.clone(), jira.id.clone(), long_ago.id])
        .await
        .unwrap();
    found.sort_by(|left, right| left.id.cmp(&right.id));
    assert_eq!(found, vec![tempo, jira], "a proof past its time is none");
}

#[tokio::test]
async fn jira_ids_are_asked_for_learned_and_forgotten() {
    let store = store().await;
    let learn = |worklog, seconds| Op::PutLearn {
        site: acme(),
        worklog: WorklogId(worklog),
        at: at(seconds),
        anew: false,
    };
    let learned = |worklog, jira| Op::PutJiraId {
        site: acme(),
        jira: JiraWorklogId(jira),
        worklog: WorklogId(worklog),
    };
    store
        .commit(vec![learn(2, 5), learn(1, 9), learn(3, 1)])
        .await
        .unwrap();
    let asked = store.to_learn(&acme(), 2).await.unwrap();
    assert_eq!(
        asked,
        vec![(WorklogId(3), at(1)), (WorklogId(2), at(5))],
        "oldest first"
    );
    store.commit(vec![learned(3, 33)]).await.unwrap();
    store.commit(vec![learn(3, 20)]).await.unwrap();
    store
        .drop_learn(&acme(), &[WorklogId(2), WorklogId(3)])
        .await
        .unwrap();
    assert_eq!(
        store.to_learn(&acme(), 10).await.unwrap(),
        vec![(WorklogId(1), at(9))]
    );
    let all = [WorklogId(1), WorklogId(2), WorklogId(3)];
    assert_eq!(
        store.jira_ids(&acme(), &all).await.unwrap(),
        vec![(WorklogId(3), JiraWorklogId(33))]
    );
    let tempo = store
        .tempo_ids(&acme(), &[JiraWorklogId(33), JiraWorklogId(34)])
        .await
        .unwrap();
    assert_eq!(tempo, vec![(JiraWorklogId(33), WorklogId(3))]);
    let site = acme();
    let mut lookup = query(&site, &[], &[]);
    lookup.jira = Some(JiraWorklogId(33));
    assert_eq!(store.lookup(&lookup).await.unwrap().worklog, Some(WorklogId(3)));
}

#[tokio::test]
async fn a_webhook_finds_its_echo_until_that_is_past() {
    let store = store().await;
    let pair = pair(link(1, 2), 7);
    store
        .commit(vec![
            Op::PutEcho(echo("m", at(60))),
            Op::PutWhere(whereabouts(&pair, 7)),
        ])
        .await
        .unwrap();
    store.put_link(&link_row(link(1, 2)), &sites()).await.unwrap();
    let (site, marks, connections) = (acme(), vec!["m".to_owned(), "n".to_owned()], vec![connection()]);
    let mut lookup = query(&site, &marks, &connections);
    lookup.issue = Some(IssueId(1));
    lookup.worklog = Some(WorklogId(7));
    lookup.now = at(59);
    let found = store.lookup(&lookup).await.unwrap();
    assert_eq!(found.echoes, vec![echo("m", at(60))]);
    assert_eq!(found.issue.unwrap().links[&connection()], link(1, 2));
    assert_eq!(found.whereabouts, vec![whereabouts(&pair, 7)]);
    lookup.now = at(60);
    assert!(store.lookup(&lookup).await.unwrap().echoes.is_empty());
}

#[tokio::test]
async fn waiting_pairs_are_listed_while_they_wait() {
    let store = store().await;
    let mut one = pair(link(1, 2), 7);
    one.wait = Some(wait(at(9)));
    let mut two = pair(link(3, 4), 8);
    two.wait = Some(wait(at(4)));
    store.commit(vec![put(&one, 1), put(&two, 1)]).await.unwrap();
    let (waiting, next) = store.waiting(&connection(), None).await.unwrap();
    assert_eq!(waiting, vec![two.clone(), one.clone()]);
    assert!(next.is_none());
    two.wait = None;
    store.commit(vec![put(&two, 2)]).await.unwrap();
    assert_eq!(store.waiting(&connection(), None).await.unwrap().0, vec![one]);
}

#[tokio::test]
async fn a_link_of_twelve_thousand_pairs_is_read_whole() {
    let store = store().await;
    let all: Vec<Pair> = (0..12_000).map(|n| pair(link(1, 2), n)).collect();
    for pairs in all.chunks(100) {
        store
            .commit(pairs.iter().map(|pair| put(pair, 1)).collect())
            .await
            .unwrap();
    }
    store.counts().reset();
    assert_eq!(store.pairs(&link(1, 2)).await.unwrap().len(), 12_000);
    assert!(store.counts().of("Query") > 1, "it took several pages");
    let worklogs: Vec<WorklogId> = (0..250).map(WorklogId).collect();
    assert!(store.jira_ids(&acme(), &worklogs).await.unwrap().is_empty());
    assert_eq!(store.counts().of("BatchGetItem"), 3);
}

#[tokio::test]
async fn a_row_that_is_too_large_is_named() {
    let store = store().await;
    let mut pair = pair(link(1, 2), 7);
    pair.base = Some(tandem_core::Sides::new(
        content(&"x".repeat(401 * 1024)),
        content(""),
    ));
    let error = store.commit(vec![put(&pair, 1)]).await.unwrap_err();
    let StoreError::TooLarge(text) = error else {
        panic!("{error:?}")
    };
    assert!(
        text.contains("PAIRS#acme-globex#1~2 / a7") && text.contains("400 KB"),
        "{text}"
    );
    let error = store.put_note("n", &"x".repeat(401 * 1024)).await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge(text) if text.contains("NOTE#n")));
    let just_fits = tandem_core::Sides::new(content(&"x".repeat(395 * 1024)), content(""));
    pair.base = Some(just_fits);
    assert_eq!(store.commit(vec![put(&pair, 1)]).await.unwrap(), Committed::Yes);
}

#[tokio::test]
async fn a_commit_of_too_many_rows_is_refused_whole() {
    let store = store().await;
    let ops = |n: u64| (0..n).map(|n| put(&pair(link(1, 2), n), 1)).collect::<Vec<_>>();
    let error = store.commit(ops(101)).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(text) if text.contains("101")));
    assert_eq!(store.commit(ops(100)).await.unwrap(), Committed::Yes);
    let twice = vec![put(&pair(link(1, 2), 500), 1), put(&pair(link(1, 2), 500), 2)];
    assert!(matches!(store.commit(twice).await, Err(StoreError::Corrupt(_))));
    assert_eq!(store.commit(Vec::new()).await.unwrap(), Committed::Yes);
}

#[tokio::test]
async fn a_shared_issue_is_one_links_until_its_time_and_that_of_what_it_sent_are_over() {
    let store = store().await;
    let links = [link(1, 2), link(3, 2)];
    let hold = |which: usize, now, until| Op::Hold {
        site: acme(),
        issue: IssueId(2),
        link: links[which].clone(),
        now: at(now),
        until: at(until),
    };
    let held = |which: usize, busy: Option<i64>| Op::Held {
        site: acme(),
        issue: IssueId(2),
        link: links[which].clone(),
        busy_until: busy.map(at),
    };
    let commit = async |op: Op| store.commit(vec![op]).await.unwrap();
    assert_eq!(commit(held(0, None)).await, Committed::Lost);
    assert_eq!(commit(hold(0, 0, 100)).await, Committed::Yes);
    assert_eq!(commit(hold(1, 99, 200)).await, Committed::Lost);
    assert_eq!(commit(held(1, None)).await, Committed::Lost);
    // What it sent may take effect after it has let go.
    assert_eq!(commit(held(0, Some(150))).await, Committed::Yes);
    assert_eq!(commit(hold(0, 110, 110)).await, Committed::Yes);
    assert_eq!(commit(hold(1, 149, 200)).await, Committed::Lost);
    assert_eq!(commit(hold(1, 150, 200)).await, Committed::Yes);
    assert_eq!(commit(held(0, None)).await, Committed::Lost);
}

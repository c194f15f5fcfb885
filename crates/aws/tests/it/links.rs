//! Issues and links.

use futures::future::join_all;
use tandem_core::IssueId;
use tandem_core::Side;
use tandem_engine::ports::Store;
use tandem_engine::ports::store::Linked;

use crate::world::*;

#[tokio::test]
async fn a_link_is_new_once_and_refused_where_an_issue_is_taken() {
    let store = store().await;
    assert_eq!(
        store.put_link(&link_row(link(1, 2)), &sites()).await.unwrap(),
        Linked::New
    );
    assert_eq!(
        store.put_link(&link_row(link(1, 2)), &sites()).await.unwrap(),
        Linked::Already
    );
    let refused = store.put_link(&link_row(link(1, 3)), &sites()).await.unwrap();
    assert_eq!(
        refused,
        Linked::Refused {
            side: Side::A,
            existing: link(1, 2)
        }
    );
    let refused = store.put_link(&link_row(link(4, 2)), &sites()).await.unwrap();
    assert_eq!(
        refused,
        Linked::Refused {
            side: Side::B,
            existing: link(1, 2)
        }
    );
    assert!(store.link(&link(1, 3)).await.unwrap().is_none());
    let issues = store
        .issues(&[(acme(), IssueId(1)), (globex(), IssueId(3))])
        .await
        .unwrap();
    assert_eq!(issues.len(), 1);
    assert_eq!(issues[0].links[&connection()], link(1, 2));
    assert_eq!(issues[0].key.as_deref(), Some("SUP-1"));
}

#[tokio::test]
async fn eight_links_at_once_leave_one() {
    let store = store().await;
    let rows: Vec<_> = (0..8).map(|n| link_row(link(1, 10 + n))).collect();
    let sites = sites();
    let linked = join_all(rows.iter().map(|row| store.put_link(row, &sites))).await;
    let new = linked
        .iter()
        .filter(|linked| matches!(linked, Ok(Linked::New)))
        .count();
    let refused = linked
        .iter()
        .filter(|linked| matches!(linked, Ok(Linked::Refused { .. })))
        .count();
    assert_eq!((new, refused), (1, 7));
    let (links, _) = store.links(&connection(), None).await.unwrap();
    assert_eq!(links.len(), 1);
}

#[tokio::test]
async fn connections_do_not_stand_in_each_others_way() {
    let store = store().await;
    store.put_link(&link_row(link(1, 2)), &sites()).await.unwrap();
    let mut other = link(1, 2);
    other.connection = "acme-initech".into();
    assert_eq!(
        store.put_link(&link_row(other), &sites()).await.unwrap(),
        Linked::New
    );
    let issue = store.issues(&[(acme(), IssueId(1))]).await.unwrap().remove(0);
    assert_eq!(issue.links.len(), 2);
}

#[tokio::test]
async fn a_dropped_link_takes_its_due_row_and_frees_its_issues() {
    let store = store().await;
    store.put_link(&link_row(link(1, 2)), &sites()).await.unwrap();
    store.hint(&[hint(due(1, 2), at(0))], &[], at(0)).await.unwrap();
    assert!(store.drop_link(&link(1, 2), &sites()).await.unwrap());
    assert!(!store.drop_link(&link(1, 2), &sites()).await.unwrap());
    assert!(store.link(&link(1, 2)).await.unwrap().is_none());
    assert!(store.due_row(&due(1, 2)).await.unwrap().is_none());
    assert_eq!(
        store.put_link(&link_row(link(1, 3)), &sites()).await.unwrap(),
        Linked::New
    );
    assert!(
        !store.drop_link(&link(1, 2), &sites()).await.unwrap(),
        "the issue's new link stays"
    );
    assert!(store.link(&link(1, 3)).await.unwrap().is_some());
}

#[tokio::test]
async fn an_issue_without_twin_is_remembered_until_it_has_one() {
    let store = store().await;
    store
        .put_unlinked(&acme(), IssueId(1), Some("SUP-9"), &connection(), at(60))
        .await
        .unwrap();
    let issue = store.issues(&[(acme(), IssueId(1))]).await.unwrap().remove(0);
    assert_eq!(
        (issue.key.as_deref(), issue.look_again[&connection()]),
        (Some("SUP-9"), at(60))
    );
    store.put_link(&link_row(link(1, 2)), &sites()).await.unwrap();
    store
        .put_unlinked(&acme(), IssueId(1), None, &connection(), at(90))
        .await
        .unwrap();
    let issue = store.issues(&[(acme(), IssueId(1))]).await.unwrap().remove(0);
    assert!(issue.look_again.is_empty());
    assert_eq!(issue.links[&connection()], link(1, 2));
}

#[tokio::test]
async fn an_issue_is_no_twin_of_itself() {
    let store = store().await;
    let same = tandem_core::Sides::new(acme(), acme());
    assert!(store.put_link(&link_row(link(1, 1)), &same).await.is_err());
    assert_eq!(
        store.put_link(&link_row(link(1, 2)), &same).await.unwrap(),
        Linked::New
    );
}

#[tokio::test]
async fn the_first_run_stays_the_first() {
    let store = store().await;
    assert_eq!(store.ran_first(&connection()).await.unwrap(), None);
    assert_eq!(store.first_run(&connection(), at(3)).await.unwrap(), at(3));
    assert_eq!(store.ran_first(&connection()).await.unwrap(), Some(at(3)));
    assert_eq!(store.first_run(&connection(), at(9)).await.unwrap(), at(3));
}

#[tokio::test]
async fn links_are_counted_as_they_come_and_go_and_read_once_at_most() {
    let embedded = tandem_aws::Embedded::open(None).await.unwrap();
    let store = embedded.store();
    // A table from before links were counted: the row that counts them knows nothing of these.
    for n in 0..5 {
        store
            .put_link(&link_row(link(n, 100 + n)), &sites())
            .await
            .unwrap();
    }
    let uncounted =
        r#"{"TableName":"tandem","Key":{"pk":{"S":"CONNECTION#acme-globex"},"sk":{"S":"LINKS"}}}"#;
    let (status, text) = embedded.answer("DeleteItem", uncounted.as_bytes()).await.unwrap();
    assert_eq!(status, 200, "{text}");
    store.put_link(&link_row(link(5, 105)), &sites()).await.unwrap();
    store.put_link(&link_row(link(5, 105)), &sites()).await.unwrap();
    assert_eq!(store.count_links(&connection()).await.unwrap(), 6);
    store.counts().reset();
    for n in 6..9 {
        store
            .put_link(&link_row(link(n, 100 + n)), &sites())
            .await
            .unwrap();
    }
    assert!(store.drop_link(&link(0, 100), &sites()).await.unwrap());
    assert!(!store.drop_link(&link(0, 100), &sites()).await.unwrap());
    assert_eq!(store.count_links(&connection()).await.unwrap(), 8);
    assert_eq!(
        store.counts().of("Query"),
        0,
        "{:?}",
        store.counts().by_operation()
    );
    let (listed, _) = store.links(&connection(), None).await.unwrap();
    assert_eq!(listed.len(), 8);
}

#[tokio::test]
async fn links_are_read_five_hundred_at_a_time_and_each_once() {
    let store = store().await;
    for n in 0..1_001 {
        let row = link_row(link(n, 10_000 + n));
        assert_eq!(store.put_link(&row, &sites()).await.unwrap(), Linked::New);
    }
    let (mut cursor, mut pages, mut read) = (None, Vec::new(), std::collections::BTreeSet::new());
    loop {
        let (links, next) = store.links(&connection(), cursor).await.unwrap();
        pages.push(links.len());
        read.extend(links.into_iter().map(|link| link.key.a));
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(pages, [500, 500, 1]);
    assert_eq!(read, (0..1_001).map(IssueId).collect());
}

#[tokio::test]
async fn links_made_at_once_are_all_counted() {
    let store = store().await;
    let rows: Vec<_> = (0..8).map(|n| link_row(link(n, 100 + n))).collect();
    let sites = sites();
    let of = connection();
    let count = store.count_links(&of);
    let (linked, counted) = futures::join!(
        join_all(rows.iter().map(|row| store.put_link(row, &sites))),
        count
    );
    assert!(linked.iter().all(Result::is_ok), "{linked:?}");
    assert!(counted.unwrap() <= 8);
    assert_eq!(store.count_links(&connection()).await.unwrap(), 8);
    assert_eq!(store.count_links(&connection()).await.unwrap(), 8);
}

//! The simulation's table answers as the real one does.
//!
//! Both are put through the same random calls, and every answer is compared. Whatever the two disagree on, one of
//! them has wrong, and the simulation would prove something about a table that does not exist.
#![allow(clippy::unwrap_used, reason = "a test may fall over")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tandem_aws::Embedded;
use tandem_core::{
    AccountId, ConnectionName, Content, IssueId, JiraWorklogId, LinkKey, Pair, PairState, Reason, Side,
    Sides, SiteName, Wait, WorklogId,
};
use tandem_engine::ports::store::{
    Announced, Announcement, Claim, Cursor, DueKey, DueRow, Echo, Evidence, EvidenceId, Finish, Hint,
    HistoryRow, Lane, LinkRow, LookupQuery, Op, Origin, PersonRow, Root, SiteState, Whereabouts,
};
use tandem_engine::ports::{Clock, Store};
use tandem_simulation::chance::Chance;
use tandem_simulation::table::Rows;

const START: i64 = 1_770_000_000;

struct HandClock(AtomicI64);

#[async_trait]
impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::Relaxed)).unwrap()
    }

    async fn sleep(&self, _: Duration) {}
}

/// A small universe, so that calls meet.
struct Caller {
    chance: Chance,
    now: Timestamp,
}

impl Caller {
    fn n(&mut self, below: u64) -> u64 {
        self.chance.between(0, below - 1)
    }

    fn connection(&mut self) -> ConnectionName {
        ConnectionName::new(["x", "y"][self.n(2) as usize])
    }

    fn site(&mut self) -> SiteName {
        SiteName::new(["acme", "globex"][self.n(2) as usize])
    }

    fn link(&mut self) -> LinkKey {
        LinkKey {
            connection: self.connection(),
            a: IssueId(1 + self.n(3)),
            b: IssueId(11 + self.n(3)),
        }
    }

    fn due_key(&mut self) -> DueKey {
        match self.n(4) {
            0 => DueKey::Issue {
                site: self.site(),
                issue: IssueId(1 + self.n(3)),
            },
            1 => DueKey::Learn { site: self.site() },
            _ => DueKey::Link(self.link()),
        }
    }

    fn worklog(&mut self) -> WorklogId {
        WorklogId(100 + self.n(4))
    }

    fn copy(&mut self) -> Option<WorklogId> {
        (self.n(2) == 0).then(|| self.worklog())
    }

    fn jira(&mut self) -> JiraWorklogId {
        JiraWorklogId(900 + self.n(4))
    }

    fn owner(&mut self) -> &'static str {
        ["one", "two"][self.n(2) as usize]
    }

    fn later(&mut self, secs: u64) -> Timestamp {
        self.now + Duration::from_millis(self.n(secs * 1000))
    }

    fn lane(&mut self) -> Lane {
        [Lane::Live, Lane::Sweep, Lane::Backfill][self.n(3) as usize]
    }

    fn announced(&mut self) -> Vec<Announcement> {
        (0..self.n(3))
            .map(|_| Announcement {
                side: Side::A,
                what: Announced::TempoDeleted { id: self.worklog() },
                until: self.later(600),
            })
            .collect()
    }

    fn hints(&mut self) -> Vec<Hint> {
        (0..self.n(4))
            .map(|_| Hint {
                key: self.due_key(),
                lane: self.lane(),
                ready_at: self.later(20),
                announced: self.announced(),
                force: self.n(4) == 0,
                trace: (self.n(2) == 0).then(|| format!("trace-{}", self.n(100))),
            })
            .collect()
    }

    fn root(&mut self) -> Root {
        Root {
            site: self.site(),
            worklog: self.worklog(),
        }
    }

    fn pair(&mut self) -> Pair {
        let link = self.link();
        let id = Pair::id_for(Side::A, self.worklog(), link.a);
        let mut pair = Pair::half(id, link, Side::A, self.worklog());
        pair.rev = 1 + self.n(4);
        if self.n(3) == 0 {
            pair.state = [PairState::Live, PairState::Gone][self.n(2) as usize];
            pair.wait = Some(Wait {
                reason: Reason::Conflict,
                side: Side::B,
                detail: "x".into(),
                since: self.later(100),
                attempts: 1,
                next_attempt: None,
                tried: Sides::new(None, None),
                moved: false,
            });
        }
        pair
    }

    fn op(&mut self) -> Op {
        match self.n(14) {
            0 => Op::Fence {
                key: self.due_key(),
                owner: self.owner().to_owned(),
            },
            1 | 2 => Op::PutPair(Box::new(self.pair())),
            3 => {
                let pair = self.pair();
                Op::DropPair {
                    link: pair.link,
                    id: pair.id,
                    rev: pair.rev,
                }
            }
            4 => {
                let pair = self.pair();
                let from = self.pair().id;
                let rival = self.n(4) == 0;
                let whereabouts = Whereabouts {
                    connection: self.connection(),
                    site: self.site(),
                    worklog: self.worklog(),
                    link: pair.link,
                    pair: pair.id,
                    side: Side::A,
                    state: PairState::Live,
                    seen: None,
                    said: None,
                    parted: false,
                    rival,
                };
                match self.n(4) {
                    0 if !rival => Op::TakeWhere { whereabouts, from },
                    _ => Op::PutWhere(whereabouts),
                }
            }
            5 => Op::PutOrigin {
                site: self.site(),
                worklog: self.worklog(),
                origin: Origin {
                    root: self.root(),
                    written_updated_at: self.now,
                    edited_at: self.now,
                    moved_away: self.n(2) == 0,
                },
            },
            6 => Op::PutClaim {
                root: self.root(),
                site: self.site(),
                claim: Claim {
                    connection: self.connection(),
                    worklog: self.copy(),
                },
                instead_of: (self.n(2) == 0).then(|| Claim {
                    connection: self.connection(),
                    worklog: self.copy(),
                }),
            },
            7 => Op::DropClaim {
                root: self.root(),
                site: self.site(),
                connection: self.connection(),
            },
            8 => Op::PutEvidence(Evidence {
                site: self.site(),
                id: EvidenceId::Tempo(self.worklog()),
                source: "papertrail".into(),
                at: self.now,
            }),
            11 | 12 => Op::Hold {
                site: self.site(),
                issue: IssueId(1 + self.n(2)),
                link: self.link(),
                now: self.now,
                until: self.later(100),
            },
            13 => Op::Held {
                site: self.site(),
                issue: IssueId(1 + self.n(2)),
                link: self.link(),
                busy_until: (self.n(2) == 0).then(|| self.later(100)),
            },
            9 => Op::PutLearn {
                site: self.site(),
                worklog: self.worklog(),
                at: self.now,
                anew: self.n(2) == 0,
            },
            _ => Op::PutEcho(Echo {
                site: self.site(),
                mark: format!("m{}", self.n(3)),
                connection: self.connection(),
                worklog: None,
                author: None,
                updated_at: None,
                expires: self.later(100),
            }),
        }
    }

    /// Operations on rows of their own: one commit may touch each row once.
    fn ops(&mut self) -> Vec<Op> {
        let mut ops: Vec<Op> = Vec::new();
        let mut rows = std::collections::BTreeSet::new();
        for _ in 0..1 + self.n(3) {
            let op = self.op();
            let row = match &op {
                Op::Fence { key, .. } => format!("due {key}"),
                Op::PutPair(pair) => format!("pair {} {}", pair.link, pair.id),
                Op::DropPair { link, id, .. } => format!("pair {link} {id}"),
                Op::PutWhere(w) | Op::TakeWhere { whereabouts: w, .. } => {
                    format!("where {} {} {}", w.connection, w.site, w.worklog)
                }
                Op::PutOrigin { site, worklog, .. } => format!("origin {site} {worklog}"),
                Op::PutClaim { root, site, .. } | Op::DropClaim { root, site, .. } => {
                    format!("claim {root:?} {site}")
                }
                Op::PutEvidence(e) => format!("evidence {} {:?}", e.site, e.id),
                Op::PutEcho(e) => format!("echo {} {}", e.site, e.mark),
                Op::PutLearn { site, worklog, .. } => format!("tempo {site} {worklog}"),
                Op::Hold { site, issue, .. } | Op::Held { site, issue, .. } => format!("hold {site} {issue}"),
                other => format!("{other:?}"),
            };
            if rows.insert(row) {
                ops.push(op);
            }
        }
        ops
    }

    fn finish(&mut self) -> Finish {
        match self.n(3) {
            0 => Finish::Done,
            _ => Finish::Again {
                at: self.later(300),
                attempts: self.n(3) as u32,
                reason: (self.n(2) == 0).then_some(Reason::Missing),
                detail: (self.n(2) == 0).then(|| "why".to_owned()),
                quiet: self.n(2) == 0,
                announced: self.announced(),
            },
        }
    }
}

fn sorted<T: std::fmt::Debug>(rows: Vec<T>) -> Vec<String> {
    let mut texts: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
    texts.sort();
    texts
}

/// Compares the two answers to one call.
macro_rules! same {
    ($seed:expr, $step:expr, $what:expr, $real:expr, $ours:expr) => {
        assert_eq!($real, $ours, "seed {}, step {}: {}", $seed, $step, $what)
    };
}

async fn compare(seed: u64, steps: usize) {
    let clock = Arc::new(HandClock(AtomicI64::new(START * 1000)));
    let embedded = Embedded::in_memory(Arc::clone(&clock) as Arc<dyn Clock>)
        .await
        .unwrap();
    let real = embedded.store();
    let mut ours = Rows::default();
    let mut caller = Caller {
        chance: Chance::new(seed, "table"),
        now: clock.now(),
    };
    let mut taken: Vec<(DueRow, &'static str)> = Vec::new();
    let lease = Duration::from_secs(60);
    for step in 0..steps {
        clock.0.fetch_add(caller.n(9_000) as i64, Ordering::Relaxed);
        caller.now = clock.now();
        let now = caller.now;
        match caller.n(22) {
            0..5 => {
                let hints = caller.hints();
                real.hint(&hints, &[], now).await.unwrap();
                ours.hint(&hints, &[], now);
            }
            5 => {
                let (hints, op) = (caller.hints(), caller.op());
                if matches!(
                    op,
                    Op::PutEvidence(_) | Op::PutEcho(_) | Op::PutWhere(_) | Op::PutLearn { .. }
                ) {
                    real.hint(&hints, std::slice::from_ref(&op), now).await.unwrap();
                    ours.hint(&hints, &[op], now);
                }
            }
            6 | 7 => {
                let (key, owner) = (caller.due_key(), caller.owner());
                let a = real.take(&key, owner, now, lease).await.unwrap();
                let b = ours.take(&key, owner, now, lease);
                same!(seed, step, "take", a, b);
                taken.extend(b.map(|row| (row, owner)));
            }
            8 | 9 => {
                if let Some((row, owner)) = caller.chance.pick(&taken).cloned() {
                    let finish = caller.finish();
                    real.finish(&row, owner, &finish, now).await.unwrap();
                    ours.finish(&row, owner, &finish, now);
                }
            }
            10 => {
                let (key, owner) = (caller.due_key(), caller.owner());
                let a = real.renew(&key, owner, now, lease).await.unwrap();
                same!(seed, step, "renew", a, ours.renew(&key, owner, now, lease));
            }
            11..14 => {
                let ops = caller.ops();
                let a = real.commit(ops.clone()).await.unwrap();
                same!(seed, step, format!("{ops:?}"), a, ours.commit(&ops).unwrap());
            }
            14 => {
                let key = caller.link();
                let link = LinkRow {
                    key: key.clone(),
                    a_key: Some("A-1".into()),
                    b_key: None,
                    found_by: "table".into(),
                    since: now,
                    outside: None,
                };
                let sites = Sides::new(SiteName::new("acme"), SiteName::new("globex"));
                if caller.n(4) == 0 {
                    let noted = LinkRow {
                        outside: Some(Side::A),
                        ..link
                    };
                    real.note_link(&noted).await.unwrap();
                    ours.note_link(&noted);
                    let a = real.link(&key).await.unwrap();
                    same!(seed, step, "note_link", a, ours.link(&key));
                } else if caller.n(3) == 0 {
                    let a = real.drop_link(&key, &sites).await.unwrap();
                    same!(seed, step, "drop_link", a, ours.drop_link(&key, &sites));
                } else {
                    let a = real.put_link(&link, &sites).await.unwrap();
                    same!(seed, step, "put_link", a, ours.put_link(&link, &sites));
                }
            }
            15 => {
                let (site, connection) = (caller.site(), caller.connection());
                let issue = IssueId(1 + caller.n(3));
                let look = caller.later(900);
                real.put_unlinked(&site, issue, Some("K-1"), &connection, look)
                    .await
                    .unwrap();
                ours.put_unlinked(&site, issue, Some("K-1"), &connection, look);
            }
            16 => {
                let (site, interval) = (caller.site(), Duration::from_millis(210));
                let patience = Duration::from_millis(300);
                for _ in 0..caller.n(4) {
                    let a = real.reserve(&site, now, interval, patience).await.unwrap();
                    same!(
                        seed,
                        step,
                        "reserve",
                        a,
                        ours.reserve(&site, now, interval, patience)
                    );
                }
                if caller.n(5) == 0 {
                    let until = caller.later(5);
                    real.hold(&site, until).await.unwrap();
                    ours.hold(&site, until);
                }
                let a = real.free_at(&site).await.unwrap();
                same!(seed, step, "free at", a, ours.free_at(&site));
            }
            17 => {
                let connection = caller.connection();
                let deletes: Vec<_> = (0..caller.n(4))
                    .map(|_| (caller.site(), caller.worklog()))
                    .collect();
                if caller.n(6) == 0 {
                    real.release_brake(&connection, now).await.unwrap();
                    ours.release_brake(&connection);
                }
                let since = now - Duration::from_secs(30);
                // Few enough that there are too many now and then.
                let enough = 2 + caller.n(8) as usize;
                let a = real
                    .brake_ahead(&connection, &deletes, since, enough)
                    .await
                    .unwrap();
                same!(
                    seed,
                    step,
                    "brake ahead",
                    a,
                    ours.brake_ahead(&connection, &deletes, since, enough)
                );
                let a = real
                    .brake(&connection, &deletes, since, now, enough)
                    .await
                    .unwrap();
                same!(
                    seed,
                    step,
                    "brake",
                    a,
                    ours.brake(&connection, &deletes, since, now, enough)
                );
            }
            18 => {
                let (site, worklog, jira) = (caller.site(), caller.worklog(), caller.jira());
                match caller.n(2) {
                    0 => {
                        let op = Op::PutJiraId { site, jira, worklog };
                        real.commit(vec![op.clone()]).await.unwrap();
                        ours.commit(&[op]).unwrap();
                    }
                    _ => {
                        real.drop_learn(&site, &[worklog]).await.unwrap();
                        ours.drop_learn(&site, &[worklog]);
                    }
                }
            }
            19 => {
                let (from, to) = (caller.site(), caller.site());
                let person = PersonRow {
                    account: AccountId::new(format!("p{}", caller.n(2))),
                    other: None,
                    display_name: None,
                    expires: caller.later(100),
                };
                real.put_person(&from, &to, &person).await.unwrap();
                ours.put_person(&from, &to, &person);
                let cursor = Cursor { at: caller.later(50) };
                real.put_cursor("c", &cursor).await.unwrap();
                ours.put_cursor("c", &cursor);
            }
            20 => {
                let link = caller.link();
                let line = HistoryRow {
                    id: format!("{now}-{}", caller.n(1000)),
                    time: now,
                    connection: link.connection.clone(),
                    issue: Some(link.a),
                    link: Some(link),
                    op: "create".into(),
                    side: Side::A,
                    worklog: None,
                    pair: Pair::id_for(Side::A, WorklogId(1), IssueId(1)),
                    cause: "test".into(),
                    before: None::<Content>,
                    after: None,
                    trace: None,
                    grounds: None,
                    lost: Vec::new(),
                    expires: now + Duration::from_secs(86_400),
                };
                let op = Op::PutHistory(Box::new(line));
                real.commit(vec![op.clone()]).await.unwrap();
                ours.commit(&[op]).unwrap();
            }
            _ => {
                // As it is, or as somebody who has read it long ago knows it.
                let site = caller.site();
                let state = match step % 3 {
                    0 => SiteState::default(),
                    _ => ours.site(&site),
                };
                let ours = ours.put_site(&site, &state);
                assert_eq!(real.put_site(&site, &state).await.unwrap(), ours);
            }
        }
        reads(seed, step, &real, &ours, &mut caller).await;
    }
}

async fn reads(seed: u64, step: usize, real: &dyn Store, ours: &Rows, caller: &mut Caller) {
    let now = caller.now;
    let (site, connection, link) = (caller.site(), caller.connection(), caller.link());
    let worklogs: Vec<WorklogId> = (100..104).map(WorklogId).collect();
    match caller.n(9) {
        0 => {
            let mut all = Vec::new();
            let mut cursor = None;
            loop {
                let (mut rows, next) = real.due(cursor).await.unwrap();
                all.append(&mut rows);
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
            same!(seed, step, "due", sorted(all), sorted(ours.all_due()));
        }
        1 => {
            let limit = 1 + caller.n(12) as usize;
            let a = real.ready(now, limit).await.unwrap();
            let b = ours.ready(now, limit, Timestamp::MAX);
            // Rows of one moment may come in any order, and the limit may cut between them.
            let times = |rows: &[DueRow]| rows.iter().map(|row| row.next_attempt).collect::<Vec<_>>();
            same!(seed, step, "ready", times(&a), times(&b));
            if a.len() < limit {
                same!(seed, step, "ready", sorted(a), sorted(b));
            }
        }
        2 => {
            same!(
                seed,
                step,
                "pairs",
                sorted(real.pairs(&link).await.unwrap()),
                sorted(ours.pairs(&link))
            );
            let (a, _) = real.waiting(&connection, None).await.unwrap();
            same!(
                seed,
                step,
                "waiting",
                sorted(a),
                sorted(ours.waiting(&connection))
            );
        }
        3 => {
            let marks = ["m0".to_owned(), "m1".to_owned()];
            let connections = ["x".into(), "y".into()];
            let query = LookupQuery {
                site: &site,
                issue: Some(IssueId(1 + caller.n(3))),
                marks: &marks,
                jira: Some(caller.jira()),
                worklog: Some(caller.worklog()),
                connections: &connections,
                now,
            };
            let (a, b) = (real.lookup(&query).await.unwrap(), ours.lookup(&query));
            same!(seed, step, "lookup issue", a.issue, b.issue);
            same!(seed, step, "lookup worklog", a.worklog, b.worklog);
            same!(seed, step, "lookup echoes", sorted(a.echoes), sorted(b.echoes));
            same!(
                seed,
                step,
                "lookup where",
                sorted(a.whereabouts),
                sorted(b.whereabouts)
            );
        }
        4 => {
            let a = real.whereabouts(&connection, &site, &worklogs).await.unwrap();
            same!(
                seed,
                step,
                "where",
                sorted(a),
                sorted(ours.whereabouts(&connection, &site, &worklogs))
            );
            let of: Vec<_> = worklogs.iter().map(|id| (site.clone(), *id)).collect();
            same!(
                seed,
                step,
                "origins",
                sorted(real.origins(&of).await.unwrap()),
                sorted(ours.origins(&of))
            );
            let roots: Vec<_> = of
                .into_iter()
                .map(|(site, worklog)| Root { site, worklog })
                .collect();
            let a = real.claims(&site, &roots).await.unwrap();
            same!(
                seed,
                step,
                "claims",
                sorted(a),
                sorted(ours.claims(&site, &roots))
            );
        }
        5 => {
            let ids: Vec<_> = worklogs.iter().copied().map(EvidenceId::Tempo).collect();
            let a = real.evidence(&site, &ids).await.unwrap();
            same!(
                seed,
                step,
                "evidence",
                sorted(a),
                sorted(ours.evidence(&site, &ids))
            );
        }
        6 => {
            let a = real.jira_ids(&site, &worklogs).await.unwrap();
            same!(
                seed,
                step,
                "jira_ids",
                sorted(a),
                sorted(ours.jira_ids(&site, &worklogs))
            );
            let jira: Vec<_> = (900..904).map(JiraWorklogId).collect();
            let a = real.tempo_ids(&site, &jira).await.unwrap();
            same!(
                seed,
                step,
                "tempo_ids",
                sorted(a),
                sorted(ours.tempo_ids(&site, &jira))
            );
            let a = real.to_learn(&site, 10).await.unwrap();
            same!(
                seed,
                step,
                "to_learn",
                sorted(a),
                sorted(ours.to_learn(&site, 10))
            );
        }
        7 => {
            let (to, accounts) = (caller.site(), [AccountId::new("p0"), AccountId::new("p1")]);
            let a = real.people(&site, &to, &accounts, now).await.unwrap();
            same!(
                seed,
                step,
                "people",
                sorted(a),
                sorted(ours.people(&site, &to, &accounts, now))
            );
            same!(
                seed,
                step,
                "cursor",
                real.cursor("c").await.unwrap(),
                ours.cursor("c")
            );
            let issues: Vec<_> = (1..4).map(|n| (site.clone(), IssueId(n))).collect();
            let a = real.issues(&issues).await.unwrap();
            same!(seed, step, "issues", sorted(a), sorted(ours.issues(&issues)));
        }
        _ => {
            let connections = ["x".into(), "y".into()];
            let a = real.history(&connections, None, 5).await.unwrap();
            same!(
                seed,
                step,
                "history",
                sorted(a),
                sorted(ours.history(&connections, None, 5))
            );
            let a = real.history(&connections, Some(&link), 5).await.unwrap();
            same!(
                seed,
                step,
                "history",
                sorted(a),
                sorted(ours.history(&connections, Some(&link), 5))
            );
        }
    }
}

#[test]
fn the_table_in_memory_answers_as_the_real_one_does() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for seed in 0..25 {
        runtime.block_on(compare(seed, 120));
    }
}

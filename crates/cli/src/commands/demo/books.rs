//! Compares the sites' own books, without asking Tandem anything.

use std::collections::BTreeMap;

use tandem_sim::{Content, Worklog};

use super::people::tag;
use super::show::name_of;
use super::world::{ACCOUNTS, LINKS, World};

/// What the books say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Books {
    /// Worklogs that stand on one site more than once.
    pub(super) duplicates: usize,
    /// Worklogs that stand on one site only, or differently.
    pub(super) unlike: usize,
}

/// Compares both sites over the linked issues.
pub(super) fn compare(world: &World) -> Books {
    let acme = side(world, "acme", |link| link.0, |value| value.to_owned());
    let globex = side(
        world,
        "globex",
        |link| link.1,
        |value| {
            let account = ACCOUNTS.iter().find(|(_, customer)| *customer == value);
            account.map_or_else(|| value.to_owned(), |(account, _)| (*account).to_owned())
        },
    );
    let mut books = Books::default();
    for rows in [&acme, &globex] {
        books.duplicates += rows.values().map(|rows| rows.len() - 1).sum::<usize>();
    }
    let numbers: std::collections::BTreeSet<&String> = acme.keys().chain(globex.keys()).collect();
    books.unlike = numbers
        .into_iter()
        .filter(|number| acme.get(*number) != globex.get(*number))
        .count();
    books
}

/// A site's worklogs by their number: each as its place among the links and what it says.
fn side(
    world: &World,
    site: &str,
    key: impl Fn(&(&'static str, &'static str)) -> &'static str,
    account: impl Fn(&str) -> String,
) -> BTreeMap<String, Vec<String>> {
    let site = world.sim.site(site);
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (index, link) in LINKS.iter().enumerate() {
        for worklog in site.worklogs_of(key(link)) {
            let number = match tag(&worklog.content) {
                "" => format!("{}", worklog.id),
                number => number.to_owned(),
            };
            rows.entry(number)
                .or_default()
                .push(said(index, &worklog, &account));
        }
    }
    rows
}

fn said(link: usize, worklog: &Worklog, account: impl Fn(&str) -> String) -> String {
    let Content {
        author,
        start_date,
        start_time,
        time_spent_secs,
        billable_secs,
        description,
        attributes,
    } = &worklog.content;
    let accounts: Vec<String> = attributes.values().map(|value| account(value)).collect();
    format!(
        "{link} {} {start_date} {start_time} {time_spent_secs} {billable_secs} {description:?} {accounts:?}",
        name_of(author)
    )
}

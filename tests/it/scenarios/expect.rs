//! What a script insists on, so that no blessing can hide that a promise is broken.

use super::script::{Arguments, secs};
use super::show;
use super::stage::{Stage, date, find, time};

impl Stage {
    pub(super) async fn expect(&self, said: &mut Arguments) -> Result<(), String> {
        match said.next("what is expected")?.as_str() {
            "equal" => self.expect_equal().await,
            "count" => self.expect_count(said),
            "total" => self.expect_total(said),
            "worklog" => self.expect_worklog(said),
            "park" => self.expect_park(said).await,
            "nothing-waits" => match self.queue().await?.first() {
                None => Ok(()),
                Some(first) => Err(format!("this waits: {first:?}")),
            },
            "paused" => self.expect_pause(said, true).await,
            "unpaused" => self.expect_pause(said, false).await,
            "writes" => self.expect_writes(said),
            "answered" => self.expect_answered(said),
            other => Err(format!("there is nothing called `{other}` to expect")),
        }
    }

    /// Equal in the eyes of `verify`, and in those of somebody who knows nothing of Tandem: on all sites, an
    /// issue's worklogs say the same.
    async fn expect_equal(&self) -> Result<(), String> {
        let world = self.world()?;
        let verdict = world.verify().await;
        if let Some(first) = verdict.differences.first() {
            let count = verdict.differences.len();
            return Err(format!("{count} differences, first {first:?}"));
        }
        let worlds = show::worlds(&world.sim);
        for places in &self.linked {
            let said = |place: &(String, u64)| {
                let rows = worlds
                    .get(place)
                    .map(|sheet| sheet.rows.values().collect::<Vec<_>>());
                let mut said: Vec<_> = rows
                    .unwrap_or_default()
                    .into_iter()
                    .map(|row| (&row.start, row.secs, row.billable_secs, &row.text))
                    .collect();
                said.sort();
                said
            };
            for pair in places.windows(2) {
                let (left, right) = (said(&pair[0]), said(&pair[1]));
                if left != right {
                    return Err(format!(
                        "{} and {} differ:\n{left:?}\n{right:?}",
                        pair[0].0, pair[1].0
                    ));
                }
            }
        }
        Ok(())
    }

    fn sheet(&self, said: &mut Arguments) -> Result<show::Sheet, String> {
        let (site, issue) = (self.site(&said.next("the site")?)?, said.next("the issue")?);
        let place = (site.name().to_owned(), site.issue_id(&issue));
        let mut worlds = show::worlds(&self.world()?.sim);
        Ok(worlds.remove(&place).unwrap_or_default())
    }

    fn expect_count(&self, said: &mut Arguments) -> Result<(), String> {
        let sheet = self.sheet(said)?;
        let wanted: usize = said.number("how many")?;
        match sheet.rows.len() {
            count if count == wanted => Ok(()),
            count => Err(format!("there are {count}, not {wanted}")),
        }
    }

    fn expect_total(&self, said: &mut Arguments) -> Result<(), String> {
        let sheet = self.sheet(said)?;
        let count: usize = said.number("how many")?;
        let spent = secs(&said.next("how long")?)?;
        let billable = said.option("billable").map_or(Ok(spent), |text| secs(&text))?;
        match show::totals(&sheet) {
            totals if totals == (count, spent, billable) => Ok(()),
            _ => Err(format!("it is {}", show::sum(&sheet))),
        }
    }

    fn expect_worklog(&self, said: &mut Arguments) -> Result<(), String> {
        let (site, issue) = (self.site(&said.next("the site")?)?, said.next("the issue")?);
        let id = find(&site, &issue, &said.next("the text")?)?;
        let worklog = site.worklog(id).ok_or("it is gone")?;
        let same = |what: &str, same: bool| match same {
            true => Ok(()),
            false => Err(format!("its {what} is another: {worklog:?}")),
        };
        if let Some(author) = said.option("author") {
            same("author", worklog.author == author)?;
        }
        if let Some(day) = said.option("day") {
            same("day", worklog.start_date == date(&day)?)?;
        }
        if let Some(start) = said.option("time") {
            same("time of day", worklog.start_time == time(&start)?)?;
        }
        if let Some(spent) = said.option("spent") {
            same("time spent", worklog.time_spent_secs as u64 == secs(&spent)?)?;
        }
        if let Some(billable) = said.option("billable") {
            same("billable time", worklog.billable_secs as u64 == secs(&billable)?)?;
        }
        for (key, value) in said.options("attr:") {
            same(&key, worklog.attributes.get(&key) == Some(&value))?;
        }
        Ok(())
    }

    /// So many items wait for this reason, and none for another.
    async fn expect_park(&self, said: &mut Arguments) -> Result<(), String> {
        let reason = said.next("the reason")?;
        let wanted: usize = match said.maybe() {
            Some(count) => count.parse().map_err(|_| format!("`{count}` is no number"))?,
            None => 1,
        };
        let mut count = 0;
        for item in self.queue().await? {
            match item.reason {
                Some(found) if found.as_str() == reason => count += 1,
                _ => return Err(format!("something else waits: {item:?}")),
            }
        }
        match count == wanted {
            true => Ok(()),
            false => Err(format!("{count} wait for it, not {wanted}")),
        }
    }

    async fn expect_pause(&self, said: &mut Arguments, wanted: bool) -> Result<(), String> {
        use tandem_engine::ports::store::Store;

        let site = said.next("the site")?;
        let state = self.world()?.store.site(&site.as_str().into()).await;
        let paused = state.map_err(|error| error.to_string())?.paused;
        match paused.is_some() == wanted {
            true => Ok(()),
            false => Err(format!("{site}: {paused:?}")),
        }
    }

    /// So many writes came to a site since the last `tally`.
    fn expect_writes(&self, said: &mut Arguments) -> Result<(), String> {
        let site = said.next("the site")?;
        let wanted: usize = said.number("how many")?;
        let writes: Vec<String> = self.world()?.sim.requests()[self.tally..]
            .iter()
            .filter(|request| {
                let template = request.path_template.as_str();
                request.site == site
                    && match request.method.as_str() {
                        "POST" => template == "/4/worklogs" || template.ends_with("/bulk"),
                        "PUT" | "DELETE" => template == "/4/worklogs/{id}",
                        _ => false,
                    }
            })
            .map(|request| format!("{} {} {}", request.method, request.path, request.status))
            .collect();
        match writes.len() == wanted {
            true => Ok(()),
            false => Err(format!("{} writes came, not {wanted}: {writes:?}", writes.len())),
        }
    }

    /// A site gave this answer since the last `tally`: the fault really was in the way.
    fn expect_answered(&self, said: &mut Arguments) -> Result<(), String> {
        let (site, status) = (said.next("the site")?, said.number::<u16>("the status")?);
        let requests = self.world()?.sim.requests();
        let found = requests[self.tally..]
            .iter()
            .any(|request| request.site == site && request.status == status);
        match found {
            true => Ok(()),
            false => Err(format!("{site} did not answer {status}")),
        }
    }
}

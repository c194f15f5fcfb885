//! Two simulated sites for the test of the deployed stack, which drives them by HTTP.
//!
//! They know no webhooks until somebody registers some. Each line on stdin is a JSON text with `told`: whether those that
//! are registered hear of changes from then on, or everything is lost on its way. The first line on stdout tells where
//! everything is. It ends with its stdin.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tandem_sim::{Answered, Sender, Sim, SiteSpec, SystemClock, UserSpec};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sim = Sim::new(4, Arc::new(SystemClock));
    let mut secrets = json!({});
    for (name, project) in [("acme", "SUP"), ("globex", "DEV")] {
        let site = SiteSpec::new(name)
            .user(UserSpec::new("ann", "Ann Archer"))
            .issues(project, 2);
        sim.add_site(if name == "acme" { site.tempo_oauth() } else { site });
        secrets[name] = json!({
            "tempo_token": format!("tempo-{name}"),
            "jira_email": format!("tandem@{name}.example"),
            "jira_token": format!("jira-{name}"),
        });
    }
    for (field, value) in [
        ("tempo_client_id", "client-acme"),
        ("tempo_client_secret", "client-secret-acme"),
        ("tempo_redirect_uri", "https://tandem.example/acme"),
        ("tempo_refresh_token", "refresh-acme"),
    ] {
        secrets["acme"][field] = json!(value);
    }
    let running = sim.serve().await?;
    let told = json!({
        "tempo": running.tempo_url,
        "jira": running.jira_urls,
        "control": running.control_url,
        "secrets": secrets,
    });
    writeln!(std::io::stdout(), "{told}")?;

    let told = Arc::new(AtomicBool::new(true));
    let (sender, is_told) = (Sender::default(), Arc::clone(&told));
    let _deliverer = sim.spawn_deliverer_with(move |delivery| {
        let sender = sender.clone();
        let is_told = is_told.load(Ordering::Relaxed);
        async move {
            if is_told {
                return sender.send(delivery).await;
            }
            // Lost on its way, and its sender never knows.
            Answered {
                status: Some(204),
                body: Vec::new(),
            }
        }
    });
    let lines = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
        for line in std::io::stdin().lock().lines() {
            let order: Value = serde_json::from_str(&line?)?;
            let is_told = order["told"].as_bool().ok_or(std::io::ErrorKind::InvalidInput)?;
            told.store(is_told, Ordering::Relaxed);
            writeln!(std::io::stdout(), "{{}}")?;
        }
        Ok(())
    });
    Ok(lines.await??)
}

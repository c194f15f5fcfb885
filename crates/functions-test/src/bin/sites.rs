//! Two simulated sites for the test of the deployed stack, which drives them by HTTP.
//!
//! Each line on stdin is a JSON text with `hooks`, the address before `/hooks/…` that both sites tell of changes from
//! then on, or `null` for nobody. The first line on stdout tells where everything is. It ends with its stdin.

use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tandem_sim::{Answered, Sender, Sim, SiteSpec, SystemClock, UserSpec};

/// What stands before the path in the addresses that the sites know; it is replaced when a webhook is sent.
const ANYWHERE: &str = "https://hooks.example";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sim = Sim::new(4, Arc::new(SystemClock));
    let mut secrets = json!({});
    for (name, project) in [("acme", "SUP"), ("globex", "DEV")] {
        let (jira, tempo) = (format!("jira-webhook-{name}"), format!("tempo-webhook-{name}"));
        let site = SiteSpec::new(name)
            .user(UserSpec::new("ann", "Ann Archer"))
            .issues(project, 2)
            .tempo_webhooks(&format!("{ANYWHERE}/hooks/tempo/{name}"), &tempo)
            .jira_webhook(&format!("{ANYWHERE}/hooks/jira/{name}"), &jira);
        sim.add_site(if name == "acme" { site.tempo_oauth() } else { site });
        secrets[name] = json!({
            "tempo_token": format!("tempo-{name}"),
            "jira_email": format!("tandem@{name}.example"),
            "jira_token": format!("jira-{name}"),
            "jira_webhook_secrets": [jira],
            "tempo_webhook_secrets": [tempo],
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

    let hooks: Arc<Mutex<Option<String>>> = Arc::default();
    let (sender, to) = (Sender::default(), Arc::clone(&hooks));
    let _deliverer = sim.spawn_deliverer_with(move |mut delivery| {
        let sender = sender.clone();
        let base = to.lock().unwrap_or_else(PoisonError::into_inner).clone();
        async move {
            let Some(base) = base else {
                // Lost on its way, and its sender never knows.
                let status = Some(204);
                return Answered {
                    status,
                    body: Vec::new(),
                };
            };
            delivery.url = delivery.url.replace(ANYWHERE, &base);
            sender.send(delivery).await
        }
    });
    let lines = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
        for line in std::io::stdin().lock().lines() {
            let order: Value = serde_json::from_str(&line?)?;
            let base = order["hooks"].as_str().map(str::to_owned);
            *hooks.lock().unwrap_or_else(PoisonError::into_inner) = base;
            writeln!(std::io::stdout(), "{{}}")?;
        }
        Ok(())
    });
    Ok(lines.await??)
}

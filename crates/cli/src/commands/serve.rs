//! `serve`: everything in one process.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use clap::Args;
use tandem_aws::Embedded;
use tandem_runtime::lambda::gauges;
use tandem_runtime::router::router;
use tandem_runtime::subscriptions;
use tandem_runtime::wiring::Tandem;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::{open, output};

/// How long requests under way may take once the process is to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(3);

/// How long a sender waits for its answer, at most. Tempo counts one that comes after 30 s as failed, and switches a
/// subscription off after ten of them; another process that holds the table's file keeps a request for that long.
const ANSWER: Duration = Duration::from_secs(10);

/// How often rows of the embedded table whose time is over are removed.
const SWEEP_EXPIRED: Duration = Duration::from_secs(3600);

/// How often it is asked whose turn it is to look at Tempo's subscriptions.
const SUBSCRIPTIONS: Duration = Duration::from_secs(300);

/// How often metrics are written.
const METRICS: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tandem serve --data ./tandem-data
  tandem serve --data ./tandem-data --listen 127.0.0.1:0   any free port; the address is printed when it is ready

Other commands work on the same --data while it runs. Ctrl-C lets what is in hand end first.")]
pub(crate) struct Arguments {
    /// Where the webhooks arrive; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8484")]
    listen: SocketAddr,
    /// Append metrics to this file once a minute and at the end, a JSON line each, in CloudWatch's embedded format
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    tandem_runtime::panics::say_where_only();
    let opened = open::open(global).await?;
    let listener = TcpListener::bind(arguments.listen)
        .await
        .map_err(|error| Failure::failed(format!("cannot listen on {}: {error}", arguments.listen)))?;
    if global.data.is_none() && global.table.is_none() {
        warn!(
            "The table is in memory: what is waiting and the history are gone when this process ends; --data DIR keeps them"
        );
    }
    let address = listener
        .local_addr()
        .map_err(|error| Failure::Failed(error.into()))?;
    if let Some(file) = &arguments.metrics {
        append(file, &[]).map_err(|error| {
            Failure::usage(format!("--metrics {} cannot be written: {error}", file.display()))
        })?;
    }
    let (stop, stopped) = watch::channel(false);
    let signal = interrupted();
    let signals = tokio::spawn(async move {
        let name = signal.await;
        info!("{name}: stopping");
        // Nobody listens any more when everything has stopped by itself.
        let _ = stop.send(true);
    });
    output::data(format!("tandem listening on http://{address}"))?;
    let telling = tokio::spawn(tell_people(Arc::clone(&opened.tandem)));
    let metrics = arguments.metrics.clone().map(|file| {
        let tandem = Arc::clone(&opened.tandem);
        let writing = tokio::spawn(keep_metrics(Arc::clone(&tandem), file.clone()));
        (tandem, file, writing)
    });
    everything(opened.tandem, opened.embedded, listener, stopped).await?;
    telling.abort();
    if let Some((tandem, file, writing)) = metrics {
        writing.abort();
        write_metrics(&tandem, &file).await;
    }
    signals.abort();
    output::say(match global.data.is_some() || global.table.is_some() {
        true => {
            "stopped; what was begun or waits is in the table, and the next `tandem serve` or `tandem reconcile` goes on from there"
        }
        false => "stopped; the table was in memory and is gone",
    });
    Ok(Ending::Done)
}

/// Runs the webhook endpoint and the loops until told to stop. The demo runs the very same.
pub(crate) async fn everything(
    tandem: Arc<Tandem>,
    embedded: Option<Embedded>,
    listener: TcpListener,
    stopped: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let app = router(Arc::new(Arc::clone(&tandem))).layer(from_fn(in_time));
    let server = axum::serve(listener, app).with_graceful_shutdown(until(stopped.clone()));
    let server = tokio::spawn(async move { server.await });
    let expiry = tokio::spawn(async move {
        let Some(embedded) = embedded else { return };
        loop {
            tokio::time::sleep(SWEEP_EXPIRED).await;
            match embedded.sweep_expired().await {
                Ok(removed) => info!("Removed {removed} rows whose time was over"),
                Err(error) => warn!("Could not remove rows whose time is over: {error}"),
            }
        }
    });
    // A run that is cut off is one that died: the next one finds out what became of its work.
    tokio::select! {
        () = tandem.engine.run_forever(tandem.config.engine.audit, until(stopped)) => {}
        () = look_at_subscriptions(&tandem) => {}
    }
    expiry.abort();
    match tokio::time::timeout(LAST_REQUESTS, server).await {
        Ok(Ok(served)) => served.map_err(|error| Failure::Failed(error.into())),
        Ok(Err(error)) => Err(Failure::Failed(error.into())),
        Err(_) => {
            warn!("Some requests were still under way");
            Ok(())
        }
    }
}

/// Has a sender come again where there is no answer in time. What it told of may be stored all the same: a hint that
/// comes twice costs a look.
async fn in_time(request: Request, next: Next) -> Response {
    if let Ok(answer) = tokio::time::timeout(ANSWER, next.run(request)).await {
        return answer;
    }
    warn!(
        "Could not take a webhook: the table or the site's secret was not to be had within {} s",
        ANSWER.as_secs()
    );
    (StatusCode::SERVICE_UNAVAILABLE, "try again later").into_response()
}

/// Keeps an eye on Tempo's subscriptions; all runners on the table take turns.
async fn look_at_subscriptions(tandem: &Tandem) {
    loop {
        let looked = match subscriptions::look(tandem).await {
            Ok(()) => tandem.engine.audit_wanted().await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = looked {
            warn!("Could not look at Tempo's subscriptions: {}", error.unsaid());
        }
        tandem.engine.clock.sleep(SUBSCRIPTIONS).await;
    }
}

/// Returns once told to stop.
pub(crate) async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that whoever could say so is gone.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Returns the name of the signal that asks the process to end, once it comes. It is listened for from the call on, and not
/// only once somebody waits.
pub(crate) fn interrupted() -> impl Future<Output = &'static str> + Send {
    #[cfg(unix)]
    let heard = {
        use tokio::signal::unix::{SignalKind, signal};
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    };
    async move {
        #[cfg(unix)]
        if let (Ok(mut terminate), Ok(mut interrupted)) = heard {
            return tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupted.recv() => "SIGINT",
            };
        }
        interrupt().await
    }
}

async fn interrupt() -> &'static str {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without signals there is only waiting.
        std::future::pending::<()>().await;
    }
    "SIGINT"
}

/// Looks once per sweep for what people are to be told.
async fn tell_people(tandem: Arc<Tandem>) {
    if !tandem.config.alerts.is_set() {
        return;
    }
    let transport = match tandem_atlassian::ReqwestTransport::new() {
        Ok(transport) => transport,
        Err(error) => return warn!("No alert can be sent: {error}"),
    };
    loop {
        tokio::time::sleep(tandem.config.engine.sweep).await;
        tandem_runtime::alerts::tell(&tandem, &transport).await;
    }
}

/// Writes metrics from time to time.
async fn keep_metrics(tandem: Arc<Tandem>, file: PathBuf) {
    loop {
        tokio::time::sleep(METRICS).await;
        write_metrics(&tandem, &file).await;
    }
}

/// Measures, and writes that down with what was counted since the last time.
async fn write_metrics(tandem: &Tandem, file: &Path) {
    gauges::read_all(tandem).await;
    let lines = tandem.metrics.lines(tandem.engine.clock.now());
    if let Err(error) = append(file, &lines) {
        warn!("Could not write metrics to {}: {error}", file.display());
    }
}

/// Opens the file anew each time: whoever reads it may have moved it away.
fn append(file: &Path, lines: &[String]) -> std::io::Result<()> {
    let mut text = String::new();
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
    file.write_all(text.as_bytes())
}

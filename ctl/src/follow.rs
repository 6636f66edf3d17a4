//! Follows a job to its end: by its events, and by asking where they fail.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use orgkeep_api::job::{Job, JobEvent};

use crate::client::Client;
use crate::client::document::Document;
use crate::client::endpoint::Endpoint;
use crate::client::events::{Event, Events};
use crate::commands::{CommandError, Context};
use crate::output::layout;

/// The pause before a broken stream is taken up again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// How often a daemon that went away is looked for again: for a minute, in which it may be restarted.
const RETRIES_MAX: u32 = 120;

/// Follows `job` to its end, showing its progress on a terminal, and gives back its last state.
pub(crate) fn follow(context: &Context, job: &Document) -> Result<Document, CommandError> {
    let progress = Progress::new(context.output.is_json());
    let last = watch(&context.client, &job.read::<Job>()?.id, &mut |event| {
        progress.show(&event.data);
        Ok(())
    });
    progress.end();
    last
}

/// Gives every event of a job to `each`, until the job has ended; gives back its last state.
pub(crate) fn watch(
    client: &Client,
    id: &str,
    each: &mut dyn FnMut(&Event) -> Result<(), CommandError>,
) -> Result<Document, CommandError> {
    let events = Endpoint::new(&["jobs", id, "events"]);
    let (mut last_event, mut outages) = (None, 0);
    loop {
        // Whatever ended the stream, the job itself says whether there is more to come.
        let streamed = drain(client, &events, &mut last_event, each);
        match client.get(&Endpoint::new(&["jobs", id])) {
            Ok(job) if job.read::<Job>()?.state.is_final() => return Ok(job),
            Ok(_) => outages = 0,
            Err(error) if error.is_outage() && outages < RETRIES_MAX => outages += 1,
            Err(error) => return Err(error.into()),
        }
        match streamed {
            Err(CommandError::Client(_)) | Ok(()) => client.pause(RETRY_PAUSE),
            Err(error) => return Err(error),
        }
    }
}

/// Gives every event of every job to `each`, until it answers `false` or the daemon stays away.
pub(crate) fn watch_all(
    client: &Client,
    each: &mut dyn FnMut(&Event) -> Result<bool, CommandError>,
) -> Result<(), CommandError> {
    let events = Endpoint::new(&["events"]);
    let (mut last_event, mut outages) = (None, 0);
    let mut wanted = true;
    while wanted {
        let streamed = drain(client, &events, &mut last_event, &mut |event| {
            outages = 0;
            wanted = wanted && each(event)?;
            if wanted {
                Ok(())
            } else {
                Err(CommandError::Declined)
            }
        });
        match streamed {
            Err(_) if !wanted => {}
            Err(CommandError::Client(error)) if error.is_outage() && outages < RETRIES_MAX => {
                outages += 1;
                client.pause(RETRY_PAUSE);
            }
            Err(error) => return Err(error),
            Ok(()) => client.pause(RETRY_PAUSE),
        }
    }
    Ok(())
}

/// Reads one stream to its end.
fn drain(
    client: &Client,
    endpoint: &Endpoint,
    last_event: &mut Option<String>,
    each: &mut dyn FnMut(&Event) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let body = client.stream(endpoint, "text/event-stream", last_event.as_deref())?;
    let mut events = Events::new(body);
    while let Some(event) = events.next()? {
        if event.id.is_some() {
            last_event.clone_from(&event.id);
        }
        each(&event)?;
    }
    Ok(())
}

/// A job's progress on stderr, if that is a terminal.
#[derive(Debug)]
struct Progress {
    bar: ProgressBar,
    warnings: bool,
}

impl Progress {
    fn new(json: bool) -> Self {
        let visible = !json && io::stderr().is_terminal();
        let target = if visible {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if visible {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Self {
            bar,
            warnings: !json,
        }
    }

    fn show(&self, data: &str) {
        // An event that this client does not understand is not worth stopping for.
        let Ok(event) = serde_json::from_str::<JobEvent>(data) else {
            return;
        };
        if let Some(warning) = event.warning.filter(|_| self.warnings) {
            self.bar.suspend(|| {
                // Nobody is left to be told when stderr cannot be written.
                let _told = writeln!(io::stderr(), "warning: {}", layout::printable(&warning));
            });
        }
        let progress = event.job.progress;
        let known = progress.total.filter(|total| *total > 0);
        let template = if known.is_some() {
            "{spinner} {msg} [{bar:30}] {pos}/{len} {elapsed}"
        } else {
            "{spinner} {msg} {pos} {elapsed}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("=> "));
        }
        if let Some(total) = known {
            self.bar.set_length(total);
        }
        self.bar.set_position(progress.done);
        let mut message = format!(
            "{} {}",
            event.job.kind,
            progress.phase.as_deref().unwrap_or("waiting")
        );
        if progress.requests > 0 {
            message.push_str(&format!(", {} requests", layout::count(progress.requests)));
        }
        if progress.rate_limited_s > 0 {
            message.push_str(&format!(", waited {} s for Okta", progress.rate_limited_s));
        }
        self.bar.set_message(message);
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

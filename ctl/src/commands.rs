//! The commands: each file is one command's arguments, its calls and its print.

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod domains;
pub(crate) mod export;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod man;
pub(crate) mod objects;
pub(crate) mod restore;
pub(crate) mod snapshots;
pub(crate) mod status;
pub(crate) mod store;

use std::io::{BufRead, BufReader};

use orgkeep_api::domain::DomainCard;

use crate::cli::Command;
use crate::client::document::Document;
use crate::client::endpoint::Endpoint;
use crate::client::{Client, ClientError};
use crate::exit::Exit;
use crate::output::{Output, OutputError};
use crate::prompt::{Prompt, PromptError};
use crate::secret::SecretError;
use crate::unpack::UnpackError;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error(transparent)]
    Prompt(#[from] PromptError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    #[error("{registered} domains are registered, so one must be named")]
    DomainNotNamed { registered: &'static str },
    #[error("no credentials are given")]
    NoCredentials,
    #[error("the command must be confirmed")]
    NotConfirmed { how: String },
    #[error("`{given}` is not `{domain}`")]
    OtherName { domain: String, given: String },
    #[error("nothing was done")]
    Declined,
}

impl CommandError {
    /// What the operator can do about it, if anything.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Client(error) => error.hint(),
            Self::Unpack(error) => error.hint(),
            Self::DomainNotNamed { .. } => {
                Some("`orgkeepctl domains` lists their names.".to_owned())
            }
            Self::NoCredentials => Some(
                "Give --client-id with --client-secret-file or --private-key-file, or give \
                 --api-token-file."
                    .to_owned(),
            ),
            Self::NotConfirmed { how } => Some(format!("Give {how}.")),
            Self::OtherName { .. } => Some("Nothing was removed.".to_owned()),
            _ => None,
        }
    }
}

/// What every command works with.
#[derive(Debug)]
pub(crate) struct Context {
    /// The daemon.
    pub(crate) client: Client,
    /// Where results go.
    pub(crate) output: Output,
}

impl Context {
    /// Someone who can be asked, if there is one.
    pub(crate) fn prompt(&self) -> Option<Prompt> {
        Prompt::if_possible(self.output.is_json())
    }

    /// The domain as named, or else the only one that is registered.
    pub(crate) fn domain(&self, named: Option<&str>) -> Result<String, CommandError> {
        if let Some(name) = named {
            return Ok(name.to_owned());
        }
        let mut names = Vec::new();
        self.client
            .list(&Endpoint::new(&["domains"]), &mut |card| {
                names.push(card.read::<DomainCard>()?.name);
                Ok::<_, ClientError>(names.len() < 2)
            })?;
        match (names.pop(), names.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => Err(CommandError::DomainNotNamed { registered: "no" }),
            _ => Err(CommandError::DomainNotNamed {
                registered: "several",
            }),
        }
    }

    /// Prints every item of a list: as documents one a line, or by `show`, until no one reads.
    pub(crate) fn print_list(
        &mut self,
        endpoint: &Endpoint,
        show: &mut dyn FnMut(&mut Output, &Document) -> Result<(), CommandError>,
    ) -> Result<(), CommandError> {
        let output = &mut self.output;
        self.client.list(endpoint, &mut |item| {
            if output.is_json() {
                output.document(&item)?;
            } else {
                show(output, &item)?;
            }
            Ok(!output.is_closed())
        })
    }

    /// Prints every line of a list that may be long, read as one stream: as documents, or by `show`, until no one
    /// reads. Gives the number of lines.
    pub(crate) fn print_stream(
        &mut self,
        endpoint: &Endpoint,
        show: &mut dyn FnMut(&mut Output, &str) -> Result<(), CommandError>,
    ) -> Result<u64, CommandError> {
        let stream = self.client.stream(endpoint, "application/x-ndjson", None)?;
        let output = &mut self.output;
        let mut lines = 0;
        for line in BufReader::new(stream).lines() {
            let line = line.map_err(|source| ClientError::Broken {
                source: Box::new(source),
            })?;
            lines += 1;
            if output.is_json() {
                output.line(&line)?;
            } else {
                show(output, &line)?;
            }
            if output.is_closed() {
                break;
            }
        }
        Ok(lines)
    }
}

/// Carries out one command.
pub(crate) fn run(command: Command, context: &mut Context) -> Result<Exit, CommandError> {
    match command {
        Command::Status => status::run(context),
        Command::Domains(arguments) => domains::run(arguments, context),
        Command::Keys(arguments) => keys::run(arguments, context),
        Command::BackupNow(arguments) => backup::run(&arguments, context),
        Command::Snapshots(arguments) => snapshots::run(arguments, context),
        Command::Objects(arguments) => objects::run(arguments, context),
        Command::Diff(arguments) => diff::run(&arguments, context),
        Command::Restore(arguments) => restore::run(arguments, context),
        Command::Export(arguments) => export::run(&arguments, context),
        Command::Jobs(arguments) => jobs::run(arguments, context),
        Command::Store(arguments) => store::run(arguments, context),
        Command::Audit(arguments) => audit::run(&arguments, context),
        Command::Completions(arguments) => completions::run(&arguments, context),
        Command::Man => man::run(context),
    }
}

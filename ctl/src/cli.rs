//! The grammar of the command line. What clap can refuse, clap refuses.

use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand};
use orgkeep_api::UnknownWord;

use crate::commands::{
    audit, backup, completions, diff, domains, export, jobs, keys, objects, restore, snapshots,
    store,
};

/// Back up Okta orgs and put back what was lost: the client of the Orgkeep daemon.
#[derive(Debug, Parser)]
#[command(name = "orgkeepctl", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Print the API's documents, one a line, instead of text for people
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// The daemon's socket [env: ORGKEEP_SOCKET]
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the daemon, the store, the key provider, next runs, running jobs and warnings
    Status,
    /// Show, add and change the registered Okta orgs
    Domains(domains::Arguments),
    /// Manage the keys that the backups are sealed with
    Keys(keys::Arguments),
    /// Start a backup
    BackupNow(backup::Arguments),
    /// List, inspect, forget and protect snapshots
    Snapshots(snapshots::Arguments),
    /// List and show the objects of a snapshot
    Objects(objects::Arguments),
    /// Show what changed between two snapshots, or since a snapshot
    Diff(diff::Arguments),
    /// Plan and carry out a restore
    Restore(restore::Arguments),
    /// Write a snapshot as plain files
    Export(export::Arguments),
    /// List, follow and cancel jobs, and read their reports
    Jobs(jobs::Arguments),
    /// Inspect, check and rebuild the store
    Store(store::Arguments),
    /// Show the log of who did what
    Audit(audit::Arguments),
    /// Print a completion script for a shell
    Completions(completions::Arguments),
    /// Print manual pages, for `man -l`
    Man,
}

/// Takes one of the words that the API knows.
pub(crate) fn words<T>(known: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err = UnknownWord> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(known).try_map(|word| word.parse::<T>())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Cli, ErrorKind> {
        Cli::try_parse_from(std::iter::once("orgkeepctl").chain(line.split_whitespace()))
            .map_err(|error| error.kind())
    }

    #[test]
    fn the_grammar_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_commands_of_the_interface_are_understood() {
        for line in [
            "status",
            "--json --socket /s status",
            "status --json --socket /s",
            "domains",
            "domains --json",
            "domains show acme",
            "domains show",
            "domains scopes",
            "domains add acme.okta.com --client-id c --client-secret-file -",
            "domains add acme.okta.com --client-id c --private-key-file k --key-id x --name a",
            "domains add acme.okta.com --api-token-file t --enable-keys --schedule off \
             --timezone UTC --retention last=5 --types user,group",
            "domains add acme.okta.com --api-token-file t --skip-keys",
            "domains reauthorize acme --api-token-file t",
            "domains enable-backup acme",
            "domains disable-backup",
            "domains configure acme --rate-limit-share 100 --full-every 7d --types user",
            "domains remove acme --erase --yes acme",
            "keys enable acme",
            "keys status",
            "backup-now acme --full --wait",
            "backup-now",
            "snapshots",
            "snapshots acme",
            "snapshots show latest --domain acme",
            "snapshots pin 00ff",
            "snapshots unpin @2026-01-01T00:00:00Z",
            "snapshots remove 00ff",
            "objects acme --snapshot latest --type user --match ann",
            "objects --snapshot latest",
            "objects show user 00u1 --snapshot latest",
            "objects history group_member 00g1/00u1 --domain acme",
            "diff latest live --attributes",
            "diff a b --domain acme",
            "restore plan acme --snapshot latest --type group --type user --id user/00u1 \
             --mode additive --with-dependencies",
            "restore show p",
            "restore apply p --allow-removals --wait",
            "restore now --snapshot latest --yes --wait",
            "export acme --snapshot latest --output dir --type user --format ndjson",
            "jobs --domain acme --kind backup --state failed",
            "jobs show j",
            "jobs watch",
            "jobs watch j",
            "jobs cancel j",
            "jobs report j --format json",
            "store status",
            "store check --read-data",
            "store reindex",
            "store prune",
            "store repair",
            "jobs --kind prune",
            "keys rotate",
            "keys rotate acme",
            "keys rewrap",
            "audit --verify",
            "completions bash",
            "man",
            "diff a b --no-names",
        ] {
            assert!(parse(line).is_ok(), "{line}: {:?}", parse(line).err());
        }
    }

    #[test]
    fn what_is_not_there_is_wrong_usage() {
        for line in [
            "top",
            "diff a b --no-names --attributes",
            "console",
            "domains estimate acme",
            "domains apply -f x",
            "keys export-recovery f",
            "restore undo j",
            "restore plan --snapshot latest --mode exact",
            "restore plan --snapshot latest --to beta",
            "restore plan --snapshot latest --attribute profile.title",
            "restore plan acme",
            "export --snapshot latest --output d --format csv",
            "export --snapshot latest",
            "jobs report j --format html",
            "jobs report j --format csv",
            "jobs --state lost",
            "store copy --to x",
            "objects acme",
            "objects show user 00u1",
            "diff latest",
            "domains configure --rate-limit-share 0",
            "domains configure --rate-limit-share 101",
            "domains add acme.okta.com --client-id c --client-secret-file a --api-token-file b",
            "domains add acme.okta.com --client-secret-file a",
            "domains add acme.okta.com --client-id c",
            "domains add acme.okta.com --client-id c --client-secret-file a --key-id k",
            "domains add acme.okta.com --client-id c --client-secret-file a --enable-keys --skip-keys",
            "domains add acme.okta.com --client-secret hush --client-id c",
            "completions tcsh",
            "",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}

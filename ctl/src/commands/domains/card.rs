//! The domain card as people see it.

use orgkeep_api::domain::{AppStatus, DomainCard};

use crate::commands::{CommandError, keys};
use crate::output::Output;
use crate::output::layout::{Card, NONE, counts, moment, moment_or_none};

/// Prints a domain's card.
pub(crate) fn show(card: &DomainCard, output: &mut Output) -> Result<(), CommandError> {
    let last = card.last_backup.as_ref().map_or_else(
        || "never".to_owned(),
        |last| {
            let finished = moment_or_none(last.finished_at.as_deref());
            format!("{} {finished} (job {})", last.state, last.job)
        },
    );
    let mut fields = Card::new();
    fields
        .field("domain", &card.name)
        .field("okta domain", &card.okta_domain)
        .field("org id", &card.org_id)
        .field("added", moment(&card.added_at))
        .field("app status", status(card.app_status))
        .field_if("", card.app_status_detail.as_deref())
        .field(
            "backup",
            if card.backup_enabled {
                "enabled"
            } else {
                "disabled"
            },
        )
        .field("key management", keys::words(card.key_management))
        .field("schedule", format!("{} ({})", card.schedule, card.timezone))
        .field(
            "next backup",
            moment_or_none(card.next_backup_at.as_deref()),
        )
        .field("retention", &card.retention)
        .field("storage region", &card.storage_region)
        .field("last backup", last)
        .field(
            "last good",
            card.last_good_snapshot.as_deref().unwrap_or(NONE),
        )
        .field("protected", counts(&card.protected_items))
        .field("scopes granted", card.scopes.granted.len().to_string())
        .field_if("scopes missing", joined(&card.scopes.missing).as_deref())
        .field_if(
            "for restore",
            joined(&card.restore_scopes_missing).as_deref(),
        );
    fields.print(output)?;
    for warning in &card.warnings {
        let text = output.style().notable(&format!("warning: {warning}"));
        output.line(&text)?;
    }
    Ok(())
}

fn status(status: AppStatus) -> &'static str {
    match status {
        AppStatus::Connected => "connected",
        AppStatus::Unauthorized => "unauthorized",
        AppStatus::MissingScopes => "missing scopes",
        AppStatus::Unreachable => "unreachable",
    }
}

fn joined(scopes: &[String]) -> Option<String> {
    (!scopes.is_empty()).then(|| format!("not granted: {}", scopes.join(" ")))
}

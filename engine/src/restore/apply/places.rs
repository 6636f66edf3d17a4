//! Putting policies and rules where they were in their order.

use std::collections::BTreeMap;

use crate::canonical::Json;
use crate::plan::path::{at, set};
use crate::plan::{Action, ActionKind, order};
use crate::restore::Outcome;

use super::{Failure, Resolved, RestoreError, Run, system_priority};

/// How often all of them are looked at: moving one moves its neighbours.
const PASSES_MAX: usize = 3;

impl Run<'_> {
    /// Writes the priority of what was created, or was to get another one, where the org has it elsewhere.
    ///
    /// Top-down, one after the other, the rest of each object left as it is. A place that the org does not give
    /// (there are fewer of them than there were) is asked for once; reading back reports it.
    pub(super) fn settle_places(&mut self) -> Result<(), RestoreError> {
        let mut placed: Vec<(u16, Option<String>, i64, &Action, Resolved)> = Vec::new();
        for action in &self.plan.actions {
            let ended = self.reports.get(&action.seq).map(|report| report.outcome);
            if !matches!(ended, Some(Outcome::Done | Outcome::Skipped)) || !is_about_place(action) {
                continue;
            }
            let Ok(mut resolved) = self.resolve(action) else {
                continue;
            };
            if let Some(id) = self.made.get(&action.seq) {
                resolved.address.id.clone_from(id);
            }
            if at(&resolved.body, "priority").is_some() {
                let wanted = order::priority(&resolved.body);
                let parent = resolved.address.parent.clone();
                placed.push((action.object_type.code(), parent, wanted, action, resolved));
            }
        }
        placed.sort_by(|a, b| (a.0, &a.1, a.2).cmp(&(b.0, &b.1, b.2)));
        let mut asked: BTreeMap<u32, i64> = BTreeMap::new();
        for _ in 0..PASSES_MAX {
            let mut moved = false;
            for (_, _, wanted, action, resolved) in &placed {
                if self.monitor.is_cancelled() {
                    return Err(RestoreError::Cancelled);
                }
                match self.settle_place(action, resolved, *wanted, &mut asked) {
                    Ok(put) => moved |= put,
                    // Whatever is wrong with this one, reading it back says.
                    Err(Failure::Action { .. }) => {}
                    Err(Failure::Stop(error)) => return Err(error),
                }
            }
            if !moved {
                break;
            }
        }
        Ok(())
    }

    /// Whether the object had to be moved.
    fn settle_place(
        &mut self,
        action: &Action,
        resolved: &Resolved,
        wanted: i64,
        asked: &mut BTreeMap<u32, i64>,
    ) -> Result<bool, Failure> {
        let Some((_, mut json)) = self.org.read(action.object_type, &resolved.address)? else {
            return Ok(false);
        };
        let has = order::priority(&json);
        if has == wanted || asked.insert(action.seq, has) == Some(has) {
            return Ok(false);
        }
        set(
            &mut json,
            &["priority"],
            Some(Json::Number(wanted.to_string())),
        );
        self.send_update(action.object_type, &resolved.address, &json)?;
        if let Some(report) = self.reports.get_mut(&action.seq) {
            report.outcome = Outcome::Done;
        }
        Ok(true)
    }
}

/// Whether an action gives a policy or rule its place.
fn is_about_place(action: &Action) -> bool {
    system_priority(action.object_type.name())
        && match action.action {
            ActionKind::Create => true,
            ActionKind::Update => action
                .changes
                .iter()
                .any(|change| change.path == "priority"),
            ActionKind::Lifecycle
            | ActionKind::Relate
            | ActionKind::Unrelate
            | ActionKind::Delete => false,
        }
}

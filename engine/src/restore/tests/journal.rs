//! A restore disturbed at each entry of its journal, and at each of its requests.

use super::*;
use crate::restore::{Journal, JournalError};

/// How an entry fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    /// It is not there.
    Before,
    /// It is there, though the journal says that it failed.
    After,
}

/// A journal of which an entry fails, and all later ones.
struct Failing<'a> {
    noted: MemoryJournal,
    org: &'a Fake,
    entries: u64,
    at: u64,
    how: Broken,
    /// How many requests had been sent when it failed.
    requests: Option<usize>,
}

impl Journal for Failing<'_> {
    fn records(&self) -> Result<Vec<JournalRecord>, JournalError> {
        self.noted.records()
    }

    fn append(&mut self, record: &JournalRecord) -> Result<(), JournalError> {
        self.entries += 1;
        if self.entries < self.at {
            return self.noted.append(record);
        }
        if self.entries == self.at && self.how == Broken::After {
            self.noted.append(record)?;
        }
        self.requests.get_or_insert(self.org.requests());
        Err(JournalError("a planned fault".into()))
    }
}

/// Undoes a disaster with a journal that fails at an entry; gives the requests that all of it took if no entry failed.
fn disturbed(
    at: u64,
    how: Broken,
    wanted: Option<&Vec<(String, Vec<String>)>>,
) -> (u64, Vec<(String, Vec<String>)>) {
    let story = story();
    let target = story.org.model();
    disaster(&story);
    let plan = missing(&target, &story.org);
    let mut journal = Failing {
        noted: MemoryJournal::default(),
        org: &story.org,
        entries: 0,
        at,
        how,
        requests: None,
    };
    let approved = plan.clone().approve(plan.digest().unwrap()).unwrap();
    let first = apply(&story.org, &approved, &mut journal, &StillClock, &Silent);
    let entries = journal.entries;
    assert_eq!(first.is_err(), journal.requests.is_some());
    let mut noted = journal.noted;
    if let Some(requests) = journal.requests {
        // Nothing is written that could not be noted, and a journal that failed is not tried again.
        assert_eq!(
            (story.org.requests(), entries),
            (requests, at),
            "{how:?} at {at}"
        );
        story.org.later(60);
        run(&story.org, &plan, &mut noted).unwrap();
    }
    let found = shape(&story.org);
    if let Some(wanted) = wanted {
        assert_eq!(&found, wanted, "{how:?} at entry {at}");
    }
    assert_eq!(story.org.dangling(), Vec::<String>::new());
    assert!(story.org.mails().is_empty());
    let again = plan_for(
        &target,
        &story.org,
        &ids_of(&noted),
        &Selection::default(),
        Mode::Missing,
    );
    assert!(
        again.actions.is_empty(),
        "{how:?} at {at}: {:#?}",
        again.actions
    );
    (entries, found)
}

#[test]
#[expect(clippy::print_stdout, reason = "for whoever runs the tests")]
fn a_journal_that_fails_at_any_entry_stops_the_restore_which_then_goes_on() {
    let (entries, wanted) = disturbed(u64::MAX, Broken::Before, None);
    assert!(entries >= 20, "{entries}");
    let mut runs = 0;
    for how in [Broken::Before, Broken::After] {
        for at in 1..=entries {
            disturbed(at, how, Some(&wanted));
            runs += 1;
        }
    }
    println!("restore journal: {entries} points, {runs} runs");
}

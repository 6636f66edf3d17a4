//! The audit log: rows that are chained by their hashes.
//!
//! A row's hash is BLAKE3 over the hash before it and the row's fields, each with its length in front
//! (4 bytes, little-endian; `ffffffff` for null; integers as decimal text), in the order `seq, at, uid, gid,
//! pid, action, target, outcome`. The first row follows 32 zero bytes. Changing, inserting or
//! removing a row breaks the chain at that place; cutting its end is seen by comparing with a head kept elsewhere.

use std::sync::MutexGuard;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use super::{State, StateError};
use orgkeep_api::system::{AuditRow, AuditVerification};
use orgkeep_engine::id::{hex, unhex};

/// Domain separation of the row hashes.
const CONTEXT: &str = "orgkeep 2026 audit row v1";
/// A log that begins later than row 1 must begin with this action: the state before it was lost.
pub(crate) const RECOVERED: &str = "state.recovered";

/// What is to be noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The peer; `None` for what the daemon does by itself.
    pub(crate) peer: Option<Peer>,
    /// What was asked for.
    pub(crate) action: String,
    /// What it concerned. Never a profile value.
    pub(crate) target: Option<String>,
    /// `ok`, or the code of the problem.
    pub(crate) outcome: String,
}

/// Who asked, as the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    /// User id.
    pub(crate) uid: u32,
    /// Group id.
    pub(crate) gid: u32,
    /// Process id, where known.
    pub(crate) pid: Option<i32>,
}

/// The newest row: its number and its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// The row's number; 0 for an empty log.
    pub(crate) seq: u64,
    /// The row's hash.
    pub(crate) hash: [u8; 32],
}

impl Head {
    /// Before the first row.
    pub(crate) const EMPTY: Self = Self {
        seq: 0,
        hash: [0; 32],
    };

    /// Text form: `SEQ HASH`.
    pub(crate) fn to_text(self) -> String {
        format!("{} {}", self.seq, hex(&self.hash))
    }

    /// Reads the text form.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let (seq, hash) = text.split_once(' ')?;
        Some(Self {
            seq: seq.parse().ok()?,
            hash: unhex(hash)?,
        })
    }
}

impl State {
    /// Appends a row, durably.
    pub(crate) fn audit(&self, at: Timestamp, entry: &Entry) -> Result<(), StateError> {
        append(&mut self.db(), at, entry, None)
    }

    /// Appends a row that becomes durable with the next that is: it outlives this process, not a loss of power.
    ///
    /// For reads, which would otherwise wait for the disk longer than for all else.
    pub(crate) fn audit_soon(&self, at: Timestamp, entry: &Entry) -> Result<(), StateError> {
        /// Puts it back whatever happens.
        struct Relaxed<'a>(MutexGuard<'a, Connection>);
        impl Drop for Relaxed<'_> {
            fn drop(&mut self) {
                drop(self.0.pragma_update(None, "synchronous", "FULL"));
            }
        }
        let mut db = Relaxed(self.db());
        db.0.pragma_update(None, "synchronous", "NORMAL")?;
        append(&mut db.0, at, entry, None)
    }

    /// Begins the log anew after `head`, which another copy of it had reached.
    pub(crate) fn audit_recovered(&self, at: Timestamp, head: Head) -> Result<(), StateError> {
        let entry = Entry {
            peer: None,
            action: RECOVERED.to_owned(),
            target: None,
            outcome: "ok".to_owned(),
        };
        append(&mut self.db(), at, &entry, Some(head))
    }

    /// Up to `limit` rows after row `after`, oldest first.
    pub(crate) fn audit_rows(&self, after: u64, limit: usize) -> Result<Vec<AuditRow>, StateError> {
        let db = self.db();
        let mut statement = db.prepare_cached(
            "SELECT seq, at, uid, gid, pid, action, target, outcome, prev, hash FROM audit
             WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        )?;
        let rows = statement.query_map((integer(after), integer(limit as u64)), read_row)?;
        Ok(rows
            .map(|row| row.map(|(row, ..)| row))
            .collect::<Result<_, _>>()?)
    }

    /// The newest row.
    pub(crate) fn audit_head(&self) -> Result<Head, StateError> {
        let head = self
            .db()
            .query_row(
                "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1",
                [],
                |row| {
                    Ok(Head {
                        seq: number(row, 0)?,
                        hash: row.get(1)?,
                    })
                },
            )
            .optional()?;
        Ok(head.unwrap_or(Head::EMPTY))
    }

    /// Follows the chain from its first row, and compares it with a `witness` kept elsewhere.
    pub(crate) fn audit_verify(
        &self,
        witness: Option<Head>,
    ) -> Result<AuditVerification, StateError> {
        let db = self.db();
        let mut statement = db.prepare(
            "SELECT seq, at, uid, gid, pid, action, target, outcome, prev, hash FROM audit ORDER BY seq",
        )?;
        let mut rows = statement.query([])?;
        let mut chain = Chain::new(witness);
        while let Some(row) = rows.next()? {
            let read = read_row(row);
            let fault = match read {
                Ok((row, prev, hash)) => chain.follow(&row, &prev, &hash),
                Err(_) => Some("the row cannot be read"),
            };
            if let Some(fault) = fault {
                return Ok(chain.broken(chain.head.seq + 1, fault));
            }
        }
        Ok(chain.end())
    }
}

/// Appends a row, after `after` if that is not the last one.
fn append(
    db: &mut Connection,
    at: Timestamp,
    entry: &Entry,
    after: Option<Head>,
) -> Result<(), StateError> {
    let transaction = db.transaction()?;
    let head = match after {
        Some(head) => head,
        None => transaction
            .prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?
            .query_row([], |row| {
                Ok(Head {
                    seq: number(row, 0)?,
                    hash: row.get(1)?,
                })
            })
            .optional()?
            .unwrap_or(Head::EMPTY),
    };
    let row = AuditRow {
        seq: head.seq + 1,
        at: super::text(at),
        uid: entry.peer.map(|peer| peer.uid),
        gid: entry.peer.map(|peer| peer.gid),
        pid: entry.peer.and_then(|peer| peer.pid),
        action: entry.action.clone(),
        target: entry.target.clone(),
        outcome: entry.outcome.clone(),
    };
    let hash = hash_of(&head.hash, &row);
    let mut insert = transaction.prepare_cached(
        "INSERT INTO audit (seq, at, uid, gid, pid, action, target, outcome, prev, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    insert.execute(rusqlite::params![
        integer(row.seq),
        row.at,
        row.uid,
        row.gid,
        row.pid,
        row.action,
        row.target,
        row.outcome,
        head.hash,
        hash
    ])?;
    drop(insert);
    transaction.commit()?;
    Ok(())
}

/// The walk along the rows.
struct Chain {
    head: Head,
    rows: u64,
    witness: Option<Head>,
}

impl Chain {
    fn new(witness: Option<Head>) -> Self {
        Self {
            head: Head::EMPTY,
            rows: 0,
            witness,
        }
    }

    /// Takes the next row; the fault if it does not follow.
    fn follow(&mut self, row: &AuditRow, prev: &[u8], hash: &[u8]) -> Option<&'static str> {
        let recovered = self.rows == 0 && row.seq > 1 && row.action == RECOVERED;
        if recovered {
            self.head.seq = row.seq - 1;
            self.head.hash = prev.try_into().unwrap_or([0; 32]);
        }
        if row.seq != self.head.seq + 1 {
            return Some("rows are missing here");
        }
        if prev != self.head.hash {
            return Some("the row does not follow the one before it");
        }
        let expected = hash_of(&self.head.hash, row);
        if hash != expected {
            return Some("the row was changed");
        }
        self.head = Head {
            seq: row.seq,
            hash: expected,
        };
        self.rows += 1;
        let contradicts = |witness: Head| witness.seq == row.seq && witness.hash != expected;
        self.witness
            .is_some_and(contradicts)
            .then_some("the row is another one than the store's copy of the log's head says")
    }

    fn end(self) -> AuditVerification {
        match self.witness {
            Some(witness) if witness.seq > self.head.seq => {
                self.broken(self.head.seq + 1, "rows are missing at the end")
            }
            _ => AuditVerification {
                intact: true,
                rows: self.rows,
                broken_at: None,
                detail: None,
                head: hex(&self.head.hash),
            },
        }
    }

    fn broken(&self, at: u64, fault: &str) -> AuditVerification {
        AuditVerification {
            intact: false,
            rows: self.rows,
            broken_at: Some(at),
            detail: Some(fault.to_owned()),
            head: hex(&self.head.hash),
        }
    }
}

/// A count as SQLite keeps it.
fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A count that SQLite kept; a negative one cannot be ours.
fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let integer: i64 = row.get(column)?;
    u64::try_from(integer).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, integer))
}

type Stored = (AuditRow, Vec<u8>, Vec<u8>);

fn read_row(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let audit = AuditRow {
        seq: number(row, 0)?,
        at: row.get(1)?,
        uid: row.get(2)?,
        gid: row.get(3)?,
        pid: row.get(4)?,
        action: row.get(5)?,
        target: row.get(6)?,
        outcome: row.get(7)?,
    };
    Ok((audit, row.get(8)?, row.get(9)?))
}

fn hash_of(prev: &[u8; 32], row: &AuditRow) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(prev);
    let number = |value: Option<i64>| value.map(|value| value.to_string());
    let fields = [
        Some(row.seq.to_string()),
        Some(row.at.clone()),
        number(row.uid.map(i64::from)),
        number(row.gid.map(i64::from)),
        number(row.pid.map(i64::from)),
        Some(row.action.clone()),
        row.target.clone(),
        Some(row.outcome.clone()),
    ];
    for field in fields {
        match field {
            Some(text) => {
                let length = u32::try_from(text.len()).unwrap_or(u32::MAX - 1);
                hasher.update(&length.to_le_bytes());
                hasher.update(text.as_bytes());
            }
            None => {
                hasher.update(&u32::MAX.to_le_bytes());
            }
        }
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(rows: usize) -> (tempfile::TempDir, State) {
        let directory = tempfile::tempdir().unwrap();
        let state = State::open(&directory.path().join("state.db")).unwrap();
        for n in 0..rows {
            let entry = Entry {
                peer: Some(Peer {
                    uid: 7,
                    gid: 7,
                    pid: Some(42),
                }),
                action: format!("test.{n}"),
                target: (n % 2 == 0).then(|| "acme".to_owned()),
                outcome: "ok".to_owned(),
            };
            state.audit(Timestamp::UNIX_EPOCH, &entry).unwrap();
        }
        (directory, state)
    }

    fn broken_after(tamper: &str) -> Option<u64> {
        let (_directory, state) = log(5);
        state.db().execute_batch(tamper).unwrap();
        let verification = state.audit_verify(None).unwrap();
        assert_eq!(verification.intact, verification.broken_at.is_none());
        verification.broken_at
    }

    #[test]
    fn an_untouched_log_is_intact() {
        let (_directory, state) = log(5);
        let verification = state
            .audit_verify(Some(state.audit_head().unwrap()))
            .unwrap();
        assert!(verification.intact, "{verification:?}");
        assert_eq!(verification.rows, 5);
        assert_eq!(state.audit_rows(3, 10).unwrap().len(), 2);
    }

    #[test]
    fn tampering_is_found_where_it_happened() {
        assert_eq!(
            broken_after("UPDATE audit SET outcome = 'x' WHERE seq = 3"),
            Some(3)
        );
        assert_eq!(
            broken_after("UPDATE audit SET uid = NULL WHERE seq = 1"),
            Some(1)
        );
        assert_eq!(
            broken_after("UPDATE audit SET target = 'acme' WHERE seq = 2"),
            Some(2)
        );
        assert_eq!(broken_after("DELETE FROM audit WHERE seq = 2"), Some(2));
        assert_eq!(broken_after("DELETE FROM audit WHERE seq = 1"), Some(1));
        assert_eq!(
            broken_after("UPDATE audit SET hash = zeroblob(32) WHERE seq = 4"),
            Some(4)
        );
        assert_eq!(
            broken_after(
                "UPDATE audit SET at = 7 WHERE seq = 4; UPDATE audit SET seq = 9 WHERE seq = 5"
            ),
            Some(4)
        );
    }

    #[test]
    fn a_cut_end_is_found_by_the_witness() {
        let (_directory, state) = log(5);
        let head = state.audit_head().unwrap();
        state
            .db()
            .execute_batch("DELETE FROM audit WHERE seq = 5")
            .unwrap();
        assert!(state.audit_verify(None).unwrap().intact);
        assert_eq!(state.audit_verify(Some(head)).unwrap().broken_at, Some(5));
        assert_eq!(Head::from_text(&head.to_text()), Some(head));
    }

    #[test]
    fn a_log_taken_up_after_its_loss_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::open(&directory.path().join("state.db")).unwrap();
        let head = Head {
            seq: 12,
            hash: [3; 32],
        };
        state.audit_recovered(Timestamp::UNIX_EPOCH, head).unwrap();
        assert!(state.audit_verify(Some(head)).unwrap().intact);
        assert_eq!(
            state.audit_rows(0, 10).unwrap().first().map(|row| row.seq),
            Some(13)
        );
    }
}

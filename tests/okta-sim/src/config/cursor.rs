//! Opaque paging cursors, refused when this org never issued them.

use std::collections::BTreeMap;

use crate::wire::Refusal;

/// The cursors that were handed out.
#[derive(Debug, Default)]
pub(crate) struct Cursors {
    issued: BTreeMap<(String, String), u64>,
}

impl Cursors {
    /// A cursor for what follows `position` in the list named `list`.
    pub(crate) fn issue(&mut self, list: &str, position: u64) -> String {
        let hash = blake3::hash(format!("{list}\n{position}").as_bytes());
        let token: String = hash.to_hex().chars().take(20).collect();
        self.issued
            .insert((list.to_owned(), token.clone()), position);
        token
    }

    /// Remembers a cursor that is not opaque, such as a name.
    pub(crate) fn remember(&mut self, list: &str, cursor: &str) {
        self.issued.insert((list.to_owned(), cursor.to_owned()), 0);
    }

    /// The position that a cursor stands for.
    pub(crate) fn position(&self, list: &str, cursor: &str) -> Result<u64, Refusal> {
        self.issued
            .get(&(list.to_owned(), cursor.to_owned()))
            .copied()
            .ok_or_else(bad_cursor)
    }

    /// Forgets every cursor: those that were handed out have expired.
    pub(crate) fn expire(&mut self) {
        self.issued.clear();
    }
}

/// 400 `E0000029`, recorded for apps and assumed for every other list.
fn bad_cursor() -> Refusal {
    Refusal {
        status: 400,
        code: "E0000029",
        summary: "Invalid paging request.".to_owned(),
        causes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::Cursors;

    #[test]
    fn only_issued_cursors_of_the_same_list_are_taken() {
        let mut cursors = Cursors::default();
        let token = cursors.issue("zones", 7);
        assert_eq!(cursors.position("zones", &token).ok(), Some(7));
        assert_eq!(
            cursors.position("idps", &token).unwrap_err().code,
            "E0000029"
        );
        assert!(cursors.position("zones", "7").is_err());
        cursors.expire();
        assert!(cursors.position("zones", &token).is_err());
    }
}

//! The org as an operator's script would save it: one sorted file of JSON lines for each type, or one file for each object.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, anyhow};

/// What `orgkeepctl export` wrote becomes a dump: lines sorted by id.
///
/// `last_logins` adds to the users what Orgkeep keeps apart and an operator's script would not.
pub(super) fn sort(
    directory: &Path,
    last_logins: Option<&HashMap<String, String>>,
) -> anyhow::Result<u64> {
    let sizes = each_file(directory, &|name| {
        let path = directory.join(name);
        let contents = fs::read(&path)?;
        let logins = last_logins.filter(|_| path.ends_with("user.ndjson"));
        let mut lines: Vec<&[u8]> = lines(&contents).collect();
        lines.sort_unstable();
        let mut file = BufWriter::with_capacity(1 << 18, File::create(&path)?);
        for line in lines {
            match logins.and_then(|logins| logins.get(id(line)?)) {
                Some(login) => {
                    file.write_all(line.strip_suffix(b"}").unwrap_or(line))?;
                    write!(file, ",\"observed\":{{\"lastLogin\":\"{login}\"}}}}")?;
                }
                None => file.write_all(line)?,
            }
            file.write_all(b"\n")?;
        }
        file.flush()?;
        Ok(fs::metadata(&path)?.len())
    })?;
    Ok(sizes.iter().sum())
}

/// How many objects a day changed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Changes {
    pub(super) added: u64,
    pub(super) changed: u64,
    pub(super) removed: u64,
}

/// Writes what differs between two dumps into a directory, a file for each type: the new lines, and `{"id":…,"gone":true}`.
///
/// A tree of one file for each object is brought up to date by the way, if one is given.
pub(super) fn compare(
    before: &Path,
    after: &Path,
    changes: &Path,
    tree: Option<&Path>,
) -> anyhow::Result<Changes> {
    fs::create_dir_all(changes)?;
    let all = each_file(after, &|name| {
        let mut counts = Changes::default();
        let old = fs::read(before.join(name)).unwrap_or_default();
        let new = fs::read(after.join(name))?;
        if old == new {
            return Ok(counts);
        }
        let mut file = BufWriter::new(File::create(changes.join(name))?);
        let folder = Path::new(name).with_extension("");
        let folder = tree.map(|tree| tree.join(folder));
        let (mut old, mut new) = (lines(&old).peekable(), lines(&new).peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(old), Some(new)) => key(old).cmp(key(new)),
            };
            let (was, is) = match order {
                std::cmp::Ordering::Less => (old.next(), None),
                std::cmp::Ordering::Greater => (None, new.next()),
                std::cmp::Ordering::Equal => (old.next(), new.next()),
            };
            match (was, is) {
                (Some(was), None) => {
                    let id = id(was).context("a line without id")?;
                    counts.removed += 1;
                    writeln!(file, "{{\"id\":\"{id}\",\"gone\":true}}")?;
                    if let Some(folder) = &folder {
                        fs::remove_file(folder.join(format!("{id}.json")))?;
                    }
                }
                (was, Some(is)) if was != Some(is) => {
                    let count = match was {
                        Some(_) => &mut counts.changed,
                        None => &mut counts.added,
                    };
                    *count += 1;
                    file.write_all(is)?;
                    file.write_all(b"\n")?;
                    if let Some(folder) = &folder {
                        write_object(folder, is)?;
                    }
                }
                _ => {}
            }
        }
        file.flush()?;
        Ok(counts)
    })?;
    let sum = |figure: fn(&Changes) -> u64| all.iter().map(figure).sum();
    Ok(Changes {
        added: sum(|counts| counts.added),
        changed: sum(|counts| counts.changed),
        removed: sum(|counts| counts.removed),
    })
}

/// Does something with each file of a directory, the largest first, on two threads.
fn each_file<T: Send>(
    directory: &Path,
    act: &(dyn Fn(&OsStr) -> anyhow::Result<T> + Sync),
) -> anyhow::Result<Vec<T>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        files.push((entry.metadata()?.len(), entry.file_name()));
    }
    files.sort_unstable();
    let files = Mutex::new(files);
    let next = || files.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let work = || {
        let mut results = Vec::new();
        while let Some((_, name)) = next() {
            results.push(act(&name)?);
        }
        anyhow::Ok(results)
    };
    thread::scope(|scope| {
        let other = scope.spawn(work);
        let mut results = work()?;
        let others = other.join().map_err(|_| anyhow!("a thread panicked"))?;
        results.extend(others?);
        Ok(results)
    })
}

/// Writes the whole dump as a tree of one file for each object, `TYPE/ID.json`.
pub(super) fn plant(dump: &Path, tree: &Path) -> anyhow::Result<u64> {
    let mut files = 0;
    for entry in fs::read_dir(dump)? {
        let name = entry?.file_name();
        let contents = fs::read(dump.join(&name))?;
        let folder = tree.join(Path::new(&name).with_extension(""));
        for line in lines(&contents) {
            write_object(&folder, line)?;
            files += 1;
        }
    }
    Ok(files)
}

/// The ids of a type's objects.
pub(super) fn ids(file: &Path) -> anyhow::Result<Vec<String>> {
    let contents = fs::read(file)?;
    let ids = lines(&contents).filter_map(id).map(str::to_owned);
    Ok(ids.collect())
}

fn write_object(folder: &Path, line: &[u8]) -> anyhow::Result<()> {
    let id = id(line).context("a line without id")?;
    let path = folder.join(format!("{id}.json"));
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let object = line
        .get(key(line).len() + b",\"object\":".len()..)
        .and_then(|rest| rest.strip_suffix(b"}"))
        .context("a line without object")?;
    #[expect(clippy::disallowed_methods, reason = "a scratch file of the benchmark")]
    fs::write(path, object)?;
    Ok(())
}

fn lines(contents: &[u8]) -> impl Iterator<Item = &[u8]> {
    contents
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
}

/// The line up to and with the quotation mark after its id: sorts as the line does.
fn key(line: &[u8]) -> &[u8] {
    const START: usize = b"{\"id\":\"".len();
    let rest = line.get(START..).unwrap_or_default();
    let end = rest.iter().position(|byte| *byte == b'"').unwrap_or(0);
    line.get(..START + end + 1).unwrap_or(line)
}

fn id(line: &[u8]) -> Option<&str> {
    let key = key(line);
    let id = key.strip_prefix(b"{\"id\":\"")?.strip_suffix(b"\"")?;
    std::str::from_utf8(id).ok()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests write files")]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::{compare, ids, plant, sort};

    #[test]
    fn changes_are_what_turns_one_dump_into_the_next() {
        let scratch = TempDir::new().unwrap();
        let path = |name: &str| scratch.path().join(name);
        let line =
            |id: &str, value: u32| format!("{{\"id\":\"{id}\",\"object\":{{\"a\":{value}}}}}\n");
        fs::create_dir_all(path("1")).unwrap();
        fs::create_dir_all(path("2")).unwrap();
        fs::write(
            path("1/user.ndjson"),
            line("c", 1) + &line("a", 1) + &line("a/b", 1),
        )
        .unwrap();
        fs::write(
            path("2/user.ndjson"),
            line("d", 1) + &line("c", 2) + &line("a", 1),
        )
        .unwrap();
        sort(&path("1"), None).unwrap();
        sort(&path("2"), None).unwrap();
        assert_eq!(ids(&path("2/user.ndjson")).unwrap(), ["a", "c", "d"]);
        assert_eq!(plant(&path("1"), &path("tree")).unwrap(), 3);
        let counts = compare(
            &path("1"),
            &path("2"),
            &path("changes"),
            Some(&path("tree")),
        )
        .unwrap();
        assert_eq!((counts.added, counts.changed, counts.removed), (1, 1, 1));
        assert_eq!(
            fs::read_to_string(path("changes/user.ndjson")).unwrap(),
            "{\"id\":\"a/b\",\"gone\":true}\n".to_owned() + &line("c", 2) + &line("d", 1),
        );
        assert_eq!(
            fs::read_to_string(path("tree/user/c.json")).unwrap(),
            "{\"a\":2}"
        );
        assert!(!path("tree/user/a/b.json").exists());
    }
}

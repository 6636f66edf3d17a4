//! What else is kept, what is forgotten, and what nobody may read.

use super::*;

#[test]
fn no_profile_value_and_no_name_stands_in_any_file() {
    let bench = Bench::new(|dir| Arc::new(Local::open(&dir.join("store")).unwrap()));
    let (store, domain) = bench.open();
    for ops in two_backups() {
        write(&domain, &ops, 1000).unwrap();
    }
    let mut files = vec![bench.dir.path().to_owned()];
    let mut seen = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        seen += 1;
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(&path).unwrap().permissions(),
        );
        assert_eq!(mode & 0o077, 0, "{}", path.display());
        let bytes = std::fs::read(&path).unwrap();
        for secret in ["secret", "mail", "example.com", "lastLogin", "profile"] {
            assert_eq!(
                memchr::memmem::find(&bytes, secret.as_bytes()),
                None,
                "{secret} in {}",
                path.display()
            );
        }
    }
    assert!(seen > 6);
    drop((store, domain));
}

#[test]
fn an_erased_domain_leaves_nothing() {
    let (bench, _) = Bench::in_memory();
    let (store, domain) = bench.open();
    write(&domain, &two_backups()[0], 1000).unwrap();
    drop(domain);
    store.erase_domain(DOMAIN).unwrap();
    assert_eq!(bench.blobs.list("").unwrap(), []);
    assert_eq!(store.snapshots(DOMAIN).unwrap(), []);
    assert!(matches!(
        store.open_domain(DOMAIN, &bench.provider),
        Err(StoreError::NoDomainKeys { .. })
    ));
    let bytes = std::fs::read(bench.index()).unwrap();
    assert_eq!(memchr::memmem::find(&bytes, own_id(1).as_bytes()), None);
    store.erase_domain(DOMAIN).unwrap();
}

#[test]
fn the_last_registration_and_the_last_meta_count() {
    let (bench, memory) = Bench::in_memory();
    let (store, _) = bench.open();
    let sealed =
        |text: &str| crate::keys::seal_envelope(&bench.provider, b"a", text.as_bytes()).unwrap();
    let (one, two) = (sealed("1"), sealed("2"));
    store.put_registration(DOMAIN, one.clone()).unwrap();
    memory.fail_at(2, Fault::Before);
    assert!(store.put_registration(DOMAIN, two.clone()).is_err());
    memory.heal();
    assert_eq!(store.registrations().unwrap(), [(DOMAIN, two.clone())]);
    assert!(store.put_registration(DOMAIN, b"plain".to_vec()).is_err());
    store.remove_registration(DOMAIN).unwrap();
    assert_eq!(store.registrations().unwrap(), []);
    assert_eq!(store.meta("state-key").unwrap(), None);
    for _ in 0..12 {
        store.put_meta("state-key", one.clone()).unwrap();
    }
    store.put_meta("state-key", two.clone()).unwrap();
    assert_eq!(store.meta("state-key").unwrap(), Some(two));
    assert_eq!(bench.blobs.list("meta/").unwrap().len(), 1);
}

#[test]
fn an_index_of_a_newer_program_is_refused_and_left_as_it_is() {
    let (bench, _) = Bench::in_memory();
    drop(bench.open());
    let connection = rusqlite::Connection::open(bench.index()).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let before = std::fs::read(bench.index()).unwrap();
    let refused = Store::open(Arc::clone(&bench.blobs), &bench.index());
    assert!(matches!(
        refused,
        Err(StoreError::Index(IndexError::Newer { found: 99, .. }))
    ));
    assert_eq!(std::fs::read(bench.index()).unwrap(), before);
}

//! Unpacks any stream as the client unpacks an export: whole, into its directory and nowhere else, or not at all.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../../ctl/src/unpack.rs"]
mod unpack;

fuzz_target!(|data: &[u8]| {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let out = directory.path().join("out");
    let done = unpack::Target::prepare(&out)
        .expect("the directory can be made")
        .unpack(data);
    let beside = fs::read_dir(directory.path()).expect("the directory is there");
    for entry in beside {
        let entry = entry.expect("the directory can be read");
        assert_eq!(entry.file_name(), "out", "nothing is written elsewhere");
    }
    assert_eq!(out.exists(), done.is_ok(), "all or nothing");
    if done.is_ok() {
        for entry in fs::read_dir(&out).expect("the directory is there") {
            let kind = entry.and_then(|entry| entry.file_type());
            assert!(kind.expect("the file is there").is_file());
        }
    }
});

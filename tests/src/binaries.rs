//! The programs under test.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where the programs are.
#[derive(Debug)]
pub struct Binaries {
    /// `orgkeepd`.
    pub daemon: PathBuf,
    /// `orgkeepctl`.
    pub ctl: PathBuf,
}

/// The programs, built from the present sources in the profile of the running test; or those in the directory that
/// `ORGKEEP_TEST_BINARIES` names, to let programs of another version make a fixture.
///
/// A test package cannot depend on another package's programs, so cargo is asked for them, once per
/// run; where they are fresh this costs a fraction of a second.
///
/// # Panics
///
/// When they cannot be built.
pub fn binaries() -> &'static Binaries {
    static BINARIES: OnceLock<Binaries> = OnceLock::new();
    BINARIES.get_or_init(|| match env::var_os("ORGKEEP_TEST_BINARIES") {
        Some(directory) => in_directory(Path::new(&directory)),
        None => build(),
    })
}

fn in_directory(directory: &Path) -> Binaries {
    Binaries {
        daemon: directory.join("orgkeepd"),
        ctl: directory.join("orgkeepctl"),
    }
}

fn build() -> Binaries {
    // TARGET/PROFILE/deps/main-HASH
    let test = env::current_exe().expect("the test knows where it is");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("a test lies two levels below its profile");
    let target = profile
        .parent()
        .expect("a profile lies in the target directory");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the test package lies in the workspace");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // With a test among the targets, features are those of the run of cargo that built the test:
    // nothing is compiled a second time.
    cargo
        .current_dir(workspace)
        .args([
            "build",
            "--quiet",
            "--workspace",
            "--bins",
            "--test",
            "main",
        ])
        .env("CARGO_TARGET_DIR", target);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.status().expect("cargo can be run");
    assert!(status.success(), "the programs under test can be built");
    in_directory(profile)
}

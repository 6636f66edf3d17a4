//! Keeps the process small.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// How many arenas the system's allocator may have; one that reads this knows it from its start only.
const ARENAS: &str = "MALLOC_ARENA_MAX";
const ARENAS_MAX: &str = "2";

/// From how many bytes on a block is a mapping of its own, given back when it is freed. Unless it is said, the allocator raises it
/// to the largest block that was freed (up to 32 MiB), and keeps the holes that packs, chunks and logs leave behind.
const MAPPED: &str = "MALLOC_MMAP_THRESHOLD_";
const MAPPED_MIN: &str = "1048576";

/// How many free bytes at its end an arena keeps.
const KEPT: &str = "MALLOC_TRIM_THRESHOLD_";
const KEPT_MAX: &str = "4194304";

/// Starts the program over, in the same process, with few arenas that give back what is large, unless its environment says how many.
///
/// The system's allocator gives threads arenas of their own, up to eight a core, and each keeps what the threads of ended
/// jobs leave behind: measured at 100,000 users after three backups, 245 MiB, and 163 to 186 MiB with two arenas.
///
/// Measured at 100,000 users on a busy machine, idle at 20 MiB. The first three ran at the same time, so that their CPU can be compared;
/// the last one ran together with another run of the third, which took 10.5 s then.
///
/// | arenas | mapped from, kept | first backup, CPU s | its peak MiB | peak MiB after three |
/// | --- | --- | --: | --: | --: |
/// | 2 | 1 MiB, 4 MiB | 11.2 | 82 | 84 |
/// | 2 | 4 MiB, 4 MiB | 10.8 | 87 | |
/// | 2 | not said | 11.0 | 99 | 101 |
/// | 16 | not said | 10.3 | 106 | 141 |
///
/// mimalloc was tried earlier, when the first backup took 253 MiB with the system's allocator: 292 MiB.
pub(crate) fn settle() {
    #[expect(
        clippy::disallowed_methods,
        reason = "it is for the allocator, before there is a configuration"
    )]
    let told = std::env::var_os(ARENAS).is_some();
    if told || !cfg!(target_env = "gnu") {
        return;
    }
    let mut arguments = std::env::args_os();
    let name = arguments.next();
    if let Ok(program) = std::env::current_exe() {
        // It returns only where that could not be done; the daemon then runs all the same, and takes more.
        drop(
            Command::new(&program)
                .arg0(name.as_deref().unwrap_or(OsStr::new("orgkeepd")))
                .args(arguments)
                .env(ARENAS, ARENAS_MAX)
                .env(MAPPED, MAPPED_MIN)
                .env(KEPT, KEPT_MAX)
                .exec(),
        );
    }
}

//! A terminal with someone who types.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::pty::openpty;

use crate::wait::until;

/// A program that runs on a terminal of its own.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<String>>,
    read: usize,
}

impl Terminal {
    /// Runs `command` on a new terminal; `None` where the machine has no `setsid` to do it with.
    ///
    /// # Panics
    ///
    /// When there is no terminal to be had.
    #[must_use]
    pub fn run(command: &Command) -> Option<Self> {
        let setsid = Command::new("setsid").arg("--version").output();
        if !setsid.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let pty = openpty(None, None).expect("a terminal can be had");
        let tty = |fd: &OwnedFd| Stdio::from(fd.try_clone().expect("a terminal can be shared"));
        let child = Command::new("setsid")
            .args(["--ctty", "--wait"])
            .arg(command.get_program())
            .args(command.get_args())
            .envs(
                command
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .stdin(tty(&pty.slave))
            .stdout(tty(&pty.slave))
            .stderr(tty(&pty.slave))
            .spawn()
            .expect("the program can be started");
        drop(pty.slave);
        let keyboard = File::from(pty.master);
        let screen = Arc::new(Mutex::new(String::new()));
        let (mut output, shown) = (
            keyboard.try_clone().expect("a terminal can be shared"),
            Arc::clone(&screen),
        );
        // Ends when the program closes its side.
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                let text = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default());
                shown
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push_str(&text);
            }
        });
        Some(Self {
            child,
            keyboard,
            screen,
            read: 0,
        })
    }

    /// Waits until `text` is shown, after what was waited for before.
    ///
    /// # Panics
    ///
    /// When it is not.
    pub fn expect(&mut self, text: &str) {
        self.read = until(format!("{text:?} on the terminal"), || {
            let screen = self.screen();
            let found = screen.get(self.read..)?.find(text)?;
            Some(self.read + found + text.len())
        });
    }

    /// Types a line.
    ///
    /// # Panics
    ///
    /// When nobody takes it.
    pub fn type_line(&mut self, line: &str) {
        writeln!(self.keyboard, "{line}").expect("the terminal takes what is typed");
    }

    /// Everything shown so far.
    #[must_use]
    pub fn screen(&self) -> String {
        self.screen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits for the end of the program, and gives back its exit code.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub fn end(&mut self) -> Option<i32> {
        let child = &mut self.child;
        until("the program ends", || {
            child.try_wait().expect("it can be asked for")
        })
        .code()
    }
}

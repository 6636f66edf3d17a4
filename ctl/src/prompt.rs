//! Questions on a terminal.

use std::io::{self, IsTerminal, Write};

use secrecy::SecretString;

/// A question got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PromptError {
    #[error("the answer could not be read")]
    Unreadable { source: io::Error },
    #[error("the input ended")]
    Ended,
}

/// Someone at a terminal who can be asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prompt(());

impl Prompt {
    /// Someone to ask, if stdin and stderr are terminals and no documents are wanted.
    pub(crate) fn if_possible(json: bool) -> Option<Self> {
        (!json && io::stdin().is_terminal() && io::stderr().is_terminal()).then_some(Self(()))
    }

    /// Tells something that is not a result.
    pub(crate) fn say(self, text: &str) -> Result<(), PromptError> {
        writeln!(io::stderr(), "{text}").map_err(|source| PromptError::Unreadable { source })
    }

    /// Asks for a line; an empty answer is `default`.
    pub(crate) fn ask(self, question: &str, default: &str) -> Result<String, PromptError> {
        let mut stderr = io::stderr();
        let shown = if default.is_empty() {
            String::new()
        } else {
            format!(" [{default}]")
        };
        write!(stderr, "{question}{shown}: ")
            .and_then(|()| stderr.flush())
            .map_err(|source| PromptError::Unreadable { source })?;
        let mut line = String::new();
        let length = io::stdin()
            .read_line(&mut line)
            .map_err(|source| PromptError::Unreadable { source })?;
        if length == 0 {
            return Err(PromptError::Ended);
        }
        let answer = line.trim();
        Ok(if answer.is_empty() {
            default.to_owned()
        } else {
            answer.to_owned()
        })
    }

    /// Asks for a line until there is one.
    pub(crate) fn ask_required(self, question: &str) -> Result<String, PromptError> {
        loop {
            let answer = self.ask(question, "")?;
            if !answer.is_empty() {
                return Ok(answer);
            }
        }
    }

    /// Asks a question to be answered by yes or no.
    pub(crate) fn confirm(self, question: &str, default: bool) -> Result<bool, PromptError> {
        loop {
            let answer = self.ask(question, if default { "Y/n" } else { "y/N" })?;
            match answer.to_lowercase().as_str() {
                "y/n" => return Ok(default),
                "y" | "yes" => return Ok(true),
                "n" | "no" => return Ok(false),
                _ => self.say("Please answer yes or no.")?,
            }
        }
    }

    /// Asks for a secret, without echo.
    pub(crate) fn secret(self, question: &str) -> Result<SecretString, PromptError> {
        loop {
            let typed = rpassword::prompt_password(format!("{question}: "))
                .map_err(|source| PromptError::Unreadable { source })?;
            let typed = SecretString::from(typed);
            let secret = secrecy::ExposeSecret::expose_secret(&typed).trim();
            if !secret.is_empty() {
                return Ok(SecretString::from(secret));
            }
        }
    }
}

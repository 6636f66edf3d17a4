//! How an org's credentials are given: in files, on stdin, or at a prompt; never as a value.

use std::path::{Path, PathBuf};

use clap::Args;
use orgkeep_api::domain::Credentials;
use secrecy::{ExposeSecret, SecretString};

use crate::commands::CommandError;
use crate::prompt::Prompt;
use crate::secret::read_secret;

#[derive(Debug, Args)]
pub(crate) struct CredentialArguments {
    /// The client id of the app in Okta
    #[arg(
        long,
        value_name = "ID",
        requires = "key_or_secret",
        conflicts_with = "api_token_file"
    )]
    client_id: Option<String>,
    /// A file with the client secret; `-` is stdin
    #[arg(
        long,
        value_name = "FILE",
        group = "key_or_secret",
        requires = "client_id"
    )]
    client_secret_file: Option<PathBuf>,
    /// A file with the private key, as PEM or JWK; `-` is stdin
    #[arg(
        long,
        value_name = "FILE",
        group = "key_or_secret",
        requires = "client_id"
    )]
    private_key_file: Option<PathBuf>,
    /// The private key's id, where the key itself does not say it
    #[arg(
        long,
        value_name = "KID",
        requires = "private_key_file",
        conflicts_with = "client_secret_file"
    )]
    key_id: Option<String>,
    /// A file with an API token; `-` is stdin
    #[arg(long, value_name = "FILE", conflicts_with = "key_or_secret")]
    api_token_file: Option<PathBuf>,
}

impl CredentialArguments {
    /// Reads the credentials, or asks for them where none are named.
    pub(crate) fn read(&self, prompt: Option<Prompt>) -> Result<Credentials, CommandError> {
        if let Some(file) = &self.api_token_file {
            return Ok(api_token(&read_secret(file)?));
        }
        let client_id = self.client_id.clone().unwrap_or_default();
        if let Some(file) = &self.client_secret_file {
            return Ok(client_secret(client_id, &read_secret(file)?));
        }
        if let Some(file) = &self.private_key_file {
            return Ok(private_key(
                client_id,
                &read_secret(file)?,
                self.key_id.clone(),
            ));
        }
        prompt.ok_or(CommandError::NoCredentials).and_then(ask)
    }
}

fn ask(prompt: Prompt) -> Result<Credentials, CommandError> {
    prompt.say("How does Orgkeep sign in to the org?")?;
    prompt.say("  1  client id and client secret (API service integration)")?;
    prompt.say("  2  client id and private key (service app)")?;
    prompt.say("  3  API token")?;
    loop {
        match prompt.ask("Choose", "1")?.as_str() {
            "1" => {
                let client_id = prompt.ask_required("Client id")?;
                return Ok(client_secret(client_id, &prompt.secret("Client secret")?));
            }
            "2" => {
                let client_id = prompt.ask_required("Client id")?;
                let file = prompt.ask_required("File with the private key (PEM or JWK)")?;
                let key = read_secret(Path::new(&file))?;
                let key_id = prompt.ask("Key id, if the key itself does not say it", "")?;
                let key_id = Some(key_id).filter(|id| !id.is_empty());
                return Ok(private_key(client_id, &key, key_id));
            }
            "3" => return Ok(api_token(&prompt.secret("API token")?)),
            _ => prompt.say("Please answer 1, 2 or 3.")?,
        }
    }
}

fn client_secret(client_id: String, secret: &SecretString) -> Credentials {
    Credentials::ClientSecret {
        client_id,
        client_secret: secret.expose_secret().to_owned(),
    }
}

fn private_key(client_id: String, key: &SecretString, key_id: Option<String>) -> Credentials {
    Credentials::PrivateKey {
        client_id,
        private_key: key.expose_secret().to_owned(),
        key_id,
    }
}

fn api_token(token: &SecretString) -> Credentials {
    Credentials::ApiToken {
        api_token: token.expose_secret().to_owned(),
    }
}

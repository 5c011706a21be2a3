//! OAuth 2.0 for mailboxes: tokens by a code typed elsewhere, by a browser on this machine, or for the
//! program itself; kept in a file, renewed when they end.
//!
//! Everything here blocks and belongs on a thread for blocking work. Tokens are never printed.
//!
//! Standards: RFC 6749 (framework), RFC 8628 (device code), RFC 8252 (loopback redirect), RFC 7636 (PKCE).

mod device;
mod file;
pub mod http;
mod loopback;

use std::fmt;

use crate::clock::Timestamp;
use crate::tls_client::Verify;

pub use device::{DevicePrompt, begin_device, wait_for_device};
pub use file::TokenFile;
pub use loopback::Loopback;

/// How tokens are had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// A code is typed on any device (RFC 8628).
    DeviceCode,
    /// A browser on this machine comes back to a loopback port (RFC 8252 §7.3), with PKCE.
    Loopback,
    /// The program signs in for itself (RFC 6749 §4.4); no user takes part.
    ClientCredentials,
}

impl Flow {
    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeviceCode => "device-code",
            Self::Loopback => "loopback",
            Self::ClientCredentials => "client-credentials",
        }
    }
}

/// One client of a token server.
#[derive(Clone)]
pub struct OAuthOptions {
    /// The mailbox's name, for messages.
    pub mailbox: String,
    /// How tokens are had.
    pub flow: Flow,
    /// The client's id.
    pub client_id: String,
    /// The client's secret; public clients have none.
    pub client_secret: Option<String>,
    /// What is asked for.
    pub scope: String,
    /// Where tokens are given.
    pub token_url: String,
    /// Where a device code is given.
    pub device_url: Option<String>,
    /// Where the browser goes.
    pub authorize_url: Option<String>,
    /// Against what the certificate of the token server is verified.
    pub verify: Verify,
}

impl fmt::Debug for OAuthOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthOptions")
            .field("mailbox", &self.mailbox)
            .field("flow", &self.flow)
            .field("client_id", &self.client_id)
            .field("token_url", &self.token_url)
            .finish_non_exhaustive()
    }
}

/// Tokens as a server gave them.
#[derive(Clone, PartialEq, Eq)]
pub struct Tokens {
    /// What signs in.
    pub access_token: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// What renews it; the client credentials flow has none.
    pub refresh_token: Option<String>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum OAuthError {
    /// Nobody signed in yet, or the sign-in has ended (`invalid_grant`, RFC 6749 §5.2).
    #[error("mailbox `{mailbox}`: {reason}; sign in again: mailsonde mailbox login {mailbox}")]
    SignInAgain {
        /// The mailbox.
        mailbox: String,
        /// What the server said.
        reason: String,
    },
    /// The server refuses the client or the request: the configuration.
    #[error("the token server refuses: {0}")]
    Refused(String),
    /// No answer, or none of the protocol. Try again.
    #[error("token server: {0}")]
    Unreachable(String),
    /// The sign-in took too long, or was declined.
    #[error("not signed in: {0}")]
    NotSignedIn(String),
    /// The token file cannot be read or written.
    #[error("token file {path}: {cause}")]
    File {
        /// The file.
        path: String,
        /// The cause.
        cause: String,
    },
    /// A step is missing in the configuration.
    #[error("{0}")]
    Options(&'static str),
}

/// Gets new tokens by a refresh token (RFC 6749 §6).
///
/// The answer's refresh token replaces the old one, if there is one. Errors: [`OAuthError::SignInAgain`] for
/// `invalid_grant`.
pub fn refresh(options: &OAuthOptions, refresh_token: &str, now: Timestamp) -> Result<Tokens, OAuthError> {
    let fields =
        [("grant_type", "refresh_token"), ("refresh_token", refresh_token), ("scope", &options.scope)];
    let mut tokens = http::tokens(options, &fields, now)?;
    tokens.refresh_token.get_or_insert_with(|| refresh_token.to_owned());
    Ok(tokens)
}

/// Gets a token for the program itself (RFC 6749 §4.4).
pub fn client_credentials(options: &OAuthOptions, now: Timestamp) -> Result<Tokens, OAuthError> {
    let fields = [("grant_type", "client_credentials"), ("scope", options.scope.as_str())];
    http::tokens(options, &fields, now)
}

/// An access token that is good now: the kept one, else a new one, which is kept.
///
/// Errors: [`OAuthError::SignInAgain`] where a person must sign in.
pub fn access_token(options: &OAuthOptions, file: &TokenFile, now: Timestamp) -> Result<String, OAuthError> {
    let kept = file.load()?;
    let is_good = |tokens: &Tokens| {
        tokens.expires_at > now.after(crate::limits::OAUTH_SLACK) && !tokens.access_token.is_empty()
    };
    if let Some(tokens) = kept.as_ref().filter(|tokens| is_good(tokens)) {
        return Ok(tokens.access_token.clone());
    }
    let tokens = if options.flow == Flow::ClientCredentials {
        client_credentials(options, now)?
    } else {
        let nobody = || OAuthError::SignInAgain {
            mailbox: options.mailbox.clone(),
            reason: "nobody has signed in yet".to_owned(),
        };
        let before = kept.and_then(|tokens| tokens.refresh_token).ok_or_else(nobody)?;
        match refresh(options, &before, now) {
            Err(OAuthError::SignInAgain { mailbox, reason }) => {
                // Another process may have renewed it in between.
                let kept = file.load()?;
                if let Some(tokens) = kept.as_ref().filter(|tokens| is_good(tokens)) {
                    return Ok(tokens.access_token.clone());
                }
                match kept.and_then(|tokens| tokens.refresh_token).filter(|token| *token != before) {
                    Some(other) => refresh(options, &other, now)?,
                    None => return Err(OAuthError::SignInAgain { mailbox, reason }),
                }
            }
            other => other?,
        }
    };
    file.save(&tokens)?;
    Ok(tokens.access_token)
}

/// Forgets the kept access token: the mail server refused it. The next one is new.
pub fn forget_access_token(file: &TokenFile) -> Result<(), OAuthError> {
    if let Some(mut tokens) = file.load()? {
        tokens.access_token = String::new();
        file.save(&tokens)?;
    }
    Ok(())
}

//! Sign-in by a code that is typed on any device (RFC 8628).

use std::time::Duration;

use super::http;
use super::{OAuthError, OAuthOptions, Tokens};
use crate::clock;
use crate::limits;
use crate::mailbox::fault::shown;

/// What the user is told, and what the wait needs.
#[derive(Clone)]
pub struct DevicePrompt {
    /// Where the code is typed.
    pub url: String,
    /// The code.
    pub user_code: String,
    device_code: String,
    interval: Duration,
    expires_in: Duration,
}

impl std::fmt::Debug for DevicePrompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevicePrompt").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Asks for a code (RFC 8628 §3.1 and §3.2).
pub fn begin_device(options: &OAuthOptions) -> Result<DevicePrompt, OAuthError> {
    let url = options.device_url.as_deref().ok_or(OAuthError::Options("`device_url` is not configured"))?;
    let answer = http::post(options, url, &[("scope", &options.scope)])?;
    if answer.error().is_some() {
        return Err(OAuthError::Refused(answer.refusal()));
    }
    // Older servers write verification_url.
    let url = answer.text("verification_uri").or_else(|| answer.text("verification_url"));
    let (Some(url), Some(user_code), Some(device_code)) =
        (url, answer.text("user_code"), answer.text("device_code"))
    else {
        return Err(OAuthError::Unreachable("an answer without a code".to_owned()));
    };
    Ok(DevicePrompt {
        url: shown(url.as_bytes()),
        user_code: shown(user_code.as_bytes()),
        device_code: device_code.to_owned(),
        // RFC 8628 §3.2: five seconds if the server does not say.
        interval: Duration::from_secs(answer.number("interval").unwrap_or(5).min(60)),
        expires_in: Duration::from_secs(answer.number("expires_in").unwrap_or(900))
            .min(limits::OAUTH_LOGIN_TIMEOUT),
    })
}

/// Waits until the user has typed the code (RFC 8628 §3.4 and §3.5).
pub fn wait_for_device(options: &OAuthOptions, prompt: &DevicePrompt) -> Result<Tokens, OAuthError> {
    let until = clock::instant() + prompt.expires_in;
    let mut interval = prompt.interval;
    let fields = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", prompt.device_code.as_str()),
    ];
    while clock::instant() < until {
        std::thread::sleep(interval);
        let answer = match http::post(options, &options.token_url, &fields) {
            Ok(answer) => answer,
            // RFC 8628 §3.5: on a time-out the client waits longer and goes on.
            Err(OAuthError::Unreachable(_)) => {
                interval = (interval * 2).max(Duration::from_secs(1)).min(Duration::from_secs(60));
                continue;
            }
            Err(error) => return Err(error),
        };
        match answer.error() {
            None => return http::tokens_of(&answer, clock::now()),
            Some("authorization_pending") => {}
            Some("slow_down") => interval += Duration::from_secs(5),
            Some("expired_token" | "access_denied" | "authorization_declined") => {
                return Err(OAuthError::NotSignedIn(answer.refusal()));
            }
            Some(_) => return Err(OAuthError::Refused(answer.refusal())),
        }
    }
    Err(OAuthError::NotSignedIn(format!("the code was not typed in {} s", prompt.expires_in.as_secs())))
}

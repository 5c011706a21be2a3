//! Requests to a token server.

use std::sync::{Arc, OnceLock};

use serde_json::Value;
use ureq::tls::{RootCerts, TlsConfig};

use super::{OAuthError, OAuthOptions, Tokens};
use crate::clock::Timestamp;
use crate::limits;
use crate::mailbox::fault::shown;
use crate::tls_client::Verify;

/// An answer of a token server: the fields of its JSON object.
pub(super) struct Answer {
    /// True for 200.
    is_ok: bool,
    fields: Value,
}

impl Answer {
    /// A text field.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(Value::as_str)
    }

    /// A number, also one that is written as a text.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        let value = self.fields.get(name)?;
        value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
    }

    /// The error code of a refusal (RFC 6749 §5.2).
    pub(super) fn error(&self) -> Option<&str> {
        self.text("error").or((!self.is_ok).then_some("unknown_error"))
    }

    /// Code and description, for people.
    pub(super) fn refusal(&self) -> String {
        let code = self.error().unwrap_or_default();
        match self.text("error_description").and_then(|text| text.lines().next()) {
            Some(text) => format!("{code}: {}", shown(text.as_bytes())),
            None => code.to_owned(),
        }
    }
}

/// The HTTP client: TLS by the one provider of the program, no redirects, bounded time.
fn agent(verify: &Verify) -> ureq::Agent {
    static PROVIDER: OnceLock<Arc<rustls::crypto::CryptoProvider>> = OnceLock::new();
    let provider = PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider()));
    let tls = TlsConfig::builder().unversioned_rustls_crypto_provider(Arc::clone(provider));
    let tls = match verify {
        Verify::System => tls.root_certs(RootCerts::PlatformVerifier),
        Verify::Roots(pem) => {
            let certificates: Vec<_> = ureq::tls::parse_pem(pem)
                .filter_map(|item| match item {
                    Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect();
            tls.root_certs(RootCerts::new_with_certs(&certificates))
        }
        Verify::Off => tls.disable_verification(true),
    };
    let config = ureq::Agent::config_builder()
        .tls_config(tls.build())
        .timeout_global(Some(limits::OAUTH_TIMEOUT))
        .max_redirects(0)
        .http_status_as_error(false)
        .proxy(ureq::Proxy::try_from_env())
        .build();
    config.new_agent()
}

/// True if a URL may be asked: HTTPS, or HTTP on this machine.
pub fn is_allowed(url: &str) -> bool {
    let host = |rest: &str| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let authority = rest.get(..end).unwrap_or_default();
        let has_user = authority.contains('@');
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        !has_user && matches!(host, "127.0.0.1" | "[::1]" | "localhost")
    };
    url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty())
        || url.strip_prefix("http://").is_some_and(host)
}

/// Posts a form, with the client's id and secret.
pub(super) fn post(options: &OAuthOptions, url: &str, fields: &[(&str, &str)]) -> Result<Answer, OAuthError> {
    if !is_allowed(url) {
        return Err(OAuthError::Options("a token server is asked by https:// only"));
    }
    let mut form: Vec<(&str, &str)> = vec![("client_id", &options.client_id)];
    if let Some(secret) = &options.client_secret {
        form.push(("client_secret", secret));
    }
    form.extend_from_slice(fields);
    let unreachable = |error: ureq::Error| OAuthError::Unreachable(shown(error.to_string().as_bytes()));
    let mut response = agent(&options.verify)
        .post(url)
        .header("accept", "application/json")
        .send_form(form)
        .map_err(unreachable)?;
    let status = response.status();
    let body = response
        .body_mut()
        .with_config()
        .limit(limits::OAUTH_ANSWER_BYTES)
        .read_to_vec()
        .map_err(unreachable)?;
    match serde_json::from_slice::<Value>(&body) {
        Ok(fields) if fields.is_object() => Ok(Answer { is_ok: status.is_success(), fields }),
        // A page of a proxy, an error of the server: nothing is known of the sign-in.
        _ => Err(OAuthError::Unreachable(format!("no answer of a token server: HTTP status {status}"))),
    }
}

/// Asks for tokens.
pub(super) fn tokens(
    options: &OAuthOptions,
    fields: &[(&str, &str)],
    now: Timestamp,
) -> Result<Tokens, OAuthError> {
    let answer = post(options, &options.token_url, fields)?;
    match answer.error() {
        None => tokens_of(&answer, now),
        // RFC 6749 §5.2: the grant is invalid, expired or revoked. The others ask for a person as well.
        Some("invalid_grant" | "interaction_required" | "login_required" | "consent_required") => {
            Err(OAuthError::SignInAgain { mailbox: options.mailbox.clone(), reason: answer.refusal() })
        }
        Some("temporarily_unavailable" | "server_error" | "unknown_error" | "slow_down") => {
            Err(OAuthError::Unreachable(answer.refusal()))
        }
        Some(_) => Err(OAuthError::Refused(answer.refusal())),
    }
}

/// The tokens of an answer (RFC 6749 §5.1).
pub(super) fn tokens_of(answer: &Answer, now: Timestamp) -> Result<Tokens, OAuthError> {
    let Some(access_token) = answer.text("access_token").filter(|token| is_token(token)) else {
        return Err(OAuthError::Unreachable("an answer without a usable access token".to_owned()));
    };
    // RFC 6749 §5.1 only recommends the lifetime; an hour is what everybody gives.
    let seconds = answer.number("expires_in").unwrap_or(3_600).min(30 * 86_400);
    Ok(Tokens {
        access_token: access_token.to_owned(),
        expires_at: now.after(std::time::Duration::from_secs(seconds)),
        refresh_token: answer.text("refresh_token").map(str::to_owned),
    })
}

/// True if a token can stand in a sign-in: visible ASCII (RFC 6750 §2.1).
fn is_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| matches!(byte, b'!'..=b'~'))
}

/// A text as it stands in a URL or a form (RFC 3986 §2.3).
pub(super) fn percent(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte.into());
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_travel_by_https_or_stay_on_the_machine() {
        let yes = [
            "https://login.example.com/token",
            "http://127.0.0.1:80/t",
            "http://localhost/t",
            "http://[::1]:8/",
        ];
        let no = [
            "http://login.example.com/token",
            "http://127.0.0.1.example.com/",
            "http://localhost:80@example.com/",
            "ftp://127.0.0.1/",
            "https://",
            "",
        ];
        assert!(yes.into_iter().all(is_allowed));
        for url in no {
            assert!(!is_allowed(url), "{url}");
        }
        assert_eq!(percent("a b&ü"), "a%20b%26%C3%BC");
    }
}

//! Sign-in by a browser on this machine that comes back to a loopback port (RFC 8252 §7.3), with PKCE.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};

use super::http::{self, percent};
use super::{OAuthError, OAuthOptions, Tokens};
use crate::clock;
use crate::limits;
use crate::mailbox::fault::shown;

/// A sign-in that waits for the browser.
pub struct Loopback {
    listener: TcpListener,
    /// Where the user goes.
    pub url: String,
    redirect: String,
    state: String,
    verifier: String,
}

impl Loopback {
    /// Opens a port of 127.0.0.1 and makes the address for the browser.
    pub fn begin(options: &OAuthOptions) -> Result<Self, OAuthError> {
        let base = options
            .authorize_url
            .as_deref()
            .ok_or(OAuthError::Options("`authorize_url` is not configured"))?;
        let trouble =
            |error: std::io::Error| OAuthError::NotSignedIn(format!("no port of this machine: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(trouble)?;
        listener.set_nonblocking(true).map_err(trouble)?;
        let redirect = format!("http://127.0.0.1:{}/", listener.local_addr().map_err(trouble)?.port());
        let (state, verifier) = (random()?, random()?);
        // RFC 7636 §4.2: S256.
        let challenge = BASE64URL_NOPAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()).as_ref());
        let separator = if base.contains('?') { '&' } else { '?' };
        let url = format!(
            "{base}{separator}response_type=code&client_id={}&redirect_uri={}&scope={}&state={state}\
             &code_challenge={challenge}&code_challenge_method=S256&access_type=offline&prompt=consent",
            percent(&options.client_id),
            percent(&redirect),
            percent(&options.scope),
        );
        Ok(Self { listener, url, redirect, state, verifier })
    }

    /// Waits for the browser and gets the tokens (RFC 6749 §4.1.3).
    ///
    /// Other requests to the port (an icon, somebody else's) are answered and passed over.
    pub fn wait(self, options: &OAuthOptions) -> Result<Tokens, OAuthError> {
        let until = clock::instant() + limits::OAUTH_LOGIN_TIMEOUT;
        while clock::instant() < until {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(50));
                    continue;
                }
                Err(error) => return Err(OAuthError::NotSignedIn(error.to_string())),
            };
            if let Some(outcome) = self.answer(stream) {
                let code = outcome?;
                let fields = [
                    ("grant_type", "authorization_code"),
                    ("code", code.as_str()),
                    ("redirect_uri", self.redirect.as_str()),
                    ("code_verifier", self.verifier.as_str()),
                ];
                let tokens = http::tokens(options, &fields, clock::now())?;
                if tokens.refresh_token.is_none() {
                    return Err(OAuthError::Refused("the server gave no refresh token".to_owned()));
                }
                return Ok(tokens);
            }
        }
        Err(OAuthError::NotSignedIn("the browser did not come back".to_owned()))
    }

    /// Answers one request; gives the code, or why there is none, if the request is the browser's.
    fn answer(&self, mut stream: TcpStream) -> Option<Result<String, OAuthError>> {
        let head = read_head(&mut stream)?;
        let query = head.split(' ').nth(1)?.strip_prefix("/?")?;
        let field = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(key, _)| *key == name).map(|(_, value)| unescape(value)).next()
        };
        // RFC 6749 §10.12: an answer to another question is nobody's.
        if field("state").as_deref() != Some(self.state.as_str()) {
            respond(&mut stream, "This is not the sign-in that Mailsonde waits for.");
            return None;
        }
        let Some(code) = field("code") else {
            respond(&mut stream, "Not signed in. You may close this page.");
            let why = field("error_description").or_else(|| field("error")).unwrap_or_default();
            return Some(Err(OAuthError::NotSignedIn(shown(why.as_bytes()))));
        };
        respond(&mut stream, "Signed in. You may close this page.");
        Some(Ok(code))
    }
}

/// Reads the first line of a request, in bounded time and space.
fn read_head(stream: &mut TcpStream) -> Option<String> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    let until = clock::instant() + Duration::from_secs(5);
    let mut head = Vec::new();
    let mut block = [0; 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let read = stream.read(&mut block).ok()?;
        head.extend_from_slice(block.get(..read)?);
        if read == 0 || head.len() > limits::OAUTH_REQUEST_BYTES || clock::instant() > until {
            return None;
        }
    }
    let text = String::from_utf8_lossy(&head);
    let line = text.lines().next()?;
    line.starts_with("GET ").then(|| line.to_owned())
}

/// Answers the browser; if it is gone, nothing is lost.
fn respond(stream: &mut TcpStream, text: &str) {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{text}",
        text.len()
    );
    let _ = stream.write_all(answer.as_bytes());
}

/// A value of a query, without its escapes.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = text.get(at + 1..at + 3).filter(|_| byte == b'%');
        match hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) => {
                out.push(value);
                at += 3;
            }
            None => {
                out.push(if byte == b'+' { b' ' } else { byte });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// 32 random bytes as text: 43 characters, as RFC 7636 §4.1 wants.
fn random() -> Result<String, OAuthError> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| OAuthError::NotSignedIn("no random numbers from the system".to_owned()))?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

//! What of a route's probes is the operator's own: the key that signs, the template, the file. Read anew for each
//! probe, so that a new key or text counts without a restart.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::authentication::dkim::SignError;
use crate::clock::Timestamp;
use crate::config::SecretError;
use crate::config::settings::{RouteSettings, Settings};
use crate::limits;
use crate::probe::compose::{HeaderError, OwnFile, Profile, Signer, Template, TemplateError, check_headers};
use crate::probe::plan::{RoutePlan, plan};
use crate::probe::token::{KEY_BYTES, KeyRing};

/// The operator's own parts of a route, in memory.
#[derive(Debug, Default)]
pub struct Parts {
    /// The key.
    signer: Option<Signer>,
    /// The template.
    template: Option<Template>,
    /// Name and bytes of the file.
    file: Option<(String, Vec<u8>)>,
}

/// What of them cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// The key cannot be fetched.
    #[error("[dkim.{name}]: {cause}")]
    Secret {
        /// The key's name.
        name: String,
        /// Why.
        cause: SecretError,
    },
    /// The key is none.
    #[error("[dkim.{name}]: {cause}")]
    Key {
        /// The key's name.
        name: String,
        /// Why.
        cause: SignError,
    },
    /// A file cannot be read.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The template would break a message.
    #[error("template {path}: {cause}")]
    Template {
        /// The file.
        path: PathBuf,
        /// What, and where.
        cause: TemplateError,
    },
    /// A field would.
    #[error(transparent)]
    Header(#[from] HeaderError),
}

impl Parts {
    /// Reads what a route names. Blocks on files, and on the program of a key.
    ///
    /// Errors: the first thing that cannot be used.
    pub fn read(route: &RouteSettings) -> Result<Self, PartsError> {
        check_headers(&route.headers)?;
        let signer = route.dkim.as_ref().map(|settings| {
            let name = || settings.name.clone();
            let pem =
                settings.key.read_whole().map_err(|cause| PartsError::Secret { name: name(), cause })?;
            Signer::new(pem.reveal().as_bytes(), settings.domain.clone(), &settings.selector)
                .map_err(|cause| PartsError::Key { name: name(), cause })
        });
        let template = route.template.as_deref().map(|path| {
            let bytes = read_file(path, limits::PROBE_TEMPLATE_BYTES as u64)?;
            Template::parse(&bytes).map_err(|cause| PartsError::Template { path: path.to_owned(), cause })
        });
        let file = route.attach.as_deref().map(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            let bytes = read_file(path, limits::PROBE_ATTACHMENT_BYTES)?;
            Ok::<_, PartsError>((name.unwrap_or_default(), bytes))
        });
        Ok(Self { signer: signer.transpose()?, template: template.transpose()?, file: file.transpose()? })
    }

    /// The plan of a route's probe of one profile.
    pub fn plan<'p>(&'p self, route: &'p RouteSettings, profile: Profile) -> RoutePlan<'p> {
        RoutePlan {
            mail_from: route.mail_from.as_deref(),
            dkim: self.signer.as_ref(),
            template: self.template.as_ref(),
            headers: &route.headers,
            file: self.own_file(),
            ..RoutePlan::new(&route.name, &route.to, &route.from, profile)
        }
    }

    /// The file as it is attached.
    fn own_file(&self) -> Option<OwnFile<'_>> {
        self.file.as_ref().map(|(name, bytes)| OwnFile { name, bytes })
    }
}

/// What would keep a route from sending one of its profiles, each with its route: files, keys, texts, and what a
/// profile needs. Every message is made once, attachments in the smallest size. Blocks as [`Parts::read`] does.
pub fn faults(settings: &Settings) -> Vec<String> {
    let mut faults = Vec::new();
    // The key counts for nothing: no message leaves.
    let Ok(ring) = KeyRing::with_id(0, &[0; KEY_BYTES]) else { return faults };
    for route in &settings.routes {
        let parts = match Parts::read(route) {
            Ok(parts) => parts,
            Err(error) => {
                faults.push(format!("[route.{}]: {error}", route.name));
                continue;
            }
        };
        let negative = settings.negatives.iter().filter(|negative| negative.route == route.name);
        let profiles = route.profiles.iter().map(|one| one.profile).chain(negative.map(|one| one.profile));
        for profile in profiles {
            let small = match profile {
                Profile::Attach(_) => Profile::Attach(1),
                Profile::Oversize(_) => Profile::Oversize(1),
                other => other,
            };
            if let Err(error) = plan(&ring, &parts.plan(route, small), Timestamp::from_seconds(0), 0) {
                faults.push(format!("[route.{}]: {error}", route.name));
            }
        }
    }
    faults.dedup();
    faults
}

/// Reads a file, and one byte more than allowed, so that a larger one is noticed where its size is judged.
fn read_file(path: &Path, most: u64) -> Result<Vec<u8>, PartsError> {
    let error = |cause| PartsError::File { path: path.to_owned(), cause };
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(error)?.take(most + 1).read_to_end(&mut bytes).map_err(error)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration of one route whose files stand in a folder.
    fn settings(folder: &Path, keys: &str) -> Settings {
        let text = format!(
            "[dkim.own]\ndomain = \"probe.example.org\"\nselector = \"s1\"\n\
             key = {{ file = \"{folder}/key.pem\" }}\n\
             [sender.relay]\nhost = \"192.0.2.1\"\n\
             [route.r]\nsender = \"relay\"\nto = \"{{token}}@example.net\"\nfrom = \"probe@probe.example.org\"\n{keys}",
            folder = folder.display(),
        );
        let text = text.replace("FOLDER", &folder.display().to_string());
        Settings::parse(Path::new("t.toml"), &text).unwrap()
    }

    /// Its route.
    fn route(folder: &Path, keys: &str) -> RouteSettings {
        settings(folder, keys).routes.remove(0)
    }

    #[test]
    fn key_template_and_file_come_into_the_message() {
        let folder = tempfile::tempdir().unwrap();
        let pem = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/keys/ed25519.pem"));
        std::fs::write(folder.path().join("key.pem"), pem).unwrap();
        std::fs::write(folder.path().join("t.txt"), "Subject: Offer {{seq}}\n\nOf {{size}} bytes.\n")
            .unwrap();
        std::fs::write(folder.path().join("offer.pdf"), "bytes").unwrap();
        let keys = "dkim = \"own\"\ntemplate = \"FOLDER/t.txt\"\nattach = \"FOLDER/offer.pdf\"\n\
                    headers = { X-Ticket = \"{{route}}\" }\nprofile = \"attach-file\"\n";
        let route = route(folder.path(), keys);
        let parts = Parts::read(&route).unwrap();
        let ring = KeyRing::with_id(1, &[9; 32]).unwrap();
        let made =
            plan(&ring, &parts.plan(&route, route.profile()), Timestamp::from_seconds(1_790_000_000), 3);
        let message = made.unwrap().message;
        let text = String::from_utf8(message.bytes).unwrap();
        assert!(
            message.is_dkim_signed && text.starts_with("DKIM-Signature: v=1; a=ed25519-sha256;"),
            "{text}"
        );
        assert!(text.contains("\r\nX-Ticket: r\r\n") && text.contains("Of 5 bytes."), "{text}");
        assert!(message.subject.starts_with("Offer 3 [mf"), "{}", message.subject);
        assert_eq!(message.attachment.unwrap().name, "offer.pdf");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key.pem"), "no key").unwrap();
        std::fs::write(folder.path().join("t.txt"), "Subject: a\n\n{{tokne}}\n").unwrap();
        for (keys, want) in [
            ("dkim = \"own\"\n", "[dkim.own]: no private key"),
            ("template = \"FOLDER/t.txt\"\n", "t.txt: line 3: no such variable: {{tokne}}"),
            ("template = \"FOLDER/absent.txt\"\n", "absent.txt: "),
            ("attach = \"FOLDER/absent.pdf\"\n", "absent.pdf: "),
        ] {
            let error = Parts::read(&route(folder.path(), keys)).unwrap_err().to_string();
            assert!(error.contains(want), "{error}, not {want}");
        }
        assert!(Parts::read(&route(folder.path(), "")).is_ok());
    }

    #[test]
    fn a_check_of_the_configuration_makes_every_message_once() {
        let folder = tempfile::tempdir().unwrap();
        let pem = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/keys/ed25519.pem"));
        std::fs::write(folder.path().join("key.pem"), pem).unwrap();
        std::fs::write(folder.path().join("t.txt"), "\ntext\n").unwrap();
        for (keys, want) in [
            ("profile = \"plain\"\n", ""),
            ("profiles = [\"business\", \"utf8\"]\n", ""),
            (
                "allow_negative = true\n[[negative]]\nroute = \"r\"\nprofile = \"oversize:100MiB\"\nevery = \"1d\"\n",
                "",
            ),
            ("attach = \"FOLDER/absent\"\nprofile = \"attach-file\"\n", "[route.r]: FOLDER/absent: "),
            ("profile = \"business\"\ntemplate = \"FOLDER/t.txt\"\n", "business has a text of its own"),
            ("template = \"FOLDER/absent\"\n", "[route.r]: FOLDER/absent: "),
            (
                "allow_negative = true\ndkim = \"own\"\n[[negative]]\nroute = \"r\"\nprofile = \"dkim-broken\"\nevery = \"1d\"\n",
                "",
            ),
        ] {
            let found = faults(&settings(folder.path(), keys)).join("\n");
            let want = want.replace("FOLDER", &folder.path().display().to_string());
            assert_eq!(found.is_empty(), want.is_empty(), "{keys}: {found}");
            assert!(found.contains(&want), "{found}, not {want}");
        }
    }
}

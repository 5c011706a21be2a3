//! Where a source is and whose network it belongs to, from MaxMind DB files that the user has. Pure: bytes in, words out.
//!
//! The files of several makers are understood: GeoIP2 and GeoLite2 (Country, City, ASN, ISP), DB-IP, IPinfo. Nothing
//! depends on them: an address that is not in them, and a record that cannot be read, are not known.

use std::net::IpAddr;

use maxminddb::{PathElement, Reader};

/// What is known of an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Country of the address, ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// Number of the autonomous system that announces it.
    pub as_number: Option<u32>,
    /// Its name.
    pub as_name: Option<String>,
    /// Its domain, where the file tells it.
    pub as_domain: Option<String>,
}

/// Which of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Countries: `country_database`.
    Country,
    /// Autonomous systems: `network_database`.
    Network,
}

/// Why a file is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacesFault {
    /// It cannot be read: it is not there, no such file, or damaged.
    #[error("cannot be read as MaxMind DB: {0}")]
    Damaged(String),
    /// It is one, of something else.
    #[error("a database of type {kind:?}, without {}", match .wanted {
        Question::Country => "countries", Question::Network => "numbers of networks" })]
    OfElse {
        /// What it says it is.
        kind: String,
        /// What was looked for.
        wanted: Question,
    },
}

/// The files, each of which may be missing.
#[derive(Debug, Default)]
pub struct Places {
    country: Option<Reader<Vec<u8>>>,
    network: Option<Reader<Vec<u8>>>,
}

/// Records that are looked at to see what a file is about.
const SAMPLE: usize = 200;
/// Longest text that is taken from a file, bytes.
const TEXT_BYTES: usize = 200;

impl Places {
    /// Takes a file into use; `bytes` are all of it.
    ///
    /// Cheap: the head is read and some records. Errors: it is damaged there, or answers another question.
    pub fn add(&mut self, question: Question, bytes: Vec<u8>) -> Result<(), PlacesFault> {
        let reader = Reader::from_source(bytes).map_err(damaged)?;
        let answers = |place: &Place| match question {
            Question::Country => place.country.is_some(),
            Question::Network => place.as_number.is_some(),
        };
        let kind = reader.metadata().database_type.clone();
        let records = reader.networks(maxminddb::WithinOptions::default()).map_err(damaged)?;
        let mut is_of_use = false;
        for record in records.take(SAMPLE) {
            let record = record.map_err(damaged)?;
            is_of_use |= answers(&Place { country: country(&record), ..network(&record) });
        }
        if !is_of_use {
            return Err(PlacesFault::OfElse { kind, wanted: question });
        }
        match question {
            Question::Country => self.country = Some(reader),
            Question::Network => self.network = Some(reader),
        }
        Ok(())
    }

    /// Looks through the whole of both files.
    ///
    /// Slow: seconds for a large one. Errors: something in it does not hold together.
    pub fn verify(&self) -> Result<(), PlacesFault> {
        for reader in [&self.country, &self.network].into_iter().flatten() {
            reader.verify().map_err(damaged)?;
        }
        Ok(())
    }

    /// True without any file.
    pub fn is_empty(&self) -> bool {
        self.country.is_none() && self.network.is_none()
    }

    /// What the files say of an address.
    pub fn of(&self, ip: IpAddr) -> Place {
        let mut place = Place::default();
        if let Some(record) = self.network.as_ref().and_then(|reader| reader.lookup(ip).ok()) {
            place = network(&record);
        }
        if let Some(record) = self.country.as_ref().and_then(|reader| reader.lookup(ip).ok()) {
            place.country = country(&record);
        }
        place
    }
}

/// A fault in the words of the reader of such files.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn damaged(error: maxminddb::MaxMindDbError) -> PlacesFault {
    PlacesFault::Damaged(error.to_string())
}

/// A record of a file.
type Record<'r> = maxminddb::LookupResult<'r, Vec<u8>>;

/// A text at a path of a record.
fn text(record: &Record<'_>, path: &[&str]) -> Option<String> {
    let path: Vec<PathElement<'_>> = path.iter().map(|key| PathElement::Key(key)).collect();
    let text: Option<&str> = record.decode_path(&path).ok()?;
    let text = text?.trim();
    let end = (0..=text.len().min(TEXT_BYTES)).rev().find(|at| text.is_char_boundary(*at))?;
    text.get(..end).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The country of a record: of the address, else where its network is registered.
fn country(record: &Record<'_>) -> Option<String> {
    const PATHS: [&[&str]; 4] =
        [&["country", "iso_code"], &["country_code"], &["country"], &["registered_country", "iso_code"]];
    let is_code = |code: &String| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_alphabetic());
    PATHS.iter().find_map(|path| text(record, path).filter(is_code)).map(|code| code.to_ascii_uppercase())
}

/// The autonomous system of a record.
fn network(record: &Record<'_>) -> Place {
    let key = [PathElement::Key("autonomous_system_number")];
    let number = record.decode_path::<u32>(&key).ok().flatten();
    let written = || {
        let text = text(record, &["asn"])?;
        text.trim_start_matches(['A', 'a']).trim_start_matches(['S', 's']).parse().ok()
    };
    let as_number: Option<u32> = number.or_else(written).filter(|number| *number != 0);
    const NAMES: [&[&str]; 3] = [&["autonomous_system_organization"], &["as_name"], &["name"]];
    let as_name = as_number.and_then(|_| NAMES.iter().find_map(|path| text(record, path)));
    let as_domain = as_number.and_then(|_| text(record, &["as_domain"]));
    Place { country: None, as_number, as_name, as_domain }
}

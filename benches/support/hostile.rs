//! Hostile attachments: small, and large or deep once unpacked.

use std::io::{BufWriter, Cursor, Result, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

const HEAD: &str = "<?xml version=\"1.0\"?>\n<feedback><report_metadata><org_name>bomb</org_name>\
    <email>a@b.example</email><report_id>1</report_id><date_range><begin>1700000000</begin><end>1700086399</end>\
    </date_range></report_metadata><policy_published><domain>d.example</domain><p>none</p></policy_published>";

/// A record of source `192.0.2.last`.
fn record(last: usize) -> String {
    format!(
        "<record><row><source_ip>192.0.2.{last}</source_ip><count>1</count><policy_evaluated><disposition>none\
         </disposition><dkim>pass</dkim><spf>pass</spf></policy_evaluated></row><identifiers><header_from>d.example\
         </header_from></identifiers><auth_results><spf><domain>d.example</domain><result>pass</result></spf>\
         </auth_results></record>"
    )
}

/// Writes the head, `pattern` until `bytes` are out, and the end.
fn repeat(out: &mut dyn Write, pattern: &[u8], bytes: usize) -> Result<()> {
    out.write_all(HEAD.as_bytes())?;
    let mut written = 0;
    while written < bytes {
        out.write_all(pattern)?;
        written += pattern.len();
    }
    out.write_all(b"</feedback>")
}

fn gzip(path: &Path, pattern: &[u8], bytes: usize) -> Result<()> {
    let mut out = GzEncoder::new(BufWriter::new(std::fs::File::create(path)?), Compression::best());
    repeat(&mut out, pattern, bytes)?;
    out.finish()?.flush()
}

/// Writes the hostile files into a folder; those whose name begins with `valid` are large and sound.
pub(crate) fn write_hostile(folder: &Path) -> Result<()> {
    let blanks = vec![b' '; 1 << 20];
    let records: String = (1..=254).map(record).collect();
    gzip(&folder.join("bomb_1g.xml.gz"), &blanks, 1 << 30)?;
    gzip(&folder.join("valid_99mb.xml.gz"), records.as_bytes(), 99_000_000)?;
    gzip(&folder.join("valid_105mib.xml.gz"), records.as_bytes(), 105 << 20)?;
    gzip(&folder.join("blanks_99mb.xml.gz"), &blanks, 99_000_000)?;
    gzip(&folder.join("opentags_50mb.xml.gz"), "<a>".repeat(1 << 18).as_bytes(), 50_000_000)?;
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("x.xml", zip::write::SimpleFileOptions::default())?;
    repeat(&mut zip, &blanks, 1 << 30)?;
    std::fs::write(folder.join("bomb_1g.zip"), zip.finish()?.into_inner())?;
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for number in 0..2_000 {
        zip.start_file(format!("r{number}.xml"), zip::write::SimpleFileOptions::default())?;
        write!(zip, "{HEAD}{}</feedback>", record(1))?;
    }
    std::fs::write(folder.join("valid_zip_2000_members.zip"), zip.finish()?.into_inner())?;
    let entity = |n: i32| format!("<!ENTITY a{n} \"{}\">", format!("&a{};", n - 1).repeat(10));
    let entities = (0..9).map(entity).collect::<Vec<_>>().concat();
    let body = HEAD.replace("<?xml version=\"1.0\"?>\n", "").replace("bomb", "&a8;");
    let laughs = format!("<?xml version=\"1.0\"?><!DOCTYPE l [{entities}]>{body}{}</feedback>", record(1));
    std::fs::write(folder.join("laughs.xml"), laughs)?;
    let attributes = (0..3_000).map(|n| format!(" a{n} CDATA \"v\"")).collect::<Vec<_>>().concat();
    let attlist = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE feedback [<!ATTLIST z {attributes}>]>{body}{}{}</feedback>",
        "<z/>".repeat(3_000),
        record(1)
    );
    std::fs::write(folder.join("attlist.xml"), attlist)?;
    write_mails(folder)
}

/// Writes mails that are costly to take apart: many parts, deep ones, an endless header, near delimiters.
fn write_mails(folder: &Path) -> Result<()> {
    let start = "From: a@b.example\r\nTo: c@d.example\r\n";
    let many = "--b\r\n\r\nx\r\n".repeat(2_000_000);
    let mixed = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    std::fs::write(folder.join("valid_mail_parts.eml"), format!("{start}{mixed}{many}--b--\r\n"))?;
    let deep = "Content-Type: message/rfc822\r\n\r\n".repeat(500_000);
    std::fs::write(folder.join("valid_mail_deep.eml"), format!("{start}{deep}"))?;
    let header = "X-Long: x\r\n".repeat(1_000_000);
    std::fs::write(folder.join("valid_mail_header.eml"), format!("{start}{header}\r\nbody"))?;
    let nested: Vec<String> =
        (0..15).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n")).collect();
    let near = "--bX\r\n".repeat(4_000_000);
    std::fs::write(folder.join("valid_mail_delimiters.eml"), format!("{start}{}{near}", nested.concat()))
}

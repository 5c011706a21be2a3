//! Reports for benchmarks, the same in every run: the shape is that of RFC 7489, the spread that of a month
//! of mail to fifty domains.

use std::io::{BufWriter, Result, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

/// The mix: files and the records of each. 2,000 reports, 245,000 records.
pub(crate) const MIX: [(usize, usize); 4] = [(1_000, 1), (600, 10), (380, 100), (20, 10_000)];

/// Who reports.
const ORGANIZATIONS: [&str; 10] = [
    "google.com",
    "Yahoo",
    "Enterprise Outlook",
    "Mimecast",
    "zoho.com",
    "comcast.net",
    "AMAZON-SES",
    "Mail.Ru",
    "Fastmail Pty Ltd",
    "esa1.hc1234-56.iphmx.com",
];

/// Who else signs.
const SERVICES: [&str; 4] = ["sendgrid.example", "amazonses.example", "mailgun.example", "mcsv.example"];

/// A small generator of random numbers (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    /// One that starts with `seed`.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[usize::try_from(self.below(words.len() as u64)).unwrap_or_default()]
    }
}

/// Writes report number `number` of `records` records; gives its messages.
pub(crate) fn write_report(out: &mut dyn Write, number: u64, records: usize) -> Result<u64> {
    let mut random = Random(number.wrapping_mul(1_000_003) + records as u64);
    let organization = random.pick(&ORGANIZATIONS);
    let domain = format!("d{:02}.example", random.below(50));
    let begin = 1_700_000_000 + (number % 900) * 86_400;
    let id = random.next();
    write!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<feedback>\n <version>1.0</version>\n <report_metadata>\n  \
         <org_name>{organization}</org_name>\n  <email>noreply-dmarc@reporter.example</email>\n  \
         <extra_contact_info>https://support.example/dmarc</extra_contact_info>\n  <report_id>{id}</report_id>\n  \
         <date_range>\n   <begin>{begin}</begin>\n   <end>{}</end>\n  </date_range>\n </report_metadata>\n \
         <policy_published>\n  <domain>{domain}</domain>\n  <adkim>r</adkim>\n  <aspf>r</aspf>\n  <p>none</p>\n  \
         <sp>none</sp>\n  <pct>100</pct>\n </policy_published>\n",
        begin + 86_399
    )?;
    let mut messages = 0;
    for _ in 0..records {
        let count = if random.below(10) < 7 { 1 } else { 2 + random.below(398) };
        messages += count;
        let dkim = random.pick(&["pass", "pass", "pass", "fail"]);
        let spf = random.pick(&["pass", "pass", "fail"]);
        let passes = dkim == "pass" || spf == "pass";
        let disposition = if passes { "none" } else { random.pick(&["none", "quarantine", "reject"]) };
        let bits = random.next();
        let source = if bits % 100 < 12 {
            format!("2001:db8:{:x}:{:x}::{:x}", bits >> 48, bits >> 32 & 0xffff, bits >> 16 & 0xffff)
        } else {
            let [a, b, c, d, ..] = bits.to_le_bytes();
            format!("{}.{}.{}.{}", a.max(1), b.max(1), c.max(1), d.max(1))
        };
        let reason = if random.below(20) == 0 {
            "    <reason>\n     <type>local_policy</type>\n     <comment>arc=pass</comment>\n    </reason>\n"
        } else {
            ""
        };
        let (service, selector) = (random.pick(&SERVICES), random.below(9));
        write!(
            out,
            " <record>\n  <row>\n   <source_ip>{source}</source_ip>\n   <count>{count}</count>\n   \
             <policy_evaluated>\n    <disposition>{disposition}</disposition>\n    <dkim>{dkim}</dkim>\n    \
             <spf>{spf}</spf>\n{reason}   </policy_evaluated>\n  </row>\n  <identifiers>\n   \
             <header_from>{domain}</header_from>\n   <envelope_from>bounce.{domain}</envelope_from>\n  \
             </identifiers>\n  <auth_results>\n   <dkim>\n    <domain>{domain}</domain>\n    \
             <selector>s{selector}</selector>\n    <result>{dkim}</result>\n   </dkim>\n   <dkim>\n    \
             <domain>{service}</domain>\n    <selector>k1</selector>\n    <result>pass</result>\n   </dkim>\n   \
             <spf>\n    <domain>bounce.{domain}</domain>\n    <scope>mfrom</scope>\n    <result>{spf}</result>\n   \
             </spf>\n  </auth_results>\n </record>\n"
        )?;
    }
    out.write_all(b"</feedback>\n")?;
    Ok(messages)
}

/// Writes one gzip report.
pub(crate) fn write_gzip(path: &Path, number: u64, records: usize) -> Result<u64> {
    let file = BufWriter::new(std::fs::File::create(path)?);
    let mut out = GzEncoder::new(file, Compression::default());
    let messages = write_report(&mut out, number, records)?;
    out.finish()?.flush()?;
    Ok(messages)
}

/// Writes the mix into an empty folder; gives its reports, records and messages.
pub(crate) fn write_mix(folder: &Path) -> Result<(u64, u64, u64)> {
    let (mut reports, mut total, mut messages) = (0u64, 0u64, 0);
    for (files, records) in MIX {
        for _ in 0..files {
            messages += write_gzip(&folder.join(format!("{reports:05}.xml.gz")), reports, records)?;
            reports += 1;
            total += records as u64;
        }
    }
    Ok((reports, total, messages))
}

//! Which folder of a mailbox is the one for spam: pure.

/// How the folder for spam is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpamBy {
    /// The configuration names it.
    Configured,
    /// The server says so (RFC 6154 §2).
    Server,
    /// It has a name that such folders have.
    Name,
}

impl SpamBy {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Server => "the server says so",
            Self::Name => "by its name",
        }
    }
}

/// A folder as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Its name.
    pub(super) name: String,
    /// What stands between the names of a hierarchy.
    pub(super) delimiter: Option<char>,
    /// True if the server marks it as the folder for spam.
    pub(super) is_marked: bool,
    /// False for a name without a folder.
    pub(super) is_selectable: bool,
}

/// Names that such folders have, in lower case, the likeliest first. In their languages as mail programs and
/// providers write them.
const NAMES: &[&str] = &[
    "junk",
    "spam",
    "junk email",
    "junk e-mail",
    "junk mail",
    "bulk mail",
    "bulk",
    // German
    "junk-e-mail",
    "spamverdacht",
    "unerwünscht",
    "unerwünschte werbung",
    // French
    "courrier indésirable",
    "indésirables",
    "pourriel",
    // Spanish, Portuguese, Italian
    "correo no deseado",
    "correo basura",
    "lixo eletrônico",
    "lixo eletrónico",
    "lixo electrónico",
    "posta indesiderata",
    // Dutch, Danish, Norwegian, Swedish, Finnish
    "ongewenste e-mail",
    "ongewenst",
    "uønsket mail",
    "uønsket e-post",
    "skräppost",
    "roskaposti",
    // Polish, Czech, Slovak, Hungarian, Romanian, Croatian
    "wiadomości-śmieci",
    "niechciane",
    "nevyžádaná pošta",
    "nevyžiadaná pošta",
    "levélszemét",
    "mesaje nedorite",
    "neželjena pošta",
    // Greek, Russian, Ukrainian, Turkish
    "ανεπιθύμητη αλληλογραφία",
    "ανεπιθύμητα",
    "нежелательная почта",
    "спам",
    "небажана пошта",
    "önemsiz e-posta",
    "gereksiz e-posta",
    // Hebrew, Arabic, Chinese, Japanese, Korean
    "דואר זבל",
    "البريد غير الهام",
    "بريد غير هام",
    "垃圾邮件",
    "垃圾郵件",
    "垃圾箱",
    "迷惑メール",
    "정크 메일",
    "스팸메일",
    "스팸",
];

/// The folder for spam among those listed: the one that the server marks, else the likeliest by its name.
///
/// A folder within another counts by its last name (`[Gmail]/Spam`, `INBOX.Junk`); one higher up comes first.
/// `inbox` is never it.
pub(super) fn choose(folders: &[Candidate], inbox: &str) -> Option<(String, SpamBy)> {
    let usable =
        || folders.iter().filter(|folder| folder.is_selectable && !folder.name.eq_ignore_ascii_case(inbox));
    if let Some(marked) = usable().find(|folder| folder.is_marked) {
        return Some((marked.name.clone(), SpamBy::Server));
    }
    let rank = |folder: &Candidate| {
        let (depth, last) = match folder.delimiter {
            Some(delimiter) => (folder.name.matches(delimiter).count(), folder.name.rsplit(delimiter).next()),
            None => (0, Some(folder.name.as_str())),
        };
        let last = last.unwrap_or_default().trim().to_lowercase();
        let place = NAMES.iter().position(|name| *name == last)?;
        Some((depth, place))
    };
    usable()
        .filter_map(|folder| Some((rank(folder)?, folder)))
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, folder)| (folder.name.clone(), SpamBy::Name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(text: &str) -> Candidate {
        let is_marked = text.ends_with('*');
        let is_selectable = !text.ends_with('-');
        let name = text.trim_end_matches(['*', '-']).to_owned();
        let delimiter = if name.contains('/') { Some('/') } else { Some('.') };
        Candidate { name, delimiter, is_marked, is_selectable }
    }

    /// Folders, and the one for spam among them.
    type Case = (&'static [&'static str], Option<(&'static str, SpamBy)>);

    #[test]
    fn the_folder_for_spam_is_found_or_not_guessed() {
        let cases: [Case; 13] = [
            (&["INBOX", "Junk", "Trash*-"], Some(("Junk", SpamBy::Name))),
            (&["INBOX", "Junk", "Verdacht*"], Some(("Verdacht", SpamBy::Server))),
            (&["INBOX", "[Gmail]/Spam", "[Gmail]/All Mail"], Some(("[Gmail]/Spam", SpamBy::Name))),
            (&["INBOX", "INBOX.Junk"], Some(("INBOX.Junk", SpamBy::Name))),
            (&["INBOX", "Junk Email", "Sent"], Some(("Junk Email", SpamBy::Name))),
            (&["INBOX", "Bulk Mail"], Some(("Bulk Mail", SpamBy::Name))),
            (&["INBOX", "Courrier indésirable"], Some(("Courrier indésirable", SpamBy::Name))),
            (&["INBOX", "迷惑メール"], Some(("迷惑メール", SpamBy::Name))),
            (&["Archive/2019/Spam", "Spam", "Junk"], Some(("Junk", SpamBy::Name))),
            (&["Archive/Junk", "Spam"], Some(("Spam", SpamBy::Name))),
            // A name without a folder, the inbox itself, and names that only contain the word.
            (&["INBOX", "Junk-"], None),
            (&["Junk*"], None),
            (&["INBOX", "Not spam", "Spam reports", "spammers.org"], None),
        ];
        for (names, want) in cases {
            let folders: Vec<Candidate> = names.iter().map(|name| folder(name)).collect();
            let inbox = if names.len() == 1 { "junk" } else { "INBOX" };
            let want = want.map(|(name, by)| (name.to_owned(), by));
            assert_eq!(choose(&folders, inbox), want, "{names:?}");
        }
    }

    #[test]
    fn names_are_written_as_they_are_compared() {
        for name in NAMES {
            assert_eq!(*name, name.to_lowercase());
        }
    }
}

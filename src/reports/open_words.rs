//! Open lists of words as types.

/// Defines an open list of words: the standard's as variants, others kept as they are.
macro_rules! open_words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// Another word, in lower case.
            Unlisted(String),
            /// Absent or empty.
            #[default]
            Missing,
        }

        impl $name {
            /// The standard's words.
            pub const KNOWN: &[&str] = &[$($word),*];

            /// Reads a word in any case; blanks around it do not count.
            pub fn parse(text: &str) -> Self {
                let word = text.trim().to_lowercase();
                match word.as_str() {
                    "" => Self::Missing,
                    $($word => Self::$variant,)*
                    _ => Self::Unlisted(word),
                }
            }

            /// The word, as in the standard or as written in lower case; empty for none.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Unlisted(word) => word,
                    Self::Missing => "",
                }
            }
        }
    };
}

pub(crate) use open_words;

//! Sentences that differ from probe to probe, always the same for the same token.
//!
//! Filters learn bulk mail by fingerprints of its text, and a probe that is sent a thousand times a day would
//! become one: so nearly all of its words are chosen by the token. They are plain on purpose, say what the
//! message is, and hold nothing that a filter looks for.

use ring::digest;

use crate::probe::token::Token;

/// Column at which texts are wrapped.
const WRAP_COLUMN: usize = 72;

/// What it is.
const OPENINGS: [&str; 16] = [
    "This is a test message of Mailsonde.",
    "Mailsonde sent this message as a test.",
    "You are looking at a test of the mail system, sent by Mailsonde.",
    "A program named Mailsonde wrote this test message.",
    "This mail is a probe of Mailsonde, not a letter.",
    "No person wrote this: Mailsonde, a monitor of mail, did.",
    "The monitor Mailsonde has sent you one of its test messages.",
    "What you see is a probe, made by Mailsonde a moment ago.",
    "Here comes a measurement of Mailsonde in the form of a mail.",
    "Behind this message stands Mailsonde, which watches over mail.",
    "Mailsonde made this text, and a machine will look for it.",
    "A short test of Mailsonde has just passed through the mail.",
    "This text belongs to a test that Mailsonde runs.",
    "One more probe of Mailsonde has found its way here.",
    "Mailsonde, a tool of mail administrators, sends this as a test.",
    "The following lines are a test of Mailsonde and nothing else.",
];

/// What it is for.
const PURPOSES: [&str; 16] = [
    "It measures whether and how fast mail arrives.",
    "It shows if messages come through, and after how long.",
    "Its journey tells the administrators how their mail is doing.",
    "How long it was under way is all that matters about it.",
    "It was sent to see that mail still gets from there to here.",
    "With it the way of a message is timed from end to end.",
    "Its only task is to arrive, and to be seen arriving.",
    "The time of its arrival is noted and compared with others.",
    "Should it fail to arrive, somebody is told and looks into it.",
    "It helps to notice a fault before people do.",
    "The route that it takes is under observation.",
    "Delays and losses are found by messages such as this one.",
    "If you can read it, then this part of the mail system works.",
    "From it the operators learn how reliable their mail is.",
    "It checks the path, the filters and the mailbox at its end.",
    "Each of them says one thing: mail passes, or it does not.",
];

/// What to do with it.
const ENDINGS: [&str; 16] = [
    "Nobody needs to read or answer it.",
    "There is no need to do anything about it.",
    "Please do not reply: no person would see the answer.",
    "It can be deleted at any time without harm.",
    "It asks nothing of you and holds nothing of value.",
    "You may ignore it, and so may everybody else.",
    "An answer is neither needed nor read.",
    "Nothing is lost if it is thrown away.",
    "It expects no reply and wants no attention.",
    "Leave it or remove it, as you like.",
    "No action follows from it.",
    "Whoever finds it by chance can let it be.",
    "It is of no further use once it has been counted.",
    "It may be removed as soon as it has arrived.",
    "Reading it changes nothing, and nor does deleting it.",
    "A machine has taken note of it already.",
];

/// Who, in a made-up sentence.
const WHO: [&str; 24] = [
    "a courier",
    "the ferryman",
    "an old gardener",
    "the night porter",
    "a young baker",
    "the station master",
    "a patient clerk",
    "the lighthouse keeper",
    "a surveyor",
    "the miller",
    "an archivist",
    "the harbor pilot",
    "a bookbinder",
    "the bell ringer",
    "a travelling musician",
    "the town crier",
    "a watchmaker",
    "the beekeeper",
    "an astronomer",
    "the tram driver",
    "a shepherd",
    "the librarian",
    "a cartographer",
    "the sailmaker",
];

/// Did what.
const DID: [&str; 20] = [
    "carried",
    "counted",
    "found",
    "repaired",
    "sorted",
    "weighed",
    "drew",
    "moved",
    "painted",
    "labelled",
    "collected",
    "copied",
    "measured",
    "polished",
    "stacked",
    "wrapped",
    "noted",
    "arranged",
    "watched",
    "mended",
];

/// What, after a number.
const THINGS: [&str; 24] = [
    "lanterns",
    "maps",
    "baskets",
    "clocks",
    "letters",
    "boats",
    "chairs",
    "bells",
    "apples",
    "ladders",
    "windows",
    "kites",
    "barrels",
    "notebooks",
    "bricks",
    "pebbles",
    "scarves",
    "compasses",
    "umbrellas",
    "wheels",
    "ribbons",
    "tiles",
    "jars",
    "flags",
];

/// Where.
const WHERE: [&str; 20] = [
    "near the old bridge",
    "behind the market hall",
    "on the north pier",
    "at the edge of the forest",
    "below the castle wall",
    "in the upper valley",
    "across the square",
    "beside the canal",
    "above the tree line",
    "by the railway yard",
    "under the arcade",
    "along the river road",
    "at the foot of the tower",
    "in the quiet courtyard",
    "outside the town gate",
    "on the second floor",
    "between two orchards",
    "past the windmill",
    "close to the harbor",
    "in the village school",
];

/// When.
const WHEN: [&str; 16] = [
    "before noon",
    "after the rain",
    "on a Tuesday",
    "in late autumn",
    "at dawn",
    "during the fair",
    "towards evening",
    "last spring",
    "while it snowed",
    "between two trains",
    "long before the others came",
    "in half an hour",
    "without any haste",
    "on the first warm day",
    "just as the lamps were lit",
    "in the third week of March",
];

/// Numbers that a token chooses.
pub(super) struct Choices {
    /// What they come from.
    seed: Vec<u8>,
    /// Which block is next.
    block: u32,
    /// Bytes that are left of the last one.
    left: Vec<u8>,
}

impl Choices {
    /// The choices of a token for one use.
    pub(super) fn new(token: &Token, usage: &str) -> Self {
        Self {
            seed: [b"mailsonde choices ", usage.as_bytes(), b"\0", &token.clear_bytes()].concat(),
            block: 0,
            left: Vec::new(),
        }
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> u8 {
        loop {
            if let Some(byte) = self.left.pop() {
                return byte;
            }
            let mut context = digest::Context::new(&digest::SHA256);
            context.update(&self.seed);
            context.update(&self.block.to_be_bytes());
            self.block = self.block.wrapping_add(1);
            self.left = context.finish().as_ref().to_vec();
        }
    }

    /// A number below `count`.
    fn below(&mut self, count: usize) -> usize {
        let wide = usize::from(self.byte()) << 8 | usize::from(self.byte());
        wide % count.max(1)
    }

    /// One of several texts.
    fn pick(&mut self, texts: &[&'static str]) -> &'static str {
        let at = self.below(texts.len());
        texts.get(at).copied().unwrap_or_default()
    }
}

/// The paragraphs of a token's text, one line each: what this is, and sentences that mean nothing.
pub(super) fn paragraphs(token: &Token) -> [String; 2] {
    let mut choices = Choices::new(token, "text");
    let first = [choices.pick(&OPENINGS), choices.pick(&PURPOSES), choices.pick(&ENDINGS)].join(" ");
    let count = 2 + choices.below(3);
    let second: Vec<String> = (0..count).map(|_| made_up(&mut choices)).collect();
    [first, second.join(" ")]
}

/// A sentence that means nothing.
fn made_up(choices: &mut Choices) -> String {
    let (who, did, things) = (choices.pick(&WHO), choices.pick(&DID), choices.pick(&THINGS));
    let (place, time) = (choices.pick(&WHERE), choices.pick(&WHEN));
    let number = 2 + choices.below(96);
    let text = match choices.below(4) {
        0 => format!("{who} {did} {number} {things} {place} {time}."),
        1 => format!("{time} {who} {did} {number} {things} {place}."),
        2 => format!("{place} {who} {did} {number} {things} {time}."),
        _ => format!("{number} {things} {place}: {who} {did} them {time}."),
    };
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Lines of at most [`WRAP_COLUMN`] characters, where the words allow it.
pub(super) fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= WRAP_COLUMN => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

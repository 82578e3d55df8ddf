//! How a credential is made, as far as its text shows: of the user, of a counter, of a clock; and
//! what an attacker makes in the same way.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use md5::{Digest as _, Md5};

use super::moment::now;

/// Numbers whose hashes are compared with an id.
const NUMBERS: u64 = 1 << 16;
/// Seconds of the past whose hashes are.
const SECONDS: u64 = 120;
/// How far from an id its neighbours are, in either direction.
const STEPS: i64 = 4;
/// The longest number in base64 that is counted on.
const COUNTER_BYTES_MAX: usize = 16;
/// A name that is shorter may stand in a text by chance.
const NAME_LEAST: usize = 3;

/// Somebody's name and number.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) number: String,
}

/// A way to write bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    Hex,
    Standard,
    UrlSafe,
}

impl Code {
    const ALL: [Self; 3] = [Self::Hex, Self::UrlSafe, Self::Standard];

    fn decode(self, text: &str) -> Option<Vec<u8>> {
        let text = text.trim_end_matches('=');
        match self {
            Self::Hex => {
                let is_hex =
                    text.len().is_multiple_of(2) && text.bytes().all(|b| b.is_ascii_hexdigit());
                let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).ok();
                is_hex.then(|| (0..text.len()).step_by(2).map(byte).collect())?
            }
            Self::Standard => STANDARD_NO_PAD.decode(text).ok(),
            Self::UrlSafe => URL_SAFE_NO_PAD.decode(text).ok(),
        }
    }

    /// The bytes as text that is padded if this one is.
    fn encode(self, bytes: &[u8], like: &str) -> String {
        let mut text = match self {
            Self::Hex => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            Self::Standard => STANDARD_NO_PAD.encode(bytes),
            Self::UrlSafe => URL_SAFE_NO_PAD.encode(bytes),
        };
        if self == Self::Hex && like.bytes().any(|b| b.is_ascii_uppercase()) {
            text = text.to_uppercase();
        }
        while like.ends_with('=') && !text.len().is_multiple_of(4) {
            text.push('=');
        }
        text
    }
}

fn hash(bytes: usize, text: &str) -> Vec<u8> {
    let by = |algorithm| digest::digest(algorithm, text.as_bytes()).as_ref().to_vec();
    match bytes {
        16 => Md5::digest(text.as_bytes()).to_vec(),
        20 => by(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        32 => by(&digest::SHA256),
        _ => Vec::new(),
    }
}

/// An id that is a hash of something known.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    code: Code,
    bytes: usize,
    like: String,
    /// What is hashed.
    pub(super) text: String,
}

impl Recipe {
    /// The recipe of this person's id, if it is a hash of their name, of a small number or of this
    /// moment.
    pub(super) fn of(id: &str, person: &Person) -> Option<Self> {
        Code::ALL.into_iter().find_map(|code| {
            let bytes = code.decode(id).filter(|bytes| [16, 20, 32].contains(&bytes.len()))?;
            let known = [person.name.clone(), person.number.clone()].into_iter();
            let seconds = (now().saturating_sub(SECONDS)..=now() + 1).map(|n| n.to_string());
            let mut texts = known.chain((0..NUMBERS).map(|n| n.to_string())).chain(seconds);
            let text = texts.find(|text| hash(bytes.len(), text) == bytes)?;
            Some(Self { code, bytes: bytes.len(), like: id.into(), text })
        })
    }

    /// The id that is made of this text.
    pub(super) fn made(&self, text: &str) -> String {
        self.code.encode(&hash(self.bytes, text), &self.like)
    }

    /// Its name.
    pub(super) fn name(&self) -> String {
        let algorithm = match self.bytes {
            16 => "MD5",
            20 => "SHA-1",
            _ => "SHA-256",
        };
        format!("the {algorithm} of `{}`", self.text)
    }
}

/// Ids next to this one; `all` are ids of the same server, which show its alphabet.
pub(super) fn neighbours(id: &str, all: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let run = |id: &str| {
        let start = id
            .rfind(|c: char| !c.is_ascii_alphanumeric())
            .map_or(0, |at| at + id[at..].chars().next().map_or(1, char::len_utf8));
        id[start..].to_string()
    };
    let runs: Vec<String> = all.iter().map(|id| run(id)).collect();
    let fits = |digits: &str| runs.iter().all(|run| run.chars().all(|c| digits.contains(c)));
    let alphabets = [
        "0123456789",
        "0123456789abcdef",
        "0123456789ABCDEF",
        "0123456789abcdefghijklmnopqrstuvwxyz",
    ];
    let last = run(id);
    if let Some(digits) = alphabets.into_iter().find(|digits| !last.is_empty() && fits(digits)) {
        let before = &id[..id.len() - last.len()];
        let next = (-STEPS..=STEPS).filter(|by| *by != 0);
        found.extend(
            next.filter_map(|by| stepped(&last, digits, by)).map(|s| format!("{before}{s}")),
        );
    }
    for code in [Code::UrlSafe, Code::Standard] {
        let bytes = code.decode(id).filter(|bytes| {
            (1..=COUNTER_BYTES_MAX).contains(&bytes.len()) && code.encode(bytes, id) == *id
        });
        let Some(bytes) = bytes else { continue };
        for at in [0, bytes.len() - 1] {
            for by in [1, 2, 0xff, 0xfe] {
                let mut other = bytes.clone();
                other[at] = other[at].wrapping_add(by);
                found.push(code.encode(&other, id));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// A number that is so much greater, of the same length; `None` beyond it.
fn stepped(text: &str, digits: &str, by: i64) -> Option<String> {
    let base = digits.len() as i64;
    let mut out: Vec<u8> = text.bytes().collect();
    let mut carry = by;
    for place in out.iter_mut().rev() {
        let digit = digits.bytes().position(|digit| digit == *place)? as i64 + carry;
        carry = digit.div_euclid(base);
        *place = digits.as_bytes()[digit.rem_euclid(base) as usize];
    }
    (carry == 0).then(|| String::from_utf8_lossy(&out).into_owned())
}

/// This text with B's name and number in the place of A's, as it stands and in what is encoded in
/// it: what a server takes that verifies nothing.
pub(super) fn renamed(text: &str, a: &Person, b: &Person) -> Vec<String> {
    let plain = percent_decoded(text);
    let restored = |made: String| if plain == text { made } else { percent_encoded(&made) };
    let mut found: Vec<String> = swapped(&plain, a, b).into_iter().collect();
    let separators = [".", ":", "--", "&", "|", ";", ",", "~", "!", "$", "*", " ", "\""];
    let mut parts: Vec<&str> = vec![&plain];
    for separator in separators {
        parts = parts.iter().flat_map(|part| part.split(separator)).collect();
    }
    for part in parts.into_iter().filter(|part| part.len() >= 4) {
        let made = Code::ALL.into_iter().find_map(|code| {
            let inside = String::from_utf8(code.decode(part)?).ok()?;
            Some(code.encode(swapped(&inside, a, b)?.as_bytes(), part))
        });
        found.extend(made.map(|made| plain.replacen(part, &made, 1)));
    }
    found.into_iter().map(restored).collect()
}

/// This text with B's name and number in the place of A's; `None` if it has neither.
pub(super) fn swapped(text: &str, a: &Person, b: &Person) -> Option<String> {
    let mut out = text.to_string();
    if a.name.len() >= NAME_LEAST {
        out = out.replace(&a.name, &b.name);
    }
    if out == text && !a.number.is_empty() {
        out.clear();
        let mut rest = text;
        while let Some(at) = rest.find(&a.number) {
            let (before, behind) = (&rest[..at], &rest[at + a.number.len()..]);
            let joins = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            let is_part = joins(before.chars().next_back().or(out.chars().next_back()))
                || joins(behind.chars().next());
            out.push_str(before);
            out.push_str(if is_part { &a.number } else { &b.number });
            rest = behind;
        }
        out.push_str(rest);
    }
    (out != text).then_some(out)
}

/// A text without its percent-encoding; as it is, if that leaves no text.
pub(super) fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], code) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.into())
}

pub(super) fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(number: u64) -> Person {
        Person { name: format!("user-{number}"), number: number.to_string() }
    }

    #[test]
    fn a_neighbour_is_in_the_ids_own_alphabet() {
        let near = |id: &str| neighbours(id, &[id.to_string()]);
        assert!(near("00000999").contains(&"00001000".to_string()));
        assert!(near("6924a0ff9f31c2a07b0003ff").contains(&"6924a0ff9f31c2a07b000400".to_string()));
        assert!(near("session-41").contains(&"session-42".to_string()));
        assert!(near("AAAAAQ").contains(&"AAAAAg".to_string()));
        assert!(!near("9").contains(&"10".to_string()), "of the same length");
        assert!(near("é").is_empty());
    }

    #[test]
    fn a_hash_of_what_is_known_is_recognised() {
        let md5 = "ee11cbb19052e40b07aac0ca060c23ee";
        let user = Person { name: "user".into(), number: "7".into() };
        let recipe = Recipe::of(md5, &user).unwrap();
        assert_eq!(recipe.name(), "the MD5 of `user`");
        assert_eq!(recipe.made("user"), md5);
        let sha1 = "902ba3cda1883801594b6e1b452790cc53948fda";
        assert_eq!(Recipe::of(sha1, &user).unwrap().name(), "the SHA-1 of `7`");
        assert!(Recipe::of("00000000000000000000000000000000", &user).is_none());
        assert!(Recipe::of("short", &user).is_none());
    }

    #[test]
    fn a_user_is_renamed_wherever_they_stand() {
        let (a, b) = (person(0), person(1));
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let made = renamed(&format!("{}.x.y", encode(r#"{"user":0,"v":10}"#)), &a, &b);
        assert_eq!(made, [format!("{}.x.y", encode(r#"{"user":1,"v":10}"#))]);
        assert_eq!(renamed("s%3Auser-0.abc", &a, &b), ["s%3Auser-1.abc"]);
        let hex: String = "user-0".bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(renamed(&hex, &a, &b)[0].ends_with("31"));
        assert!(renamed("4f0a10cc", &a, &b).is_empty());
    }
}

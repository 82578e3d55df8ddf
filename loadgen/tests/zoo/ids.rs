//! What session ids are made of.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use aws_lc_rs::rand::fill;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use md5::{Digest as _, Md5};

use super::Flaw;

/// Random bytes.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes).unwrap();
    bytes
}

pub(super) fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn md5(text: &str) -> String {
    hex(Md5::digest(text.as_bytes()))
}

fn sha1(text: &str) -> String {
    hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

fn micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
}

fn millis() -> u64 {
    micros() / 1000
}

/// A new id for this user; `n` counts them.
pub(super) fn new(flaw: Flaw, user: u64, n: u64) -> String {
    match flaw {
        Flaw::Sequential => n.to_string(),
        Flaw::Padded => format!("{n:08}"),
        Flaw::Timestamp => micros().to_string(),
        Flaw::Clock => format!("{:08x}9f31c2a07b{n:06x}", millis() / 1000),
        Flaw::UserName => format!("user-{user}"),
        Flaw::Base64User => STANDARD_NO_PAD.encode(format!("user-{user}")),
        Flaw::Base64Json => STANDARD_NO_PAD.encode(format!("{{\"user\":{user},\"v\":1}}")),
        Flaw::Md5User => md5(&format!("user-{user}")),
        Flaw::Md5Counter => md5(&n.to_string()),
        Flaw::Sha1Number => sha1(&user.to_string()),
        Flaw::SixteenBits => hex(random::<2>()),
        Flaw::MathRandom => {
            let mut bits = u64::from_le_bytes(random()) >> 12;
            let mut text = String::new();
            for _ in 0..10 {
                text.push(char::from(
                    b"0123456789abcdefghijklmnopqrstuvwxyz"[(bits % 36) as usize],
                ));
                bits /= 36;
            }
            text
        }
        Flaw::OrderedIds => uuid_7(),
        _ => hex(random::<16>()),
    }
}

fn uuid_7() -> String {
    let mut bytes: [u8; 16] = random();
    bytes[..6].copy_from_slice(&millis().to_be_bytes()[2..]);
    bytes[6] = 0x70 | bytes[6] & 0x0f;
    bytes[8] = 0x80 | bytes[8] & 0x3f;
    let text = hex(bytes);
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}

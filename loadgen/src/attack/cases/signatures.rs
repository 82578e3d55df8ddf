//! Attacks on the signatures of one algorithm: ECDSA and RSA.

use super::row::{Expected, Row, Work};
use super::shots::{Shots, listed};
use super::tokens::{raw_signature, signed, text};
use crate::attack::attacker::Attacker;
use crate::attack::ecdsa as shapes;
use crate::attack::text::b64;

pub(super) fn rows() -> Vec<Row> {
    let row =
        |id, what, shots| Row { id, what, expected: Expected::Refused, work: Work::Shots(shots) };
    vec![
        row("26a", "an ECDSA signature in DER", |a| ecdsa(a, |raw| vec![shapes::der(raw)])),
        row("26b", "an ECDSA signature of 63 and of 65 bytes", |a| {
            ecdsa(a, |raw| vec![raw[..63].to_vec(), [&[0], raw].concat(), [raw, &[0]].concat()])
        }),
        row("26c", "an ECDSA signature with r or s of 0, 1, n-1 or n", |a| ecdsa(a, shapes::edges)),
        row("27a", "an RSA signature of 0, 1, n-1, n, or of another length", rsa_edges),
        row("27b", "an RSA signature of another padding or digest", rsa_paddings),
    ]
}

fn ecdsa(attacker: &Attacker<'_>, made: fn(&[u8]) -> Vec<Vec<u8>>) -> Shots {
    let token = signed(attacker)?;
    let (message, raw) = raw_signature(token)?;
    if token.algorithm() != "ES256" || raw.len() != 64 {
        return Err("its signature is not one of ES256".into());
    }
    listed(made(&raw).into_iter().map(|raw| text(format!("{message}.{}", b64(raw)))).collect())
}

/// The server's own key and the token's signature, where that is one of RSA.
fn rsa<'a>(attacker: &'a Attacker<'_>) -> Result<(&'a str, Vec<u8>), String> {
    let token = signed(attacker)?;
    if token.algorithm() != "RS256" {
        return Err("its signature is not one of RSA".into());
    }
    raw_signature(token)
}

fn rsa_edges(attacker: &Attacker<'_>) -> Shots {
    let (message, raw) = rsa(attacker)?;
    let key = attacker.key.ok_or("needs the server's key")?;
    let modulus = key.modulus().ok_or("needs the server's key")?;
    let (zero, mut one, mut below) = (vec![0; raw.len()], vec![0; raw.len()], modulus.clone());
    one[raw.len() - 1] = 1;
    // A modulus is odd, so there is no carry.
    below[raw.len() - 1] -= 1;
    let lengths = [raw[1..].to_vec(), [&[0], &raw[..]].concat(), [&raw[..], &[0]].concat()];
    let all = [zero, one, below, modulus].into_iter().chain(lengths);
    listed(all.map(|raw| text(format!("{message}.{}", b64(raw)))).collect())
}

/// What the server's own key signs, but not as the header says.
fn rsa_paddings(attacker: &Attacker<'_>) -> Shots {
    let (message, _) = rsa(attacker)?;
    let key = attacker.key.ok_or("needs the server's key")?;
    let shots = ["PS256", "RS384", "RS512"]
        .into_iter()
        .filter_map(|other| key.sign_as(other, message.as_bytes()))
        .map(|raw| text(format!("{message}.{}", b64(raw))));
    listed(shots.collect())
}

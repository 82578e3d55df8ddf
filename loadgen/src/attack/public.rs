//! The texts of a public key that a server may take for a secret: PEM, DER and JWK, from whichever
//! of them its owner gives.

use serde_json::Value;

use super::key::{pem, pem_body};
use super::text::unb64;

/// Texts that are tried; a key set may hold many keys.
const FORMS_MAX: usize = 32;
/// The algorithm of an RSA key in DER: `rsaEncryption`, and no parameters.
const RSA: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
/// That of one on P-256: `ecPublicKey`, `prime256v1`.
const P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07,
];
/// That of Ed25519.
const ED25519: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

/// The forms of a public key in PEM, or of the keys in a JWK or a key set; the given text first.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn forms(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut forms = with_line_ends(text.trim_end());
    if text.contains("-----BEGIN ") {
        let der = pem_body(text).ok_or("its PEM cannot be read")?;
        if text.contains("BEGIN RSA PUBLIC KEY") {
            forms.extend(of_spki(&spki(RSA, &der)));
        }
        forms.push(der);
    } else {
        let json: Value =
            serde_json::from_str(text).map_err(|_| "it is neither PEM nor a JWK".to_string())?;
        let keys = json["keys"].as_array().cloned().unwrap_or_else(|| vec![json.clone()]);
        for key in &keys {
            let Some(der) = of_jwk(key) else { continue };
            forms.extend(of_spki(&der));
            forms.push(key.to_string().into_bytes());
            forms.extend(unb64(key["n"].as_str().unwrap_or_default()).filter(|n| !n.is_empty()));
        }
    }
    forms.dedup();
    forms.truncate(FORMS_MAX);
    Ok(forms)
}

/// A text without a line break at its end, with one, and with two bytes for each.
fn with_line_ends(text: &str) -> Vec<Vec<u8>> {
    let unix = text.replace("\r\n", "\n");
    let windows = unix.replace('\n', "\r\n");
    [unix.clone(), unix + "\n", windows.clone(), windows + "\r\n"].map(String::into_bytes).into()
}

fn of_spki(der: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = with_line_ends(&pem("PUBLIC KEY", der));
    forms.push(der.to_vec());
    forms
}

/// The DER of a key in a JWK.
fn of_jwk(key: &Value) -> Option<Vec<u8>> {
    let part = |name: &str| unb64(key[name].as_str()?);
    match (key["kty"].as_str()?, key["crv"].as_str()) {
        ("RSA", _) => {
            let both = [integer(&part("n")?), integer(&part("e")?)].concat();
            Some(spki(RSA, &element(0x30, &both)))
        }
        ("EC", Some("P-256")) => Some(spki(P256, &[vec![4], part("x")?, part("y")?].concat())),
        ("OKP", Some("Ed25519")) => Some(spki(ED25519, &part("x")?)),
        _ => None,
    }
}

/// A `SubjectPublicKeyInfo` (RFC 5280, 4.1).
fn spki(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let bits = element(0x03, &[&[0], key].concat());
    element(0x30, &[algorithm, &bits].concat())
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let bytes = &bytes[start..];
    let is_negative = bytes.first().is_none_or(|byte| byte & 0x80 != 0);
    let sign: &[u8] = if is_negative { &[0] } else { &[] };
    element(0x02, &[sign, bytes].concat())
}

/// An element of DER.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    if content.len() < 0x80 {
        out.push(content.len() as u8);
    } else {
        let length = content.len().to_be_bytes();
        let start = length.iter().position(|byte| *byte != 0).unwrap_or(0);
        out.push(0x80 | (length.len() - start) as u8);
        out.extend_from_slice(&length[start..]);
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::super::key::Key;
    use super::*;

    #[test]
    fn a_jwk_leads_to_the_same_der_as_the_key() {
        for key in [Key::ecdsa().unwrap(), Key::ed25519().unwrap()] {
            let own = key.public_forms();
            let found = forms(&format!(r#"{{"keys":[{}]}}"#, key.jwk())).unwrap();
            for form in &own[..3] {
                assert!(found.contains(form), "{}", String::from_utf8_lossy(form));
            }
            let pem = String::from_utf8(own[1].clone()).unwrap();
            let found = forms(&pem).unwrap();
            assert!(found.contains(&own[0]) && found.contains(&own[2]));
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(forms("hello").is_err());
        assert!(forms("-----BEGIN PUBLIC KEY-----\n???\n-----END PUBLIC KEY-----").is_err());
        assert_eq!(element(0x04, &[7; 200])[..3], [0x04, 0x81, 200]);
        assert_eq!(integer(&[0, 0x80]), [0x02, 2, 0, 0x80]);
    }
}

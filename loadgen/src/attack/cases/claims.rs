//! Tokens under the right key with a header or claims that the server never issues: one row of data
//! per edit.

use super::row::{Expected, Row, Work};
use crate::attack::edit::Edit::{
    self, Add, All, Before, Behind, Bytes, Deep, Long, None as Same, Set, Without,
};

/// Changes of a header: id, what, the changes.
const HEADERS: &[(&str, &str, &[Edit])] = &[
    ("12a", "`kid` of a key that there is not", &[Set("kid", r#""AAAAAAAAAAA""#)]),
    ("12b", "`kid` empty", &[Set("kid", r#""""#)]),
    (
        "12c",
        "`kid` no string",
        &[
            Set("kid", "7"),
            Set("kid", "null"),
            Set("kid", "[]"),
            Set("kid", "{}"),
            Set("kid", r#"["{kid}"]"#),
        ],
    ),
    ("12d", "`kid` missing", &[Without("kid")]),
    ("12e", "`kid` of 10 kB", &[Long("kid", 10_000)]),
    ("12f", "`kid` with a NUL", &[Set("kid", r#""{kid}\u0000""#), Set("kid", r#""\u0000""#)]),
    ("12g", "`kid` with a space behind", &[Set("kid", r#""{kid} ""#)]),
    ("13a", "`crit` names `exp`", &[Add(r#""crit":["exp"]"#)]),
    ("13b", "`crit` names `b64`, which is false", &[Add(r#""crit":["b64"],"b64":false"#)]),
    ("13c", "`crit` empty", &[Add(r#""crit":[]"#)]),
    ("13d", "`crit` no array", &[Add(r#""crit":"exp""#), Add(r#""crit":null"#)]),
    ("13e", "`crit` names what is not there", &[Add(r#""crit":["absent"]"#)]),
    ("14a", "`typ` of a refresh token", &[Set("typ", r#""rt+jwt""#)]),
    ("14b", "`typ` of an id token", &[Set("typ", r#""JWT""#), Set("typ", r#""id+jwt""#)]),
    ("14c", "`typ` missing, or no string", &[Without("typ"), Set("typ", "null"), Set("typ", "1")]),
    ("14d", "`cty` of a nested token", &[Add(r#""cty":"JWT""#)]),
    ("21a", "`alg` twice", &[Add(r#""alg":"none""#), Add(r#""alg":"{alg}""#)]),
    ("21b", "`alg` twice, once in escapes", &[Add(r#""\u0061lg":"none""#)]),
    ("21c", "`kid` twice", &[Add(r#""kid":"{kid}""#)]),
    ("22a", "a header with a byte that is no UTF-8", &[Bytes("typ")]),
    ("22b", "a header behind a byte order mark", &[Before("\u{feff}")]),
    ("22c", "a header with a lone surrogate", &[Set("typ", r#""\ud800""#)]),
    ("22d", "a header with NaN", &[Set("typ", "NaN")]),
    ("22e", "a header nested 10,000 deep", &[Deep("typ")]),
    ("22f", "a header with something behind it", &[Behind("{}"), Behind("x")]),
    ("22g", "a header that is no object", &[All("[]"), All("null"), All(""), All("x"), All("{}")]),
];

/// Changes of claims.
const CLAIMS: &[(&str, &str, &[Edit])] = &[
    ("15a", "`exp` an hour ago", &[Set("exp", "{now-3600}")]),
    ("15b", "`exp` four seconds ago, with two of leeway", &[Set("exp", "{now-4}")]),
    ("15c", "`exp` missing", &[Without("exp")]),
    ("15d", "`exp` a string", &[Set("exp", r#""9999999999""#)]),
    ("15e", "`exp` beyond every number", &[Set("exp", "1e400")]),
    ("15f", "`exp` negative", &[Set("exp", "-1")]),
    ("15g", "`exp` where doubles lose count", &[Set("exp", "9007199254740993")]),
    ("15h", "`exp` null", &[Set("exp", "null")]),
    ("15i", "`exp` an array", &[Set("exp", "[9999999999]")]),
    ("15j", "`exp` ten days on: a longer life than is given", &[Set("exp", "{now+864000}")]),
    ("16a", "`nbf` in an hour", &[Set("nbf", "{now+3600}")]),
    ("16b", "`nbf` a string", &[Set("nbf", r#""0""#)]),
    ("17a", "`iat` in an hour", &[Set("iat", "{now+3600}")]),
    ("17b", "`iat` missing", &[Without("iat")]),
    ("17c", "`iat` a string", &[Set("iat", r#""0""#)]),
    ("18a", "`iss` somebody else", &[Set("iss", r#""evil""#), Set("iss", r#""{iss}/""#)]),
    ("18b", "`iss` missing", &[Without("iss")]),
    ("18c", "`iss` a number, or null", &[Set("iss", "1"), Set("iss", "null")]),
    ("18d", "`iss` an array with the right one", &[Set("iss", r#"["{iss}"]"#)]),
    ("19a", "`aud` somebody else", &[Set("aud", r#""evil""#)]),
    ("19b", "`aud` missing", &[Without("aud")]),
    ("19c", "`aud` a number, or null", &[Set("aud", "1"), Set("aud", "null")]),
    ("19d", "`aud` an empty array", &[Set("aud", "[]")]),
    ("19e", "`aud` an array with the right one", &[Set("aud", r#"["{aud}"]"#)]),
    ("19f", "`aud` with a slash behind", &[Set("aud", r#""{aud}/""#)]),
    ("19g", "`aud` in another case", &[Set("aud", r#""AUTHBENCH-API""#)]),
    ("20a", "`sub` missing", &[Without("sub")]),
    ("20b", "`sub` empty", &[Set("sub", r#""""#)]),
    ("20c", "`sub` null, or a number", &[Set("sub", "null"), Set("sub", "0"), Set("sub", "1")]),
    ("20d", "`sub` of 8 kB", &[Long("sub", 8_000)]),
    ("20e", "`sub` with a NUL", &[Set("sub", r#""{sub}\u0000""#)]),
    ("20f", "`sub` of a user there is not", &[Set("sub", r#""999999999999""#)]),
    ("20g", "`sub` in another form", &[Set("sub", r#""0{sub}""#), Set("sub", r#"" {sub}""#)]),
    ("21d", "`exp` twice", &[Add(r#""exp":9999999999"#), Add(r#""\u0065xp":9999999999"#)]),
    ("21e", "`sub` twice", &[Add(r#""sub":"1""#), Add(r#""sub":"{sub}""#)]),
    ("22h", "claims with a byte that is no UTF-8", &[Bytes("sub")]),
    ("22i", "claims behind a byte order mark", &[Before("\u{feff}")]),
    ("22j", "claims with a lone surrogate", &[Set("sub", r#""\ud800""#)]),
    ("22k", "claims with NaN", &[Set("exp", "NaN")]),
    ("22l", "claims nested 10,000 deep", &[Deep("cart")]),
    ("22m", "claims with something behind them", &[Behind("{}"), Behind("x")]),
    ("22n", "claims that are no object", &[All("[]"), All("null"), All(""), All("x"), All("{}")]),
    ("22o", "a claim that the server never makes", &[Add(r#""admin":true"#)]),
];

/// What every server must refuse, if its tokens have the claim at all. A stranger's server may be
/// laxer about the others.
const ALWAYS_REFUSED: &[&str] = &["15a", "16a", "18a", "19a"];

/// The signature is good, so that only the check that a row names can refuse the token; row `0b`
/// shows that such a token is accepted unchanged. These rows need the server's key: an arm that
/// authbench has started, or a target file with a `signing_key`.
pub(super) fn rows() -> Vec<Row> {
    let expected = |id: &str| {
        let always = ALWAYS_REFUSED.contains(&id);
        if always { Expected::Refused } else { Expected::RefusedHere }
    };
    let control = Row {
        id: "0b",
        what: "the token of A, made anew under the server's key",
        expected: Expected::Allowed,
        work: Work::Claims(&[Same]),
    };
    let too_long = Row {
        id: "20h",
        what: "`sub` of a megabyte",
        expected: Expected::Status(&[401, 431]),
        work: Work::Claims(&[Long("sub", 1 << 20)]),
    };
    let header = |&(id, what, edits): &(&'static str, &'static str, &'static [Edit])| Row {
        id,
        what,
        expected: expected(id),
        work: Work::Header(edits),
    };
    let claims = |&(id, what, edits): &(&'static str, &'static str, &'static [Edit])| Row {
        id,
        what,
        expected: expected(id),
        work: Work::Claims(edits),
    };
    std::iter::once(control)
        .chain(HEADERS.iter().map(header))
        .chain(CLAIMS.iter().map(claims))
        .chain([too_long])
        .collect()
}

//! What the rows of the suite are about: the weakness behind a row, what to do about it, and where
//! that stands.

/// A document that says what a sound server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An RFC and a section of it.
    Rfc(u16, &'static str),
    /// A page with this name and address.
    Page(&'static str, &'static str),
}

impl Source {
    /// Its name.
    pub fn name(self) -> String {
        match self {
            Self::Rfc(number, section) => format!("RFC {number}, {section}"),
            Self::Page(name, _) => name.into(),
        }
    }

    /// Its address.
    pub fn url(self) -> String {
        match self {
            Self::Rfc(number, section) => {
                let kind =
                    if section.starts_with(char::is_alphabetic) { "appendix" } else { "section" };
                format!("https://www.rfc-editor.org/rfc/rfc{number}#{kind}-{section}")
            }
            Self::Page(_, url) => url.into(),
        }
    }
}

/// A weakness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weakness {
    /// Its name, a few words.
    pub name: &'static str,
    /// Its number in the Common Weakness Enumeration.
    pub cwe: u16,
    /// What to do about it.
    pub remedy: &'static str,
    /// Where that stands.
    pub source: Source,
}

impl Weakness {
    /// The address of its entry in the Common Weakness Enumeration.
    pub fn url(&self) -> String {
        format!("https://cwe.mitre.org/data/definitions/{}.html", self.cwe)
    }
}

const SESSIONS: Source = Source::Page(
    "OWASP Session Management Cheat Sheet",
    "https://cheatsheetseries.owasp.org/cheatsheets/Session_Management_Cheat_Sheet.html",
);
const ACCESS: Source = Source::Page(
    "OWASP Authorization Cheat Sheet",
    "https://cheatsheetseries.owasp.org/cheatsheets/Authorization_Cheat_Sheet.html",
);
const CSRF: Source = Source::Page(
    "OWASP Cross-Site Request Forgery Prevention Cheat Sheet",
    "https://cheatsheetseries.owasp.org/cheatsheets/\
     Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html",
);
const LOGINS: Source = Source::Page(
    "OWASP Authentication Cheat Sheet",
    "https://cheatsheetseries.owasp.org/cheatsheets/Authentication_Cheat_Sheet.html",
);
const PASSWORDS: Source = Source::Page(
    "NIST SP 800-63B-4, 3.1.1.2",
    "https://pages.nist.gov/800-63-4/sp800-63b.html#passwordver",
);
const COOKIES: Source = Source::Page(
    "draft-ietf-httpbis-rfc6265bis, 4.1.2",
    "https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-4.1.2",
);
const CORS: Source = Source::Page(
    "Fetch, CORS protocol and credentials",
    "https://fetch.spec.whatwg.org/#cors-protocol-and-credentials",
);
const PASETO: Source =
    Source::Page("PASETO specification", "https://github.com/paseto-standard/paseto-spec");

/// A line of [`TABLE`]: the number of an attack and the letters it is about (all, if none), and
/// name, CWE, remedy and source.
type Line = (u32, &'static str, &'static str, u16, &'static str, Source);

use Source::Rfc;

#[rustfmt::skip]
const TABLE: &[Line] = &[
    (0, "", "the credential itself", 200, "keep what others must not read out of it", SESSIONS),
    (1, "", "missing authentication", 306, "refuse requests without a credential", ACCESS),
    (2, "", "lax parsing of the header", 1286, "parse `Authorization` strictly", Rfc(6750, "2.1")),
    (3, "", "two credentials", 694, "refuse requests with two of them", Rfc(6750, "2")),
    (4, "", "unsigned token", 347, "fix the algorithm in the verifier, not by the header",
     Rfc(8725, "3.1")),
    (5, "", "signature not verified", 347, "verify the whole signature before reading claims",
     Rfc(8725, "3.3")),
    (6, "", "weak secret", 1391, "use a random secret of 32 bytes or more", Rfc(8725, "3.5")),
    (7, "", "key confusion", 347, "bind each key to one algorithm", Rfc(8725, "3.1")),
    (8, "", "other algorithm", 347, "accept one algorithm only", Rfc(8725, "3.1")),
    (9, "", "key in the token", 347, "never take a key from a token", Rfc(8725, "3.10")),
    (10, "", "key from an address", 918, "never fetch an address that a token names",
     Rfc(8725, "3.10")),
    (11, "", "certificate in the token", 347, "never take a key from a token", Rfc(8725, "3.10")),
    (12, "", "key name as an input", 22, "look `kid` up in a fixed table", Rfc(8725, "3.10")),
    (13, "", "critical headers ignored", 347, "refuse `crit` that is not understood",
     Rfc(7515, "4.1.11")),
    (14, "", "token of another type", 843, "check `typ`", Rfc(8725, "3.11")),
    (15, "", "expiry", 613, "give tokens a short `exp` and check it", Rfc(7519, "4.1.4")),
    (16, "", "token before its time", 613, "check `nbf`", Rfc(7519, "4.1.5")),
    (17, "", "token without its time", 613, "check `iat`", Rfc(7519, "4.1.6")),
    (18, "", "issuer not checked", 346, "compare `iss` with the one issuer", Rfc(8725, "3.8")),
    (19, "", "audience not checked", 346, "compare `aud` with this service", Rfc(8725, "3.9")),
    (20, "", "subject not checked", 287, "look the subject up, and refuse others",
     Rfc(8725, "3.8")),
    (21, "", "duplicate members", 436, "refuse JSON with a name twice", Rfc(8725, "2.6")),
    (22, "", "malformed JSON", 20, "parse JSON strictly, and limit its depth", Rfc(7519, "7.2")),
    (23, "", "lax base64", 180, "decode base64url strictly", Rfc(7515, "2")),
    (24, "", "other form of token", 20, "count the parts of a token", Rfc(7515, "7.1")),
    (25, "", "revocation by text", 180, "revoke by `jti`, not by the token's text", SESSIONS),
    (26, "", "malformed ECDSA signature", 347, "use a library that checks r and s",
     Rfc(7518, "3.4")),
    (27, "", "malformed RSA signature", 347, "use a library that checks the padding",
     Rfc(8017, "8.2.2")),
    (28, "", "logout known to one server", 613, "share revocations between servers", SESSIONS),
    (29, "", "refresh token used twice", 294, "end its family when one comes twice",
     Rfc(9700, "4.14.2")),
    (30, "", "token of another kind", 843, "tell access from refresh tokens", Rfc(8725, "3.12")),
    (31, "", "store that fails", 636, "fail closed with a 503", SESSIONS),
    (32, "", "malformed JWE", 347, "check `alg`, `enc`, nonce and tag", Rfc(7516, "5.2")),
    (33, "", "encrypted and not signed", 345, "accept no key from outside", Rfc(8725, "3.3")),
    (34, "", "other PASETO", 347, "accept one version and purpose", PASETO),
    (35, "", "session fixation", 384, "accept only ids that the server made", SESSIONS),
    (36, "", "malformed id", 20, "check the form of an id first", SESSIONS),
    (37, "", "session fixation", 384, "make a new id at every login", SESSIONS),
    (38, "", "logout", 613, "end the session on the server", SESSIONS),
    (39, "c", "dead cookie kept", 613, "remove a refused cookie", COOKIES),
    (39, "", "expiry", 613, "end sessions that are idle or old", SESSIONS),
    (41, "", "ambiguous cookies", 694, "refuse two cookies of one name", COOKIES),
    (42, "a", "cookie without HttpOnly", 1004, "set HttpOnly", COOKIES),
    (42, "b", "cookie without SameSite", 1275, "set SameSite=Lax or Strict", COOKIES),
    (42, "c", "cookie without Secure", 614, "set Secure", COOKIES),
    (42, "", "cookie attributes", 1275, "name it __Host-..., with Path=/ and no Domain", COOKIES),
    (43, "", "changed credential", 354, "compare the whole credential", SESSIONS),
    (45, "", "cross-site request forgery", 352, "check Origin or Sec-Fetch-Site", CSRF),
    (46, "", "headers of proxies", 348, "believe them from the proxy only", ACCESS),
    (47, "", "malformed request", 444, "refuse what two servers may read differently",
     Rfc(9112, "11.2")),
    (48, "a", "names told", 204, "answer alike for unknown names", LOGINS),
    (48, "e", "password compared in part", 305, "hash and compare the whole password", PASSWORDS),
    (48, "f", "password compared in part", 305, "hash and compare the whole password", PASSWORDS),
    (48, "g", "password in any case", 305, "compare passwords as they are", PASSWORDS),
    (48, "h", "password trimmed", 305, "compare passwords as they are", PASSWORDS),
    (48, "", "wrong password", 287, "accept only a string, and only the right one", LOGINS),
    (49, "", "guessed credential", 330, "use 128 random bits", SESSIONS),
    (50, "a", "credential in the query", 598, "look for credentials in one place",
     Rfc(6750, "5.3")),
    (50, "c", "credential in an address", 598, "put no credential into an address",
     Rfc(6750, "5.3")),
    (50, "", "credential in another place", 287, "look for credentials in one place", SESSIONS),
    (51, "a", "ids with little entropy", 331, "use 128 bits of a CSPRNG for an id", SESSIONS),
    (51, "", "predictable ids", 340, "use 128 bits of a CSPRNG for an id", SESSIONS),
    (52, "", "user named by the client", 639, "take the user from the credential only", ACCESS),
    (53, "", "answers for other origins", 942, "list the origins that may read answers", CORS),
    (54, "", "private answer in caches", 524, "send `Cache-Control: no-store`",
     Rfc(9111, "5.2.2.5")),
    (58, "", "failures by chance", 755, "find out why it answers 5xx", Rfc(9110, "15.6")),
    (57, "", "known signing key", 1394, "sign with a random key that is no default", SESSIONS),
];

/// The weakness that a row is about; `None` for a row that the suite does not have.
pub fn weakness(id: &str) -> Option<Weakness> {
    let digits = id.bytes().take_while(u8::is_ascii_digit).count();
    let (number, letter) = (id[..digits].parse::<u32>().ok()?, &id[digits..]);
    let fits = |line: &&Line| line.0 == number && (line.1.is_empty() || line.1 == letter);
    let (_, _, name, cwe, remedy, source) = *TABLE.iter().find(fits)?;
    Some(Weakness { name, cwe, remedy, source })
}

#[cfg(test)]
mod tests {
    use super::super::cases::suite;
    use super::*;

    #[test]
    fn every_row_has_a_weakness_and_every_weakness_a_row() {
        let rows = suite();
        for row in &rows {
            let found = weakness(row.id).unwrap_or_else(|| panic!("{}", row.id));
            assert!(found.name.len() <= 32 && found.remedy.len() <= 70, "{}", row.id);
        }
        for (number, letter, ..) in TABLE {
            let found = rows.iter().any(|row| {
                row.id.strip_prefix(&number.to_string()).is_some_and(|rest| {
                    rest.starts_with(char::is_alphabetic) && (letter.is_empty() || rest == *letter)
                })
            });
            assert!(found, "{number}{letter}");
        }
        assert_eq!(weakness("99a"), None);
    }

    #[test]
    fn an_address_leads_to_the_section() {
        let source = weakness("4a").unwrap().source;
        assert_eq!(source.name(), "RFC 8725, 3.1");
        assert_eq!(source.url(), "https://www.rfc-editor.org/rfc/rfc8725#section-3.1");
        let url = weakness("4a").unwrap().url();
        assert_eq!(url, "https://cwe.mitre.org/data/definitions/347.html");
    }
}

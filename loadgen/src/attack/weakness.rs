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

/// How much an attacker gains by a weakness, without looking at one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Looks untidy, or helps another weakness.
    Low,
    /// Reaches something of one user who has been led into a trap.
    Medium,
    /// Takes over an account, given luck or something of its owner.
    High,
    /// Takes over accounts at will.
    Critical,
}

use Severity::{Critical, High, Low, Medium};

impl Severity {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Low => "low",
            Medium => "medium",
            High => "high",
            Critical => "critical",
        }
    }

    /// The metrics of CVSS 3.1 that stand for it.
    pub const fn vector(self) -> &'static str {
        match self {
            Low => "CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N",
            Medium => "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:L/I:L/A:N",
            High => "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:N",
            Critical => "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:N",
        }
    }

    /// The base score of its vector.
    pub const fn score(self) -> &'static str {
        match self {
            Low => "3.1",
            Medium => "5.4",
            High => "7.4",
            Critical => "9.1",
        }
    }
}

/// A weakness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weakness {
    /// How much an attacker gains by it.
    pub severity: Severity,
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
/// severity, name, CWE, remedy and source.
type Line = (u32, &'static str, Severity, &'static str, u16, &'static str, Source);

use Source::Rfc;

#[rustfmt::skip]
const TABLE: &[Line] = &[
    (0, "", Low, "the credential itself", 200,
     "keep what others must not read out of it", SESSIONS),
    (1, "", Critical, "missing authentication", 306,
     "refuse requests without a credential", ACCESS),
    (2, "", Low, "lax parsing of the header", 1286,
     "parse `Authorization` strictly", Rfc(6750, "2.1")),
    (3, "", Medium, "two credentials", 694, "refuse requests with two of them", Rfc(6750, "2")),
    (4, "", Critical, "unsigned token", 347, "fix the algorithm in the verifier, not by the header",
     Rfc(8725, "3.1")),
    (5, "", Critical, "signature not verified", 347,
     "verify the whole signature before reading claims",
     Rfc(8725, "3.3")),
    (6, "", Critical, "weak secret", 1391,
     "use a random secret of 32 bytes or more", Rfc(8725, "3.5")),
    (7, "", Critical, "key confusion", 347, "bind each key to one algorithm", Rfc(8725, "3.1")),
    (8, "", Medium, "other algorithm", 347, "accept one algorithm only", Rfc(8725, "3.1")),
    (9, "", Critical, "key in the token", 347, "never take a key from a token", Rfc(8725, "3.10")),
    (10, "", Critical, "key from an address", 918, "never fetch an address that a token names",
     Rfc(8725, "3.10")),
    (11, "", Critical, "certificate in the token", 347,
     "never take a key from a token", Rfc(8725, "3.10")),
    (12, "", Critical, "key name as an input", 22,
     "look `kid` up in a fixed table", Rfc(8725, "3.10")),
    (13, "", Medium, "critical headers ignored", 347, "refuse `crit` that is not understood",
     Rfc(7515, "4.1.11")),
    (14, "", Medium, "token of another type", 843, "check `typ`", Rfc(8725, "3.11")),
    (15, "", High, "expiry", 613, "give tokens a short `exp` and check it", Rfc(7519, "4.1.4")),
    (16, "", Low, "token before its time", 613, "check `nbf`", Rfc(7519, "4.1.5")),
    (17, "", Low, "token without its time", 613, "check `iat`", Rfc(7519, "4.1.6")),
    (18, "", High, "issuer not checked", 346,
     "compare `iss` with the one issuer", Rfc(8725, "3.8")),
    (19, "", High, "audience not checked", 346,
     "compare `aud` with this service", Rfc(8725, "3.9")),
    (20, "", Medium, "subject not checked", 287, "look the subject up, and refuse others",
     Rfc(8725, "3.8")),
    (21, "", Medium, "duplicate members", 436, "refuse JSON with a name twice", Rfc(8725, "2.6")),
    (22, "", Low, "malformed JSON", 20,
     "parse JSON strictly, and limit its depth", Rfc(7519, "7.2")),
    (23, "", Low, "lax base64", 180, "decode base64url strictly", Rfc(7515, "2")),
    (24, "", High, "other form of token", 20, "count the parts of a token", Rfc(7515, "7.1")),
    (25, "", High, "revocation by text", 180, "revoke by `jti`, not by the token's text", SESSIONS),
    (26, "", Critical, "malformed ECDSA signature", 347, "use a library that checks r and s",
     Rfc(7518, "3.4")),
    (27, "", Critical, "malformed RSA signature", 347, "use a library that checks the padding",
     Rfc(8017, "8.2.2")),
    (28, "", High, "logout known to one server", 613,
     "share revocations between servers", SESSIONS),
    (29, "", High, "refresh token used twice", 294, "end its family when one comes twice",
     Rfc(9700, "4.14.2")),
    (30, "", Medium, "token of another kind", 843,
     "tell access from refresh tokens", Rfc(8725, "3.12")),
    (31, "", High, "store that fails", 636, "fail closed with a 503", SESSIONS),
    (32, "", High, "malformed JWE", 347, "check `alg`, `enc`, nonce and tag", Rfc(7516, "5.2")),
    (33, "", Critical, "encrypted and not signed", 345,
     "accept no key from outside", Rfc(8725, "3.3")),
    (34, "", High, "other PASETO", 347, "accept one version and purpose", PASETO),
    (35, "", High, "session fixation", 384, "accept only ids that the server made", SESSIONS),
    (36, "", Medium, "malformed id", 20, "check the form of an id first", SESSIONS),
    (37, "", High, "session fixation", 384, "make a new id at every login", SESSIONS),
    (38, "", High, "logout", 613, "end the session on the server", SESSIONS),
    (39, "c", Low, "dead cookie kept", 613, "remove a refused cookie", COOKIES),
    (39, "", High, "expiry", 613, "end sessions that are idle or old", SESSIONS),
    (41, "", Medium, "ambiguous cookies", 694, "refuse two cookies of one name", COOKIES),
    (42, "a", Medium, "cookie without HttpOnly", 1004, "set HttpOnly", COOKIES),
    (42, "b", Medium, "cookie without SameSite", 1275, "set SameSite=Lax or Strict", COOKIES),
    (42, "c", Medium, "cookie without Secure", 614, "set Secure", COOKIES),
    (42, "", Low, "cookie attributes", 1275,
     "name it __Host-..., with Path=/ and no Domain", COOKIES),
    (43, "", High, "changed credential", 354, "compare the whole credential", SESSIONS),
    (45, "", High, "cross-site request forgery", 352, "check Origin or Sec-Fetch-Site", CSRF),
    (46, "", Critical, "headers of proxies", 348, "believe them from the proxy only", ACCESS),
    (47, "", Medium, "malformed request", 444, "refuse what two servers may read differently",
     Rfc(9112, "11.2")),
    (48, "a", Medium, "names told", 204, "answer alike for unknown names", LOGINS),
    (48, "e", High, "password compared in part", 305,
     "hash and compare the whole password", PASSWORDS),
    (48, "f", High, "password compared in part", 305,
     "hash and compare the whole password", PASSWORDS),
    (48, "g", Medium, "password in any case", 305, "compare passwords as they are", PASSWORDS),
    (48, "h", Low, "password trimmed", 305, "compare passwords as they are", PASSWORDS),
    (48, "", Critical, "wrong password", 287,
     "accept only a string, and only the right one", LOGINS),
    (49, "", Critical, "guessed credential", 330, "use 128 random bits", SESSIONS),
    (50, "a", Low, "credential in the query", 598, "look for credentials in one place",
     Rfc(6750, "5.3")),
    (50, "c", Low, "credential in an address", 598, "put no credential into an address",
     Rfc(6750, "5.3")),
    (50, "", Medium, "credential in another place", 287,
     "look for credentials in one place", SESSIONS),
    (51, "a", High, "ids with little entropy", 331, "use 128 bits of a CSPRNG for an id", SESSIONS),
    (51, "", Critical, "predictable ids", 340, "use 128 bits of a CSPRNG for an id", SESSIONS),
    (52, "", Critical, "user named by the client", 639,
     "take the user from the credential only", ACCESS),
    (53, "", High, "answers for other origins", 942,
     "list the origins that may read answers", CORS),
    (54, "", Medium, "private answer in caches", 524, "send `Cache-Control: no-store`",
     Rfc(9111, "5.2.2.5")),
    (58, "", Low, "failures by chance", 755, "find out why it answers 5xx", Rfc(9110, "15.6")),
    (57, "", Critical, "known signing key", 1394,
     "sign with a random key that is no default", SESSIONS),
];

/// The weakness that a row is about; `None` for a row that the suite does not have.
pub fn weakness(id: &str) -> Option<Weakness> {
    let digits = id.bytes().take_while(u8::is_ascii_digit).count();
    let (number, letter) = (id[..digits].parse::<u32>().ok()?, &id[digits..]);
    let fits = |line: &&Line| line.0 == number && (line.1.is_empty() || line.1 == letter);
    let (_, _, severity, name, cwe, remedy, source) = *TABLE.iter().find(fits)?;
    Some(Weakness { severity, name, cwe, remedy, source })
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

    /// The base score that section 7.1 of the CVSS 3.1 specification gives a vector whose scope is
    /// unchanged, in tenths.
    fn base_tenths(vector: &str) -> u32 {
        let weight = |metric: &str| {
            let value = vector.split('/').find_map(|part| part.strip_prefix(metric)).unwrap();
            match (metric, value) {
                ("AV:", "N") | ("PR:", "N") | ("UI:", "N") => 0.85,
                ("AC:", "L") => 0.77,
                ("AC:", "H") => 0.44,
                ("UI:", "R") => 0.62,
                ("C:" | "I:" | "A:", "H") => 0.56,
                ("C:" | "I:" | "A:", "L") => 0.22,
                ("C:" | "I:" | "A:", "N") => 0.0,
                other => panic!("{other:?}"),
            }
        };
        let kept: f64 = ["C:", "I:", "A:"].map(|metric| 1.0 - weight(metric)).iter().product();
        let ease: f64 = ["AV:", "AC:", "PR:", "UI:"].map(weight).iter().product();
        ((6.42 * (1.0 - kept) + 8.22 * ease) * 10.0).ceil() as u32
    }

    /// Code scanning calls a score over 9 critical, from 7 high, from 4 medium.
    #[test]
    fn a_score_is_that_of_its_vector_and_gets_its_word() {
        for severity in [Low, Medium, High, Critical] {
            let tenths = base_tenths(severity.vector());
            assert_eq!(severity.score(), format!("{}.{}", tenths / 10, tenths % 10));
            let word = match tenths {
                91.. => "critical",
                70.. => "high",
                40.. => "medium",
                _ => "low",
            };
            assert_eq!(severity.word(), word);
        }
    }

    #[test]
    fn what_opens_every_account_is_critical_and_what_only_helps_is_low() {
        let severity = |id: &str| weakness(id).unwrap().severity;
        for id in ["1a", "4a", "5a", "7a", "51b", "52a", "57a"] {
            assert_eq!(severity(id), Critical, "{id}");
        }
        for id in ["28a", "35a", "38a", "45a", "53a"] {
            assert_eq!(severity(id), High, "{id}");
        }
        for id in ["2a", "23a", "42d", "50a"] {
            assert_eq!(severity(id), Low, "{id}");
        }
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

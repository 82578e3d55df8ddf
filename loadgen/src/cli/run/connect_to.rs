//! `--connect-to`, as curl has it: another place to connect to for a host and port.

use std::fmt;
use std::str::FromStr;

/// One rule.
#[derive(Clone, Debug)]
pub(super) struct ConnectTo {
    text: String,
    /// Whom it is about; `None`: anyone.
    from: (Option<String>, Option<u16>),
    /// Where to connect to instead; `None`: as it was.
    to: (Option<String>, Option<u16>),
}

impl ConnectTo {
    /// Where to connect to for this host and port; `None` where the rule is not about them.
    pub(super) fn place(&self, host: &str, port: u16) -> Option<(String, u16)> {
        let (from_host, from_port) = &self.from;
        let is_meant = from_host.as_ref().is_none_or(|from| from.eq_ignore_ascii_case(host))
            && from_port.is_none_or(|from| from == port);
        let (to_host, to_port) = &self.to;
        let to_host = to_host.clone().unwrap_or_else(|| host.into());
        is_meant.then_some((to_host, to_port.unwrap_or(port)))
    }
}

impl fmt::Display for ConnectTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for ConnectTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || {
            format!(
                "expected HOST1:PORT1:HOST2:PORT2 such as `example.org:443:127.0.0.1:8443`, an \
                 IPv6 address in brackets, found `{text}`"
            )
        };
        let (from, rest) = host_and_port(text).ok_or_else(refuse)?;
        let rest = rest.strip_prefix(':').ok_or_else(refuse)?;
        let (to, rest) = host_and_port(rest).ok_or_else(refuse)?;
        if !rest.is_empty() {
            return Err(refuse());
        }
        Ok(Self { text: text.into(), from, to })
    }
}

/// A host and a port, either of which may be empty, and what stands behind them.
#[expect(clippy::type_complexity, reason = "it is read in one place")]
fn host_and_port(text: &str) -> Option<((Option<String>, Option<u16>), &str)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => text.split_at(text.find(':')?),
    };
    let rest = rest.strip_prefix(':')?;
    let (port, rest) = rest.split_at(rest.find(':').unwrap_or(rest.len()));
    let port = if port.is_empty() { None } else { Some(port.parse().ok().filter(|p| *p > 0)?) };
    Some((((!host.is_empty()).then(|| host.into()), port), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_about_its_host_and_port() {
        for (rule, host, port, place) in [
            ("a.example:443:127.0.0.1:8443", "A.example", 443, Some(("127.0.0.1", 8443))),
            ("a.example:443:127.0.0.1:8443", "a.example", 80, None),
            ("a.example:443:127.0.0.1:8443", "b.example", 443, None),
            ("::127.0.0.1:8443", "b.example", 1, Some(("127.0.0.1", 8443))),
            ("a::b:", "a", 7, Some(("b", 7))),
            (":80::81", "a", 80, Some(("a", 81))),
            ("[::1]:80:[::2]:81", "::1", 80, Some(("::2", 81))),
        ] {
            let found = rule.parse::<ConnectTo>().unwrap().place(host, port);
            let expected = place.map(|(host, port)| (host.to_string(), port));
            assert_eq!(found, expected, "{rule} for {host}:{port}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "a", "a:80", "a:80:b", "a:x:b:1", "a:80:b:0", "a:80:b:1:2", "[::1:80:b:1"]
        {
            let error = text.parse::<ConnectTo>().unwrap_err();
            assert!(error.contains("expected HOST1:PORT1:HOST2:PORT2"), "{text}: {error}");
        }
    }
}

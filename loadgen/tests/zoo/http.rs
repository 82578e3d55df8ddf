//! As much HTTP/1.1 as the zoo needs: strict in what it reads, so that a mode is flawed in nothing
//! but its flaw.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

/// Longer heads get a 431, longer bodies a 413.
const BYTES_MAX: usize = 64 << 10;
/// Header fields of a request; more get a 431.
const FIELDS_MAX: usize = 100;

/// A request.
pub(super) struct Request {
    pub(super) method: String,
    target: String,
    fields: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

/// An answer.
#[derive(Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, fields: Vec::new(), body: body.into() }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    pub(super) fn write(&self, stream: &mut TcpStream, closes: bool) -> std::io::Result<()> {
        let mut text = format!("HTTP/1.1 {} X\r\n", self.status);
        text.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if closes {
            text.push_str("Connection: close\r\n");
        }
        stream.write_all(format!("{text}\r\n{}", self.body).as_bytes())
    }
}

impl Request {
    /// The next request on a connection; nothing at its end, or the status of a refusal.
    pub(super) fn read(
        stream: &mut TcpStream,
        bytes: &mut Vec<u8>,
        trusts_first_length: bool,
    ) -> Result<Option<Self>, u16> {
        let mut piece = [0; 16 << 10];
        let mut more = |bytes: &mut Vec<u8>| match stream.read(&mut piece) {
            Ok(n @ 1..) => {
                bytes.extend_from_slice(&piece[..n]);
                true
            }
            _ => false,
        };
        let (mut request, head) = loop {
            if let Some(parsed) = Self::head(bytes)? {
                break parsed;
            }
            if bytes.len() > BYTES_MAX {
                return Err(431);
            }
            if !more(bytes) {
                return Ok(None);
            }
        };
        bytes.drain(..head);
        let length = request.length(trusts_first_length)?;
        while bytes.len() < length {
            if !more(bytes) {
                return Ok(None);
            }
        }
        request.body = bytes.drain(..length).collect();
        Ok(Some(request))
    }

    fn head(bytes: &[u8]) -> Result<Option<(Self, usize)>, u16> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut parsed = httparse::Request::new(&mut fields);
        let length = match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(431),
            Err(_) => return Err(400),
        };
        let fields = parsed.headers.iter().map(|h| (h.name.to_string(), h.value.to_vec()));
        let request = Self {
            method: parsed.method.unwrap_or_default().into(),
            target: parsed.path.unwrap_or_default().into(),
            fields: fields.collect(),
            body: Vec::new(),
        };
        if request.all("host").count() != 1 || request.field("host").contains('/') {
            return Err(400);
        }
        Ok(Some((request, length)))
    }

    fn length(&self, trusts_first: bool) -> Result<usize, u16> {
        let lengths: Vec<String> = self.all("content-length").collect();
        let is_two = lengths.len() > 1 && !trusts_first;
        if is_two || self.all("transfer-encoding").next().is_some() {
            return Err(400);
        }
        let Some(text) = lengths.first() else { return Ok(0) };
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(400);
        }
        let length: usize = text.parse().map_err(|_| 400_u16)?;
        if length > BYTES_MAX { Err(413) } else { Ok(length) }
    }

    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The value of this name in the query.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value.into())
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = String> + 'a {
        let same = move |(key, _): &&(String, Vec<u8>)| key.eq_ignore_ascii_case(name);
        let text = |(_, value): &(String, Vec<u8>)| String::from_utf8_lossy(value).into_owned();
        self.fields.iter().filter(same).map(text)
    }

    /// The first value of a header; empty without one.
    pub(super) fn field(&self, name: &str) -> String {
        self.all(name).next().unwrap_or_default()
    }

    /// The cookie of this name, if there is exactly one.
    pub(super) fn cookie(&self, name: &str) -> Option<String> {
        let all: Vec<String> = self.all("cookie").collect();
        let pairs = all.iter().flat_map(|text| text.split("; "));
        let mut values = pairs.filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        match (values.next(), values.next()) {
            (Some(value), None) if !value.is_empty() => Some(value.into()),
            _ => None,
        }
    }

    /// The token in `Authorization: Bearer`.
    pub(super) fn bearer(&self) -> Option<String> {
        let mut all = self.all("authorization");
        match (all.next(), all.next()) {
            (Some(value), None) => value.strip_prefix("Bearer ").map(Into::into),
            _ => None,
        }
    }

    /// The body as JSON; null if it is something else.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

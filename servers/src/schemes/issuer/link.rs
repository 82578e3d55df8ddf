//! The way to the issuer: HTTP/1.1 over a few connections that stay open.

use std::time::Duration;

use axum::body::Bytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::error::{ServeError, StoreError};
use crate::stores::patience::Patience;
use crate::stores::{ISSUER, place};

/// Connections that are open at most; further questions wait for one of them.
const CONNECTIONS_MAX: usize = 64;
/// Bytes of an answer that are read at most: a full cart takes 25 KiB where JSON escapes it all.
const ANSWER_BYTES_MAX: usize = 64 << 10;

type Sender = SendRequest<Full<Bytes>>;

/// How a question is written.
pub(super) enum Body {
    Nothing,
    Form(String),
    Json(Vec<u8>),
}

/// Where an issuer is, and what is shown to it.
struct Place {
    address: String,
    host: HeaderValue,
    authorization: Option<HeaderValue>,
}

impl Place {
    /// Reads `http://[CLIENT:SECRET@]HOST:PORT`.
    fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("http://")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (client, address) = match rest.rsplit_once('@') {
            Some((client, address)) => (Some(client), address),
            None => (None, rest),
        };
        let (name, port) = address.rsplit_once(':')?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
        if name.is_empty() || port.parse::<u16>().is_err() || !name.chars().all(plain) {
            return None;
        }
        let authorization = match client {
            Some(client) => Some(HeaderValue::try_from(basic(client)).ok()?),
            None => None,
        };
        Some(Self {
            address: address.to_owned(),
            host: HeaderValue::try_from(address).ok()?,
            authorization,
        })
    }
}

/// The header by which this client, `NAME:SECRET`, is known.
pub(super) fn basic(client: &str) -> String {
    format!("Basic {}", STANDARD.encode(client))
}

/// The connections to one issuer.
///
/// A question takes a connection that is open and free, or opens one; an answer that does not come
/// in time gives its connection up. A connection that the issuer has closed meanwhile is passed
/// over as long as nothing was sent on it: nothing is ever asked twice. All of it happens within
/// three quarters of the server's patience, so that the reason comes before the limit that hides
/// it.
pub(in crate::schemes) struct Link {
    place: Place,
    free: Mutex<Vec<Sender>>,
    places: Semaphore,
    limit: Duration,
}

impl Link {
    /// The way to the issuer at this URL, which is first asked when something is.
    ///
    /// # Errors
    /// [`ServeError::Option`], without the URL: it holds a secret.
    pub(in crate::schemes) fn new(url: &str, patience: Patience) -> Result<Self, ServeError> {
        let place = Place::parse(url).ok_or_else(|| ServeError::Option {
            option: "store_url",
            expected: place(ISSUER).map_or("a URL", |place| place.url),
            found: "something else".into(),
        })?;
        Ok(Self {
            place,
            free: Mutex::default(),
            places: Semaphore::new(CONNECTIONS_MAX),
            limit: patience.answer(),
        })
    }

    /// What the issuer answers, with status 200.
    pub(super) async fn ask(
        &self,
        operation: &'static str,
        path: &'static str,
        body: Body,
    ) -> Result<Bytes, StoreError> {
        let failed = |found: String| StoreError { store: ISSUER, operation, found };
        let Ok(exchanged) = timeout(self.limit, self.exchange(path, body)).await else {
            return Err(failed(format!("no answer within {} ms", self.limit.as_millis())));
        };
        match exchanged.map_err(failed)? {
            (StatusCode::OK, answer) => Ok(answer),
            (status, _) => Err(failed(format!("status {status}"))),
        }
    }

    /// What the issuer answers to this JSON, with status 200.
    pub(in crate::schemes) async fn post(
        &self,
        operation: &'static str,
        path: &'static str,
        json: Vec<u8>,
    ) -> Result<Bytes, StoreError> {
        self.ask(operation, path, Body::Json(json)).await
    }

    async fn exchange(
        &self,
        path: &'static str,
        body: Body,
    ) -> Result<(StatusCode, Bytes), String> {
        let _place = self.places.acquire().await.map_err(|error| error.to_string())?;
        let mut request = self.request(path, body)?;
        loop {
            let free = self.free.lock().pop();
            let is_new = free.is_none();
            let mut sender = match free {
                Some(sender) => sender,
                None => self.connect().await.map_err(|error| error.to_string())?,
            };
            if sender.ready().await.is_err() && !is_new {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(response) => {
                    let (parts, body) = response.into_parts();
                    let answer = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
                    let answer = answer.map_err(|error| error.to_string())?.to_bytes();
                    self.free.lock().push(sender);
                    return Ok((parts.status, answer));
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !is_new => request = unsent,
                    _ => return Err(error.into_error().to_string()),
                },
            }
        }
    }

    fn request(&self, path: &str, body: Body) -> Result<Request<Full<Bytes>>, String> {
        let (method, kind, body) = match body {
            Body::Nothing => (Method::GET, None, Bytes::new()),
            Body::Form(text) => {
                (Method::POST, Some("application/x-www-form-urlencoded"), Bytes::from(text))
            }
            Body::Json(text) => (Method::POST, Some("application/json"), Bytes::from(text)),
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|_| format!("no path: {path}"))?;
        let headers = request.headers_mut();
        headers.insert(HOST, self.place.host.clone());
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        if let Some(authorization) = &self.place.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        Ok(request)
    }

    async fn connect(&self) -> Result<Sender, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(&self.place.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with its sender, or with the issuer.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_host_and_a_port_and_may_hold_a_secret() {
        let place = Place::parse("http://server:pass@127.0.0.1:8080").unwrap();
        assert_eq!(place.address, "127.0.0.1:8080");
        assert_eq!(place.authorization.unwrap(), "Basic c2VydmVyOnBhc3M=");
        assert!(Place::parse("http://[::1]:1/").unwrap().authorization.is_none());
        for url in [
            "http://127.0.0.1",
            "https://127.0.0.1:1",
            "http://:1",
            "http://a:70000",
            "http://a:1/path",
            "http://a\r\nb:1",
            "redis://a:1",
            "",
        ] {
            assert!(Place::parse(url).is_none(), "{url}");
        }
    }
}

//! Whom an `https://` server has to prove itself to, made into what rustls needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};

use crate::error::Error;
use crate::files::{self, Kind};
use crate::journey::{ClientCertificate, Script};

/// Servers whose sessions a worker can resume; it drives one.
const SESSIONS_KEPT: usize = 8;

/// Which certificates are believed.
///
/// Certificates are checked unless somebody says otherwise, against the system's roots or against
/// the ones in a file, never both: a private issuer that is given by hand is meant. What cannot be
/// checked must never pass silently, so a store without a single root is an error here and not an
/// unknown issuer later. The backend is aws-lc-rs, as everywhere in this workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those that lead to a root the operating system trusts.
    #[default]
    System,
    /// Those that lead to a certificate in this PEM file, and no others.
    File(PathBuf),
    /// This certificate, as PEM, and those that lead to it.
    Certificate(String),
    /// Any.
    Anything,
}

/// Why certificates could not be checked, whatever the server shows.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The operating system has no trusted certificates.
    #[error(
        "expected certificates that this machine trusts, found none{0}; install them \
         (ca-certificates), or name the server's issuer with --ca FILE"
    )]
    NoRoots(String),
    /// The file cannot be read.
    #[error("expected --ca as a file of certificates (PEM): {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system answered.
        source: std::io::Error,
    },
    /// The file has no certificate, or an invalid one.
    #[error(
        "{}: expected certificates in PEM, `-----BEGIN CERTIFICATE-----`, found {found}",
        path.display()
    )]
    NoCertificates {
        /// The file.
        path: PathBuf,
        /// What is in it.
        found: String,
    },
    /// A file of the certificate that the client shows cannot be read.
    #[error("expected the client's certificate and key as files (PEM): {}: {source}",
            path.display())]
    ClientUnreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system answered.
        source: std::io::Error,
    },
    /// What the client should show is no certificate, no key, or they do not belong together.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Client {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What it holds.
        found: String,
    },
    /// The host's name cannot stand in a certificate.
    #[error("expected a host name or an address that a certificate can hold, found `{0}`")]
    Name(String),
    /// The library refuses what it was given.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

impl From<TlsError> for Error {
    fn from(error: TlsError) -> Self {
        match error {
            TlsError::Unreadable { path, source } | TlsError::ClientUnreadable { path, source } => {
                Self::unreadable(&path, source)
            }
            error => Self::Config(error.to_string()),
        }
    }
}

/// What a connection over TLS is opened with.
#[derive(Clone, Debug)]
pub struct Tls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

impl Tls {
    /// For the script's host, with these protocols on offer (ALPN), the best first.
    ///
    /// # Errors
    /// When certificates cannot be checked as asked, or the host's name cannot be in one.
    pub fn new(script: &Script, trust: &Trust, protocols: &[&str]) -> Result<Self, TlsError> {
        let (host, _) = script.host_and_port();
        let name =
            ServerName::try_from(host.to_string()).map_err(|_| TlsError::Name(host.to_string()))?;
        let provider = Arc::new(crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?;
        let mut named = Vec::new();
        let roots = match trust {
            Trust::System => Some(system_roots()?),
            Trust::File(path) => Some(roots_in(path, &mut named)?),
            Trust::Certificate(pem) => Some(roots_of(pem.as_bytes(), Path::new(""), &mut named)?),
            Trust::Anything => None,
        };
        let builder = match roots {
            Some(roots) => {
                let verifier =
                    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .map_err(|e| TlsError::Setup(rustls::Error::General(e.to_string())))?;
                let verifier = Named { verifier, certificates: named };
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
            None => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider)))
            }
        };
        let mut config = match &script.client_certificate {
            None => builder.with_no_client_auth(),
            Some(shown) => {
                let (chain, key) = (chain_of(&shown.certificate)?, key_of(&shown.key)?);
                builder.with_client_auth_cert(chain, key).map_err(|e| unfit_key(shown, &e))?
            }
        };
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Self { config: Arc::new(config), name })
    }

    /// A session that has not begun, for a caller that reads and writes on its own socket.
    ///
    /// # Errors
    /// When the library refuses what it was given.
    pub fn session(&self) -> Result<rustls::ClientConnection, TlsError> {
        rustls::ClientConnection::new(Arc::clone(&self.config), self.name.clone())
            .map_err(TlsError::Setup)
    }

    /// The same with sessions of its own to resume: workers share nothing while a load runs.
    #[must_use]
    pub fn for_one_worker(&self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::in_memory_sessions(SESSIONS_KEPT);
        Self { config: Arc::new(config), name: self.name.clone() }
    }
}

/// The certificates that a client shows.
fn chain_of(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let expected = "a certificate in PEM, `-----BEGIN CERTIFICATE-----`";
    let refuse = |found: String| TlsError::Client { path: path.into(), expected, found };
    let bytes = files::read(path, Kind::Certificates)
        .map_err(|source| TlsError::ClientUnreadable { path: path.into(), source })?;
    let chain = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|e| refuse(e.to_string()))?;
    if chain.is_empty() { Err(refuse("none".into())) } else { Ok(chain) }
}

/// The key of the certificate that a client shows.
fn key_of(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let expected = "a private key in PEM, `-----BEGIN PRIVATE KEY-----`";
    let bytes = files::read(path, Kind::Key)
        .map_err(|source| TlsError::ClientUnreadable { path: path.into(), source })?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| {
        let is_encrypted = String::from_utf8_lossy(&bytes).contains("ENCRYPTED");
        let found =
            if is_encrypted { "an encrypted one; decrypt it: openssl pkey" } else { "none" };
        TlsError::Client { path: path.into(), expected, found: found.into() }
    })
}

/// What is said of a key that the library does not take.
fn unfit_key(shown: &ClientCertificate, error: &rustls::Error) -> TlsError {
    let found = match error {
        rustls::Error::InconsistentKeys(_) => {
            format!("that of another than {}", shown.certificate.display())
        }
        error => error.to_string(),
    };
    TlsError::Client { path: shown.key.clone(), expected: "the certificate's key", found }
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some systems hold roots that no library reads any more; the others still count.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(TlsError::NoRoots(why));
    }
    Ok(roots)
}

/// The certificates in a file, as roots and as they stand.
fn roots_in(
    path: &Path,
    named: &mut Vec<CertificateDer<'static>>,
) -> Result<RootCertStore, TlsError> {
    let bytes = files::read(path, Kind::Certificates)
        .map_err(|source| TlsError::Unreadable { path: path.into(), source })?;
    roots_of(&bytes, path, named)
}

/// The certificates in what was read from `path`, likewise.
fn roots_of(
    bytes: &[u8],
    path: &Path,
    named: &mut Vec<CertificateDer<'static>>,
) -> Result<RootCertStore, TlsError> {
    let refuse = |found: String| TlsError::NoCertificates { path: path.into(), found };
    let mut roots = RootCertStore::empty();
    for (index, found) in CertificateDer::pem_slice_iter(bytes).enumerate() {
        let number = index + 1;
        let added = found.map_err(|e| e.to_string()).and_then(|certificate| {
            named.push(certificate.clone());
            roots.add(certificate).map_err(|e| e.to_string())
        });
        added.map_err(|why| refuse(format!("in place of certificate {number}: {why}")))?;
    }
    if roots.is_empty() {
        return Err(refuse(if bytes.is_empty() { "an empty file" } else { "none" }.into()));
    }
    Ok(roots)
}

/// Checks certificates by their issuers, and believes a server that shows a certificate of the file
/// itself: a self-signed one for which most recipes make an authority's (RFC 5280, 4.2.1.9), which
/// may not stand for a server otherwise. Its dates and its name are checked as ever.
#[derive(Debug)]
struct Named {
    verifier: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let by_issuer = self.verifier.verify_server_cert(shown, issuers, name, ocsp, now);
        match by_issuer {
            // Dates are looked at before what a certificate may stand for.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(why)))
                if self.certificates.contains(shown) && is_authority(&why) =>
            {
                verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Whether a certificate was refused because it is an authority's; the library's type for that is
/// not part of its interface.
fn is_authority(why: &OtherError) -> bool {
    format!("{why:?}").contains("CaUsedAsEndEntity")
}

/// Believes any certificate, but still that the server holds the key in it: what is not looked at
/// is whose it is.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Why TLS failed and what to do, for people: what they can act upon, and rustls's own words.
pub(super) fn in_words(error: &rustls::Error) -> String {
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error as Tls};
    let (plainly, remedy) = match error {
        Tls::InvalidCertificate(bad) => match bad {
            Bad::UnknownIssuer => ("the certificate's issuer is unknown", NAME_ISSUER),
            Bad::Expired | Bad::ExpiredContext { .. } => ("the certificate has expired", RENEW),
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                ("the certificate is not valid yet", RENEW)
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => (
                "the certificate is for another name",
                "use a name that it holds, or skip the check with --insecure",
            ),
            Bad::BadSignature => ("the certificate's signature is not its issuer's", NAME_ISSUER),
            _ => ("the certificate is not accepted", NAME_ISSUER),
        },
        Tls::InvalidMessage(_) => {
            ("what came is not TLS", "if it is a plain server, its address is http://")
        }
        Tls::AlertReceived(Alert::NoApplicationProtocol) | Tls::NoApplicationProtocol => (
            "the server speaks none of the offered versions of HTTP",
            "if it speaks HTTP/2 only, use --transport reqwest",
        ),
        Tls::AlertReceived(Alert::UnrecognisedName) => {
            ("the server does not know the name it was asked for", OTHER_NAME)
        }
        Tls::AlertReceived(Alert::CertificateRequired) => (
            "the server wants a certificate of its clients",
            "give one with --client-cert and --client-key, or in the target file",
        ),
        Tls::AlertReceived(
            Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::UnsupportedCertificate,
        ) => (
            "the server does not accept the client's certificate",
            "give one that it does with --client-cert and --client-key",
        ),
        Tls::AlertReceived(
            Alert::InternalError | Alert::HandshakeFailure | Alert::AccessDenied,
        ) => ("the server gave the handshake up", OTHER_NAME),
        Tls::AlertReceived(_) => ("the server refused", "see its log"),
        Tls::PeerIncompatible(_) => {
            ("there is no protocol that both sides speak", "let the server accept TLS 1.2 or 1.3")
        }
        _ => return format!("{error}; see the server's log"),
    };
    format!("{plainly} ({error}); {remedy}")
}

/// What is said when the server closes the connection within the handshake.
pub(super) fn closed_in_handshake() -> String {
    format!(
        "the server closed the connection within the handshake; if it is a plain server, its \
         address is http://; if not, {OTHER_NAME}"
    )
}

const NAME_ISSUER: &str =
    "give its issuer, or the certificate itself, with --ca FILE, or skip the check with --insecure";
const RENEW: &str = "renew it, check this machine's clock, or skip the check with --insecure";
const OTHER_NAME: &str = "use the name that its certificate has: it may know no other (SNI)";

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: Option<&[u8]>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        if let Some(bytes) = bytes {
            std::fs::write(&path, bytes).unwrap();
        }
        let text = roots_in(&path, &mut Vec::new()).unwrap_err().to_string();
        assert!(text.contains("ca.pem"), "{text}");
        text
    }

    #[test]
    fn a_file_without_certificates_is_refused_and_named() {
        assert!(refused(None).contains("No such file"));
        assert!(refused(Some(b"")).contains("an empty file"));
        assert!(refused(Some(b"\x7fELF\0\x01")).contains("found none"));
        let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
        for inside in ["%%%", "AAAA", ""] {
            let text = format!("{begin}\n{inside}\n{end}\n");
            let refused = refused(Some(text.as_bytes()));
            assert!(refused.contains("in place of certificate 1"), "{inside}: {refused}");
        }
    }
}

//! TLS (RFC 3261 §26.3.1, RFC 5922): who a server is, is decided here by its certificate and the SIP domain that was
//! meant; the chain is checked by webpki against the system's authorities.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore,
    ServerConfig, SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_rustls::{client, server};
use webpki::EndEntityCert;

/// Who we are, and whom we believe.
#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    /// A PEM file with authorities that are believed besides the system's.
    pub authorities: Option<PathBuf>,
    /// What we show to those who connect to us; without it nobody can by TLS.
    pub identity: Option<TlsIdentity>,
}

/// A certificate of ours.
#[derive(Clone, Debug)]
pub struct TlsIdentity {
    /// A PEM file: our certificate first, then those between it and the authority.
    pub certificate: PathBuf,
    /// A PEM file with its key.
    pub key: PathBuf,
}

/// Why the settings of TLS are of no use.
#[derive(Debug, Error)]
pub enum TlsSettingsError {
    /// A file is not there or holds something else.
    #[error("{path} cannot be used: {reason}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key do not belong together, or are of a kind that is not supported.
    #[error("the certificate cannot be used: {reason}")]
    Identity {
        /// What is wrong.
        reason: String,
    },
}

/// Why a server is not believed.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum CertificateProblem {
    /// Its time is over.
    #[error("the certificate has expired")]
    Expired,
    /// Its time has not begun; often our own clock is wrong.
    #[error("the certificate is not valid yet")]
    NotYetValid,
    /// Nobody we believe vouches for it.
    #[error("the certificate is of an unknown authority")]
    UnknownAuthority,
    /// It is somebody else's (RFC 5922 §7.2).
    #[error("the certificate is for another domain")]
    WrongDomain,
    /// Anything else.
    #[error("the certificate is not valid")]
    Invalid,
}

/// Both sides of TLS.
#[derive(Clone)]
pub(crate) struct Tls {
    connector: TlsConnector,
    acceptor: Option<TlsAcceptor>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("accepts", &self.acceptor.is_some()).finish_non_exhaustive()
    }
}

impl Tls {
    pub(crate) fn new(settings: &TlsSettings) -> Result<Self, TlsSettingsError> {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            tracing::debug!(%error, "an authority of the system");
        }
        roots.add_parsable_certificates(system.certs);
        if let Some(path) = &settings.authorities {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| file_error(path, error))?;
            }
        }
        let versions = |error: TlsError| TlsSettingsError::Identity { reason: error.to_string() };
        let verifier = SipVerifier { roots, provider: Arc::clone(&provider) };
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(versions)?
            // The chain is checked in there as everywhere; only what a name has to look like is SIP's own.
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        let acceptor = match &settings.identity {
            None => None,
            Some(identity) => {
                let chain = certificates(&identity.certificate)?;
                let key = PrivateKeyDer::from_pem_file(&identity.key)
                    .map_err(|error| file_error(&identity.key, error))?;
                let config = ServerConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()
                    .map_err(versions)?
                    .with_no_client_auth()
                    .with_single_cert(chain, key)
                    .map_err(versions)?;
                Some(TlsAcceptor::from(Arc::new(config)))
            }
        };
        Ok(Self { connector: TlsConnector::from(Arc::new(client)), acceptor })
    }

    pub(crate) fn acceptor(&self) -> Option<&TlsAcceptor> {
        self.acceptor.as_ref()
    }

    /// Our side of a connection that we opened; the peer must be the server of `domain`.
    pub(crate) async fn connect(
        &self,
        domain: &str,
        stream: TcpStream,
    ) -> io::Result<client::TlsStream<TcpStream>> {
        let name = ServerName::try_from(domain.trim_matches(['[', ']']).to_owned())
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.connector.connect(name, stream).await
    }
}

/// Our side of a connection that a peer opened.
pub(crate) async fn accept(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
) -> io::Result<server::TlsStream<TcpStream>> {
    acceptor.accept(stream).await
}

/// What was wrong with a server's certificate, where that is why the handshake failed.
pub(crate) fn certificate_problem(error: &io::Error) -> Option<CertificateProblem> {
    let error = error.get_ref()?.downcast_ref::<TlsError>()?;
    let TlsError::InvalidCertificate(error) = error else { return None };
    Some(match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            CertificateProblem::Expired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            CertificateProblem::NotYetValid
        }
        CertificateError::UnknownIssuer => CertificateProblem::UnknownAuthority,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateProblem::WrongDomain
        }
        _ => CertificateProblem::Invalid,
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsSettingsError> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| file_error(path, error))?;
    let all: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| file_error(path, error))?;
    if all.is_empty() {
        let reason = "there is no certificate in it".to_owned();
        return Err(TlsSettingsError::File { path: path.to_owned(), reason });
    }
    Ok(all)
}

fn file_error(path: &Path, error: impl std::fmt::Display) -> TlsSettingsError {
    TlsSettingsError::File { path: path.to_owned(), reason: error.to_string() }
}

/// Checks chain and times as for any server, and the name as RFC 5922 §7 asks.
#[derive(Debug)]
struct SipVerifier {
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for SipVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.roots,
            intermediates,
            now,
            algorithms,
        )?;
        let bad = |_| TlsError::InvalidCertificate(CertificateError::BadEncoding);
        let certificate = EndEntityCert::try_from(end_entity).map_err(bad)?;
        let fits = match server_name {
            ServerName::DnsName(domain) => is_of_domain(&certificate, domain.as_ref()),
            // No domain was meant, so none is compared.
            other => certificate.verify_is_valid_for_subject_name(other).is_ok(),
        };
        if fits {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(TlsError::InvalidCertificate(CertificateError::NotValidForName))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether one of the certificate's SIP domain identities is this domain: those of its SIP URIs, and where it has none,
/// its DNS names; compared whole and without case, never by a wildcard (RFC 5922 §7.1, §7.2).
fn is_of_domain(certificate: &EndEntityCert<'_>, domain: &str) -> bool {
    let mut by_uri = certificate.valid_uri_names().filter_map(sip_domain).peekable();
    if by_uri.peek().is_some() {
        return by_uri.any(|identity| identity.eq_ignore_ascii_case(domain));
    }
    certificate.valid_dns_names().any(|identity| identity.eq_ignore_ascii_case(domain))
}

/// The domain that a URI of a certificate names; one with a user part is a person's, not a server's.
fn sip_domain(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once(':')?;
    if !scheme.eq_ignore_ascii_case("sip") || rest.contains('@') {
        return None;
    }
    rest.split([';', '?', ':']).next().filter(|domain| !domain.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_with_a_user_part_is_no_domain() {
        assert_eq!(sip_domain("sip:example.org"), Some("example.org"));
        assert_eq!(sip_domain("SIP:example.org;transport=tls"), Some("example.org"));
        assert_eq!(sip_domain("sip:alice@example.org"), None);
        assert_eq!(sip_domain("https://example.org"), None);
    }

    #[test]
    fn a_file_without_a_certificate_says_so() {
        let settings = TlsSettings { authorities: Some("/dev/null".into()), identity: None };
        let error = Tls::new(&settings).unwrap_err();
        assert_eq!(error.to_string(), "/dev/null cannot be used: there is no certificate in it");
    }
}

//! Encryption towards PostgreSQL (libpq, "SSL Support"), by rustls with the aws-lc provider.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where systems keep the certificates that they trust; `sslrootcert=system` reads the first.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// How much a connection over TCP is protected: libpq's `sslmode`. Unix sockets are never encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsMode {
    /// Not at all.
    #[default]
    Disable,
    /// Encrypted when the server can, which nobody checks.
    Prefer,
    /// Encrypted; who the server is, is checked only when a root certificate is given.
    Require,
    /// Encrypted, by a server that the root certificate vouches for.
    VerifyCa,
    /// As `VerifyCa`, and the certificate is for the name of the host.
    VerifyFull,
}

impl FromStr for TlsMode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "disable" => Self::Disable,
            // Who would go without encryption but accept it gets it.
            "allow" | "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return Err(()),
        })
    }
}

impl fmt::Display for TlsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        })
    }
}

/// Whether and how to encrypt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// libpq's `sslmode`.
    pub mode: TlsMode,
    /// File with the certificates (PEM) of those who may vouch for the server, libpq's `sslrootcert`;
    /// `system` means those that the system trusts.
    pub root_certificate: Option<PathBuf>,
}

impl Tls {
    /// What makes encrypted streams of plain ones.
    ///
    /// # Errors
    ///
    /// When the root certificate cannot be read, or is needed and not given.
    pub fn connector(&self) -> io::Result<TlsConnector> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let checked = self.mode != TlsMode::Prefer
            && (self.mode != TlsMode::Require || self.root_certificate.is_some());
        let chain = match checked {
            false => None,
            true => Some(
                WebPkiServerVerifier::builder_with_provider(self.roots()?.into(), provider.clone())
                    .build()
                    .map_err(io::Error::other)?,
            ),
        };
        let by_name = self.mode == TlsMode::VerifyFull;
        let verifier = Arc::new(Verifier { chain, by_name, provider });
        let config =
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }

    fn roots(&self) -> io::Result<RootCertStore> {
        let file = self.root_certificate.as_deref().ok_or_else(|| {
            let missing = format!("sslmode={} needs sslrootcert (a file, or `system`)", self.mode);
            io::Error::new(io::ErrorKind::InvalidInput, missing)
        })?;
        let file = match file == Path::new("system") {
            false => file,
            true => SYSTEM_BUNDLES
                .iter()
                .map(Path::new)
                .find(|bundle| bundle.exists())
                .ok_or_else(|| io::Error::other("the system has no bundle of certificates"))?,
        };
        let unreadable =
            |error| io::Error::other(format!("cannot read {}: {error}", file.display()));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
            roots.add_parsable_certificates([certificate.map_err(unreadable)?]);
        }
        Ok(roots)
    }
}

/// Encrypts a stream to the server called `host`.
///
/// # Errors
///
/// When the server cannot do it, or is not who it should be.
pub async fn encrypt<S>(connector: &TlsConnector, host: &str, stream: S) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    connector.connect(name, stream).await
}

/// Checks what the mode asks for, and no more.
#[derive(Debug)]
struct Verifier {
    /// Who vouches for the server; `None` when nobody has to.
    chain: Option<Arc<WebPkiServerVerifier>>,
    by_name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            // The name is looked at last: everything else was found right.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.by_name => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_libpq() {
        for text in ["disable", "prefer", "require", "verify-ca", "verify-full"] {
            assert_eq!(text.parse::<TlsMode>().unwrap().to_string(), text);
        }
        assert_eq!("allow".parse(), Ok(TlsMode::Prefer));
        assert!("yes".parse::<TlsMode>().is_err());
    }

    #[test]
    fn a_server_cannot_be_verified_without_anybody_to_vouch_for_it() {
        let tls =
            |mode, file: Option<&str>| Tls { mode, root_certificate: file.map(PathBuf::from) };
        for mode in [TlsMode::VerifyCa, TlsMode::VerifyFull] {
            let error = tls(mode, None).connector().err().unwrap();
            assert!(error.to_string().contains("needs sslrootcert"), "{error}");
            assert!(tls(mode, Some("/no/such/file")).connector().is_err());
        }
        assert!(tls(TlsMode::Require, None).connector().is_ok());
        assert!(tls(TlsMode::Require, Some("/no/such/file")).connector().is_err());
    }
}

//! Encryption of administrative connections, and what a connection URL says about it.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use percent_encoding::percent_decode_str;
use plinth_wire::{Tls, TlsConnector, TlsMode, TlsStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{self, ChannelBinding, MakeTlsConnect, TlsConnect};

use crate::ConnectError;

/// What a URL says about encryption.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    mode: Option<TlsMode>,
    root_certificate: Option<PathBuf>,
}

impl Wanted {
    /// What is right when the server is on this machine or is not. As for libpq, encryption is
    /// preferred where nothing is said; on one's own machine there is nobody to hide from.
    pub(crate) fn or_default(self, local: bool) -> Tls {
        let mode = self.mode.unwrap_or(default_mode(local));
        Tls { mode, root_certificate: self.root_certificate }
    }
}

pub(crate) fn default_mode(local: bool) -> TlsMode {
    if local { TlsMode::Disable } else { TlsMode::Prefer }
}

/// Takes `sslmode` and `sslrootcert` out of a URL or a `key=value` string, because the driver's parser
/// does not know all their values.
pub(crate) fn take_parameters(text: &str) -> Result<(String, Wanted), ConnectError> {
    let mut wanted = Wanted::default();
    let rest = match text.split_once("://") {
        Some(_) => match text.split_once('?') {
            None => text.to_owned(),
            Some((front, query)) => {
                let mut kept = Vec::new();
                for pair in query.split('&') {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    let value = percent_decode_str(value).decode_utf8_lossy();
                    if !wanted.take(name, &value)? {
                        kept.push(pair);
                    }
                }
                let mark = if kept.is_empty() { "" } else { "?" };
                format!("{front}{mark}{}", kept.join("&"))
            }
        },
        None => {
            let mut kept = Vec::new();
            for pair in text.split_whitespace() {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                if !wanted.take(name, value.trim_matches('\''))? {
                    kept.push(pair);
                }
            }
            match kept.len() < text.split_whitespace().count() {
                true => kept.join(" "),
                // With blanks inside quotes, if there are any.
                false => text.to_owned(),
            }
        }
    };
    Ok((rest, wanted))
}

impl Wanted {
    fn take(&mut self, name: &str, value: &str) -> Result<bool, ConnectError> {
        match name {
            "sslmode" => {
                let mode = value.parse().map_err(|()| ConnectError::TlsMode(value.to_owned()))?;
                self.mode = Some(mode);
            }
            "sslrootcert" => self.root_certificate = Some(PathBuf::from(value)),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// What the driver has to know: the rest is up to [`MakeTls`].
pub(crate) fn driver_mode(mode: TlsMode) -> SslMode {
    match mode {
        TlsMode::Disable => SslMode::Disable,
        TlsMode::Prefer => SslMode::Prefer,
        TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
    }
}

/// Encrypts the driver's streams as the data plane encrypts its own.
#[derive(Clone)]
pub(crate) struct MakeTls(Option<TlsConnector>);

impl MakeTls {
    pub(crate) fn new(tls: &Tls) -> io::Result<Self> {
        let connector = (tls.mode != TlsMode::Disable).then(|| tls.connector());
        connector.transpose().map(Self)
    }
}

impl<S> MakeTlsConnect<S> for MakeTls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Stream<S>;
    type TlsConnect = Connect;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Connect> {
        Ok(Connect { connector: self.0.clone(), host: host.to_owned() })
    }
}

/// One connection to be encrypted.
pub(crate) struct Connect {
    connector: Option<TlsConnector>,
    host: String,
}

impl<S> TlsConnect<S> for Connect
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Stream<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let connector = self.connector.ok_or_else(|| io::Error::other("sslmode is disable"))?;
            let encrypted = plinth_wire::encrypt(&connector, &self.host, stream).await?;
            Ok(Stream(Box::new(encrypted)))
        })
    }
}

/// An encrypted stream of the driver's.
pub(crate) struct Stream<S>(Box<TlsStream<S>>);

impl<S: AsyncRead + AsyncWrite + Unpin> tls::TlsStream for Stream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(self.0.as_mut()).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.0.as_mut()).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.0.as_mut()).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.0.as_mut()).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> (String, Tls) {
        let (rest, wanted) = take_parameters(text).unwrap();
        (rest, wanted.or_default(false))
    }

    #[test]
    fn parameters_of_encryption_are_taken_out_of_both_spellings() {
        let file = Some(PathBuf::from("/a b.pem"));
        let full = Tls { mode: TlsMode::VerifyFull, root_certificate: file };
        assert_eq!(
            taken("postgres://me@h/app?a=1&sslmode=verify-full&sslrootcert=%2Fa%20b.pem&b=2"),
            ("postgres://me@h/app?a=1&b=2".to_owned(), full)
        );
        let require = Tls { mode: TlsMode::Require, root_certificate: None };
        let only = taken("postgres://me@h/app?sslmode=require");
        assert_eq!(only, ("postgres://me@h/app".to_owned(), require.clone()));
        let pairs = taken("host=h sslmode='require' user=me");
        assert_eq!(pairs, ("host=h user=me".to_owned(), require));
        let quoted = "host=h options='-c a=b  -c c=d'";
        assert_eq!(taken(quoted).0, quoted);
    }

    #[test]
    fn nothing_said_means_encrypted_if_possible_except_on_this_machine() {
        let wanted = || take_parameters("postgres://me@h/app").unwrap().1;
        assert_eq!(wanted().or_default(false).mode, TlsMode::Prefer);
        assert_eq!(wanted().or_default(true).mode, TlsMode::Disable);
        let error = take_parameters("postgres://me@h/app?sslmode=yes").unwrap_err();
        assert!(matches!(error, ConnectError::TlsMode(mode) if mode == "yes"));
    }
}

//! The byte stream under a session.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use crate::{Host, Tls, TlsMode};

/// The message that asks whether the server can encrypt (PostgreSQL "Message Formats", SSLRequest).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

impl Socket {
    pub(crate) async fn connect(host: &Host, port: u16, tls: &Tls) -> io::Result<Self> {
        match host {
            Host::Tcp(name) => {
                let stream = dial(name, port).await?;
                if tls.mode == TlsMode::Disable {
                    return Ok(Self::Tcp(stream));
                }
                match encrypt(stream, name, tls).await {
                    // Then the server is asked for nothing, as libpq does.
                    Err(_) if tls.mode == TlsMode::Prefer => Ok(Self::Tcp(dial(name, port).await?)),
                    socket => socket,
                }
            }
            Host::Unix(folder) => {
                let path = folder.join(format!(".s.PGSQL.{port}"));
                Ok(Self::Unix(UnixStream::connect(path).await?))
            }
        }
    }

    /// The same stream, registered with the runtime of this thread.
    pub(crate) fn move_here(self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(TcpStream::from_std(stream.into_std()?)?),
            // Cannot be taken apart; its old runtime goes on to say when there is something to read.
            Self::Tls(stream) => Self::Tls(stream),
            Self::Unix(stream) => Self::Unix(UnixStream::from_std(stream.into_std()?)?),
        })
    }

    /// Whether bytes (or the end of the stream) have arrived that nobody asked for.
    pub(crate) fn has_unread(&self) -> bool {
        let mut probe = [0; 1];
        let read = match self {
            Self::Tcp(stream) => stream.try_read(&mut probe),
            Self::Tls(stream) => stream.get_ref().0.try_read(&mut probe),
            Self::Unix(stream) => stream.try_read(&mut probe),
        };
        !matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

async fn dial(name: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((name, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Asks the server to encrypt. One that cannot is talked to as it is if the mode allows it.
async fn encrypt(mut stream: TcpStream, name: &str, tls: &Tls) -> io::Result<Socket> {
    let connector = tls.connector()?;
    stream.write_all(&SSL_REQUEST).await?;
    // Exactly this byte: whatever came with it unencrypted would be taken for the server's own word.
    match stream.read_u8().await? {
        b'S' => {}
        _ if tls.mode == TlsMode::Prefer => return Ok(Socket::Tcp(stream)),
        _ => return Err(io::Error::other(format!("it cannot encrypt, and sslmode={}", tls.mode))),
    }
    Ok(Socket::Tls(Box::new(crate::tls::encrypt(&connector, name, stream).await?)))
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

//! How a session begins: start-up message and authentication (PostgreSQL "Message Flow", Start-up).

use std::io;

use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::{md5_hash, sasl};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use tokio::io::AsyncReadExt;

use super::{Connection, protocol_error};
use crate::cancel::CancelKey;
use crate::{ConnectConfig, DatabaseError, WireError};

impl Connection {
    pub(super) async fn start_up(&mut self, config: &ConnectConfig) -> Result<(), WireError> {
        let mut parameters = vec![
            ("user", config.user.as_str()),
            ("database", config.database.as_str()),
            ("client_encoding", "UTF8"),
            ("application_name", config.application_name.as_str()),
        ];
        parameters.extend(config.settings.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        frontend::startup_message(parameters, self.outgoing.messages()).map_err(protocol_error)?;
        self.flush_start_up().await?;
        self.authenticate(config).await?;
        loop {
            match self.next_start_up_message().await? {
                Message::BackendKeyData(body) => {
                    let (process, secret) = (body.process_id(), body.secret_key());
                    self.cancel_key = Some(CancelKey { process, secret });
                }
                Message::ReadyForQuery(_) => return Ok(()),
                _ => {}
            }
        }
    }

    async fn authenticate(&mut self, config: &ConnectConfig) -> Result<(), WireError> {
        let password = || {
            config.password.as_ref().map(|secret| secret.expose().as_bytes()).ok_or_else(|| {
                WireError::Protocol("the server asks for a password and none is given".to_owned())
            })
        };
        match self.next_start_up_message().await? {
            Message::AuthenticationOk => Ok(()),
            Message::AuthenticationMd5Password(body) => {
                let hashed = md5_hash(config.user.as_bytes(), password()?, body.salt());
                frontend::password_message(hashed.as_bytes(), self.outgoing.messages())
                    .map_err(protocol_error)?;
                self.flush_start_up().await?;
                self.expect_authenticated().await
            }
            Message::AuthenticationSasl(body) => {
                let offered: Vec<String> =
                    body.mechanisms().map(|name| Ok(name.to_owned())).collect().unwrap_or_default();
                if !offered.iter().any(|name| name == sasl::SCRAM_SHA_256) {
                    return Err(WireError::Protocol(format!(
                        "the server offers {} and not SCRAM-SHA-256",
                        offered.join(", ")
                    )));
                }
                self.authenticate_scram(password()?).await
            }
            _ => Err(WireError::Protocol(
                "the server asks for an authentication other than SCRAM-SHA-256 or MD5".to_owned(),
            )),
        }
    }

    async fn authenticate_scram(&mut self, password: &[u8]) -> Result<(), WireError> {
        let mut scram = sasl::ScramSha256::new(password, sasl::ChannelBinding::unsupported());
        frontend::sasl_initial_response(
            sasl::SCRAM_SHA_256,
            scram.message(),
            self.outgoing.messages(),
        )
        .map_err(protocol_error)?;
        self.flush_start_up().await?;
        let Message::AuthenticationSaslContinue(body) = self.next_start_up_message().await? else {
            return Err(WireError::Protocol("SCRAM was not continued".to_owned()));
        };
        scram.update(body.data()).map_err(protocol_error)?;
        frontend::sasl_response(scram.message(), self.outgoing.messages())
            .map_err(protocol_error)?;
        self.flush_start_up().await?;
        let Message::AuthenticationSaslFinal(body) = self.next_start_up_message().await? else {
            return Err(WireError::Protocol("SCRAM was not finished".to_owned()));
        };
        scram.finish(body.data()).map_err(protocol_error)?;
        self.expect_authenticated().await
    }

    async fn expect_authenticated(&mut self) -> Result<(), WireError> {
        match self.next_start_up_message().await? {
            Message::AuthenticationOk => Ok(()),
            _ => Err(WireError::Protocol("the server did not confirm the password".to_owned())),
        }
    }

    async fn flush_start_up(&mut self) -> Result<(), WireError> {
        self.outgoing.write_all(&mut self.socket).await.map_err(WireError::Connect)
    }

    async fn next_start_up_message(&mut self) -> Result<Message, WireError> {
        loop {
            if let Some(message) = Message::parse(&mut self.incoming).map_err(protocol_error)? {
                if let Message::ErrorResponse(body) = message {
                    let error = DatabaseError::parse(body.fields()).map_err(protocol_error)?;
                    return Err(WireError::Refused(Box::new(error)));
                }
                return Ok(message);
            }
            let read = self.socket.read_buf(&mut self.incoming).await;
            if read.map_err(WireError::Connect)? == 0 {
                return Err(WireError::Connect(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}

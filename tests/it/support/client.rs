//! A plain SMTP client over a blocking socket: sends what it is told and reads replies.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use mailsonde::tls_client::{self, Verify};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConnection, StreamOwned};

/// How long a reply may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// The two kinds of stream.
trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// One connection to a server.
pub(crate) struct Client {
    reader: BufReader<Box<dyn Wire>>,
    /// The socket itself, for time-outs and shutdown.
    pub(crate) socket: TcpStream,
    /// The certificate that the server showed.
    pub(crate) certificate: Option<CertificateDer<'static>>,
}

impl Client {
    /// Connects without reading the greeting.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// The same from an address of ours, such as 127.0.0.2.
    pub(crate) fn connect_from(own: &str, address: SocketAddr) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let own: std::net::IpAddr = own.parse().unwrap();
        socket.bind(&SocketAddr::new(own, 0).into()).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::over(socket.into())
    }

    /// A client over a connected socket.
    fn over(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        let wire: Box<dyn Wire> = Box::new(socket.try_clone().unwrap());
        Self { reader: BufReader::new(wire), socket, certificate: None }
    }

    /// Connects, reads the greeting and says EHLO.
    pub(crate) fn greeted(address: SocketAddr) -> Self {
        let mut client = Self::connect(address);
        client.expect("220");
        client.command("EHLO sender.example.org", "250");
        client
    }

    /// Connects, says EHLO, STARTTLS and EHLO again.
    pub(crate) fn within_tls(address: SocketAddr) -> Self {
        let mut client = Self::greeted(address);
        client.command("STARTTLS", "220");
        client.handshake().unwrap();
        client.command("EHLO sender.example.org", "250");
        client
    }

    /// Shakes hands; any certificate will do.
    pub(crate) fn handshake(&mut self) -> std::io::Result<()> {
        let client = tls_client::Client::new(&Verify::Off, false, "mx.example.com").unwrap();
        let mut connection = ClientConnection::new(client.config, client.name).unwrap();
        let mut socket = self.socket.try_clone()?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        self.certificate = connection
            .peer_certificates()
            .and_then(|chain| chain.first())
            .cloned()
            .map(CertificateDer::into_owned);
        let wire: Box<dyn Wire> = Box::new(StreamOwned::new(connection, socket));
        self.reader = BufReader::new(wire);
        Ok(())
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let wire = self.reader.get_mut();
        wire.write_all(bytes.as_ref()).unwrap();
        wire.flush().unwrap();
    }

    /// Sends bytes to a server that may be gone.
    pub(crate) fn send_ignoring_errors(&mut self, bytes: &[u8]) {
        let _ = self.reader.get_mut().write_all(bytes);
    }

    /// Reads one reply: all its lines, joined by LF. Empty at the end of the connection.
    pub(crate) fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let mut line = Vec::new();
            match self.reader.read_until(b'\n', &mut line) {
                Ok(0) => return reply,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return reply,
                Err(error) => panic!("no reply: {error}; so far {reply:?}"),
            }
            let line = String::from_utf8(line).unwrap();
            let line = line.strip_suffix("\r\n").expect("replies end in CRLF");
            reply.push_str(line);
            if line.as_bytes().get(3) != Some(&b'-') {
                return reply;
            }
            reply.push('\n');
        }
    }

    /// Reads one reply and checks its code.
    #[track_caller]
    pub(crate) fn expect(&mut self, code: &str) -> String {
        let reply = self.reply();
        let last = reply.lines().last().unwrap_or_default();
        assert!(last.starts_with(code), "wanted {code}, got {reply:?}");
        reply
    }

    /// Sends one command and checks the code of its reply.
    #[track_caller]
    pub(crate) fn command(&mut self, line: &str, code: &str) -> String {
        self.send(format!("{line}\r\n"));
        self.expect(code)
    }

    /// Sends a message with its dots stuffed, and gives the reply to its end.
    #[track_caller]
    pub(crate) fn deliver(&mut self, from: &str, to: &str, message: &[u8]) -> String {
        self.command(&format!("MAIL FROM:<{from}>"), "250");
        self.command(&format!("RCPT TO:<{to}>"), "250");
        self.command("DATA", "354");
        let mut data = Vec::with_capacity(message.len() + 5);
        for line in message.split_inclusive(|b| *b == b'\n') {
            if line.starts_with(b".") {
                data.push(b'.');
            }
            data.extend_from_slice(line);
        }
        if !data.ends_with(b"\r\n") && !data.is_empty() {
            data.extend_from_slice(b"\r\n");
        }
        data.extend_from_slice(b".\r\n");
        self.send(data);
        self.reply()
    }

    /// Checks that the server has closed, with nothing more to say.
    #[track_caller]
    pub(crate) fn expect_closed(&mut self) {
        assert_eq!(self.reply(), "", "the connection is closed");
    }

    /// True if nothing comes within `wait`.
    pub(crate) fn is_quiet(&mut self, wait: Duration) -> bool {
        self.socket.set_read_timeout(Some(wait)).unwrap();
        let mut byte = [0];
        let quiet = match self.reader.read(&mut byte) {
            Ok(count) => count == 0,
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        };
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        quiet
    }
}

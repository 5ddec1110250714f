//! A client that sends bytes, whatever they are.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// Far beyond what anything takes; only a hanging test gets there.
const PATIENCE: Duration = Duration::from_mins(1);

/// A connection on which these bytes were sent.
pub fn send(address: &str, bytes: &[u8]) -> TcpStream {
    let mut connection = TcpStream::connect(address).expect("a connection");
    connection.set_read_timeout(Some(PATIENCE)).expect("set");
    // It may be closed before all is sent.
    let _ = connection.write_all(bytes);
    connection
}

/// What comes until the connection is closed.
pub fn read(mut connection: TcpStream) -> String {
    let mut bytes = Vec::new();
    match connection.read_to_end(&mut bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("it is never closed"),
        // Reset, for it was closed with bytes of ours unread.
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// What these bytes are answered with by a gateway that closes after them.
pub fn exchange(address: &str, bytes: &[u8]) -> String {
    read(send(address, bytes))
}

/// The same for bytes of which the client says that no more will come.
pub fn cut_off(address: &str, bytes: &[u8]) -> String {
    let connection = send(address, bytes);
    let _ = connection.shutdown(Shutdown::Write);
    read(connection)
}

/// A request with this head and body, after which the connection is to be closed.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let own = [("host", "localhost"), ("connection", "close")];
    let headers: Vec<_> = own.iter().chain(headers).map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    [format!("{method} {path} HTTP/1.1\r\n{}\r\n", headers.concat()).as_bytes(), body].concat()
}

/// The status of an answer; 0 if there is none.
pub fn status(answer: &str) -> u16 {
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

//! A sink over mailin-embedded 0.8.3 that stores nothing: `mailin-sink ADDRESS [THREADS]`.
//!
//! Prints the address that it listens on and serves until it is killed. Everything is as the crate gives
//! it, but TCP_NODELAY, which is set by the listener: a fair baseline, not a straw man.

use std::io::Write;
use std::net::TcpListener;

use mailin_embedded::response::OK;
use mailin_embedded::{Handler, Response, Server};

/// Takes every message and keeps nothing.
#[derive(Clone)]
struct Discard;

impl Handler for Discard {
    fn data_end(&mut self) -> Response {
        OK
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let threads = arguments.next().map_or(Ok(64), |text| text.parse())?;
    let listener = TcpListener::bind(address)?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    let mut server = Server::new(Discard);
    server.with_name("mx.example.com").with_num_threads(threads).with_tcp_listener(listener);
    server.serve()?;
    Ok(())
}

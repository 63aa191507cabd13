//! The listening socket.
//!
//! `may` binds with `SO_REUSEPORT`, so that a second server would silently share the port, and with a backlog
//! of its own. The public listener makes its own socket, and says when the port is taken.

use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::net::{
    bind, listen as start_listening, socket_with, sockopt, AddressFamily, SocketFlags, SocketType,
};

/// A socket that listens on `address`, with a backlog of at most `backlog` connections. Port 0 is any free port.
///
/// # Errors
/// The system's, with its kind, and in words that say what can be done about it.
pub fn listen(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    open(address, backlog).map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => "another server listens there; stop it or choose another port",
            io::ErrorKind::AddrNotAvailable => {
                "this machine has no such address; 127.0.0.1 and 0.0.0.0 it always has"
            }
            io::ErrorKind::PermissionDenied => "this process may not use that port; those from 1024 it may",
            _ => return error,
        };
        io::Error::new(error.kind(), advice)
    })
}

fn open(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    // A port that only old connections in TIME_WAIT use is free.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    start_listening(&socket, backlog)?;
    Ok(TcpListener::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_said_to_be_taken() {
        let first = listen("127.0.0.1:0".parse().unwrap(), 16).unwrap();
        let address = first.local_addr().unwrap();
        let error = listen(address, 16).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains("another server"));
        drop(first);
        listen(address, 16).unwrap();
    }

    #[test]
    fn an_address_of_another_machine_is_said_to_be_so() {
        let error = listen("192.0.2.1:0".parse().unwrap(), 16).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }
}

//! A way to a server that can be shut: what is on it then is cut off, and nobody gets in.

use std::io::copy;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Stands open until it is shut.
pub struct Door {
    pub address: SocketAddr,
    inside: Arc<Mutex<Inside>>,
}

#[derive(Default)]
struct Inside {
    is_shut: bool,
    streams: Vec<TcpStream>,
}

impl Door {
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let inside = Arc::new(Mutex::new(Inside::default()));
        let within = inside.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut inside = within.lock().expect("not poisoned");
                let Some(server) = Some(()).filter(|()| !inside.is_shut).and_then(|()| TcpStream::connect(server).ok())
                else {
                    continue;
                };
                for (from, to) in [(&stream, &server), (&server, &stream)] {
                    let (mut from, mut to) = (from.try_clone().expect("cloned"), to.try_clone().expect("cloned"));
                    inside.streams.push(from.try_clone().expect("cloned"));
                    std::thread::spawn(move || {
                        // However it ends, it is over in both directions.
                        let _ = copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { address, inside }
    }

    pub fn shut(&self) {
        let mut inside = self.inside.lock().expect("not poisoned");
        inside.is_shut = true;
        for stream in inside.streams.drain(..) {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn open(&self) {
        self.inside.lock().expect("not poisoned").is_shut = false;
    }
}

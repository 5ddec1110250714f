//! A collector of traces: takes OTLP over HTTP and keeps the spans.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

/// Listens until the test ends.
pub struct Collector {
    pub address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
}

/// Spans of one trace, by their hexadecimal ids.
pub struct Trace(BTreeMap<String, Span>);

impl Collector {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let spans = Arc::new(Mutex::new(Vec::new()));
        let kept = spans.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                take(stream, &kept);
            }
        });
        Self { address, spans }
    }

    /// What was collected of a trace.
    pub fn trace(&self, id: &str) -> Trace {
        let spans = self.spans.lock().expect("not poisoned");
        let of_trace = spans.iter().filter(|span| hex(&span.trace_id) == id);
        Trace(of_trace.map(|span| (hex(&span.span_id), span.clone())).collect())
    }
}

impl Trace {
    /// The span of this name below one, if there is one.
    pub fn below(&self, parent: &str, name: &str) -> Option<String> {
        let is_it = |span: &&Span| span.name == name && hex(&span.parent_span_id) == parent;
        self.0.values().find(is_it).map(|span| hex(&span.span_id))
    }

    /// What is said of a span.
    pub fn says(&self, id: &str, field: &str) -> Option<String> {
        let attribute = self.0.get(id)?.attributes.iter().find(|attribute| attribute.key == field)?;
        Some(format!("{:?}", attribute.value.as_ref()?.value))
    }

    /// Each span with its parent, for people.
    pub fn shown(&self) -> String {
        let lines =
            self.0.iter().map(|(id, span)| format!("{id} below {:?}: {}", hex(&span.parent_span_id), span.name));
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |four: u8| char::from_digit(u32::from(four), 16).unwrap_or('?');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// One request on a connection.
fn take(stream: TcpStream, spans: &Mutex<Vec<Span>>) {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).expect("a request");
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    if first.starts_with("POST /v1/traces ") {
        let request = ExportTraceServiceRequest::decode(body.as_slice()).expect("OTLP");
        let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        spans.lock().expect("not poisoned").extend(scopes.flat_map(|scope| scope.spans));
    }
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    reader.into_inner().write_all(answer).expect("answered");
}

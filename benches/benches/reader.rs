//! What the generator's reader costs: 16 MiB that arrive in pieces, with a length and in chunks of
//! 1 KiB, and small answers that arrive whole. The bar: chunks cost at most 1.5 times as much as a
//! length, however the answer is cut.

use std::hint::black_box;

use benches as _;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use loadgen::limits::Limits;
use loadgen::transport::{Arrival, Budget, Inbound, Reader};

/// Bytes that the generator reads from a socket at a time.
const PIECE: usize = 64 << 10;
const BODY: usize = 16 << 20;
const CHUNK: usize = 1 << 10;

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 31 % 251) as u8).collect()
}

fn with_length(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn in_chunks(body: &[u8], size: usize) -> Vec<u8> {
    let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(size) {
        answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        answer.extend_from_slice(chunk);
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"0\r\n\r\n");
    answer
}

/// Reads an answer as it arrives, and gives its body to `whole`.
///
/// It is the reader of a load, given what one read of a socket gives it. Every answer is compared
/// with its source before it is timed.
fn read<R>(reader: &Reader, answer: &[u8], mut whole: impl FnMut(&[u8]) -> R) -> R {
    let mut inbound = Inbound::default();
    for bytes in answer.chunks(PIECE) {
        let arrival = Arrival { bytes, to_head: false, ended: false };
        let taken = reader.take(&mut inbound, arrival, |answer| {
            assert!(answer.status == 200 && answer.behind == 0, "another answer");
            whole(&answer.body)
        });
        if let Some(result) = taken.expect("an answer that can be read") {
            return result;
        }
    }
    panic!("expected a whole answer");
}

fn reader(c: &mut Criterion) {
    let limits = Limits::default();
    let reader = Reader::new(limits, Budget::new(limits.buffered_bytes));
    let mut group = c.benchmark_group("reader");
    let (large, small) = (body(BODY), body(100));
    for (name, body, answer) in [
        ("16 MiB, length", &large, with_length(&large)),
        ("16 MiB, chunks of 1 KiB", &large, in_chunks(&large, CHUNK)),
        ("100 bytes, length", &small, with_length(&small)),
        ("100 bytes, one chunk", &small, in_chunks(&small, CHUNK)),
    ] {
        read(&reader, &answer, |read| assert!(read == body, "{name}: another body"));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| read(&reader, black_box(&answer), |body| black_box(body.len())));
        });
    }
    group.finish();
}

criterion_group!(benches, reader);
criterion_main!(benches);

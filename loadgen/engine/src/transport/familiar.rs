//! Knows an answer whose head has come before, byte for byte, and does not parse it again.

use super::http1::Whole;

/// Fields of a head that is remembered, at most.
const FIELDS_MOST: usize = 16;
/// Answers with other heads before one of those is remembered instead. Where every head differs,
/// remembering then costs next to nothing.
const OTHERS: u32 = 16;

/// Room for the header fields of an answer.
pub(super) type Room<'a> = [httparse::Header<'a>; FIELDS_MOST];

/// Room for header fields.
pub(super) const fn room<'a>() -> Room<'a> {
    [httparse::EMPTY_HEADER; FIELDS_MOST]
}

/// The head of an earlier answer, and what follows from it.
///
/// The answers of a server hardly differ: within a second most have the same head. Status, fields,
/// the length of the body and the fate of the connection follow from the head alone, so an answer
/// that begins with the same bytes is read by comparing them. It must never find anything that
/// `http1::read` would not; a property test compares the two.
#[derive(Debug, Default)]
pub(super) struct Familiar {
    /// Empty before the first.
    head: Vec<u8>,
    status: u16,
    fields: Vec<(String, Vec<u8>)>,
    /// Bytes of the body.
    length: usize,
    keep_alive: bool,
    /// Answers with other heads since it was remembered.
    others: u32,
}

impl Familiar {
    /// Whether these bytes begin with the head, and with a whole body behind it.
    #[inline]
    pub(super) fn knows(&self, bytes: &[u8]) -> bool {
        let most = bytes.len().checked_sub(self.length);
        !self.head.is_empty()
            && most.is_some_and(|most| most >= self.head.len())
            && bytes.starts_with(&self.head)
    }

    /// The answer that these bytes begin with, which it [knows](Familiar::knows).
    #[inline]
    pub(super) fn answer<'h, 'a>(
        &'a self,
        bytes: &'a [u8],
        room: &'h mut Room<'a>,
    ) -> Whole<'h, 'a> {
        let (body, behind) = bytes[self.head.len()..].split_at(self.length);
        let headers = &mut room[..self.fields.len()];
        for (header, (name, value)) in headers.iter_mut().zip(&self.fields) {
            *header = httparse::Header { name, value };
        }
        Whole {
            status: self.status,
            headers,
            body: body.into(),
            behind: behind.len(),
            keep_alive: self.keep_alive,
            head: Some(self.head.len()),
        }
    }

    /// Remembers the head of an answer that was read from these bytes, as soon as enough others
    /// have come. The request must not have been a HEAD, whose answer has another body.
    pub(super) fn remember(&mut self, bytes: &[u8], answer: &Whole<'_, '_>) {
        let Some(head) = answer.head.filter(|_| answer.headers.len() <= FIELDS_MOST) else {
            return;
        };
        self.others += 1;
        if self.others < OTHERS && !self.head.is_empty() {
            return;
        }
        self.others = 0;
        self.head.clear();
        self.head.extend_from_slice(&bytes[..head]);
        self.status = answer.status;
        let field = |field: &httparse::Header<'_>| (field.name.into(), field.value.into());
        self.fields = answer.headers.iter().map(field).collect();
        self.length = answer.body.len();
        self.keep_alive = answer.keep_alive;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::http1::{self, Read};
    use super::*;
    use crate::limits::Limits;

    const HEADS: [&str; 12] = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nX: a\r\n\r\n",
        "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nSet-Cookie: a=b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2x\r\n\r\n",
    ];
    const BODIES: [&str; 5] = ["", "ab", "abc", "2\r\nab\r\n0\r\n\r\n", "abHTTP/1.1 200 OK\r\n"];

    /// What an answer comes to, to compare.
    fn seen(answer: &Whole<'_, '_>) -> impl PartialEq + std::fmt::Debug + use<> {
        let Whole { status, headers, body, behind, keep_alive, head } = answer;
        let field = |h: &httparse::Header<'_>| (h.name.to_string(), h.value.to_vec());
        let fields: Vec<_> = headers.iter().map(field).collect();
        (*status, fields, body.to_vec(), *behind, *keep_alive, *head)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn what_it_knows_is_what_a_parser_finds(
            answers in prop::collection::vec((0..HEADS.len(), 0..BODIES.len(), 0..90usize), 1..60),
            few in 1..=HEADS.len(),
        ) {
            let mut familiar = Familiar::default();
            let limits = Limits::default();
            for (head, body, cut) in answers {
                // Few heads come again more often.
                let whole = [HEADS[head % few], BODIES[body]].concat();
                // Three of four come uncut.
                let cut = if cut % 4 == 0 { cut.min(whole.len()) } else { whole.len() };
                let bytes = &whole.as_bytes()[..cut];
                let mut room = http1::room();
                let parsed = http1::read(bytes, false, false, &limits, &mut room);
                if familiar.knows(bytes) {
                    let Ok(Read::Whole(parsed)) = parsed else { panic!("{parsed:?}: {bytes:?}") };
                    let mut room = self::room();
                    prop_assert_eq!(seen(&familiar.answer(bytes, &mut room)), seen(&parsed));
                } else if let Ok(Read::Whole(parsed)) = parsed {
                    familiar.remember(bytes, &parsed);
                }
            }
        }
    }

    #[test]
    fn the_same_head_is_known_again_and_another_after_a_while() {
        let mut familiar = Familiar::default();
        let limits = Limits::default();
        let mut remember = |text: &str| {
            let mut room = http1::room();
            let read = http1::read(text.as_bytes(), false, false, &limits, &mut room);
            let Ok(Read::Whole(answer)) = read else { panic!("{read:?}") };
            familiar.remember(text.as_bytes(), &answer);
            [HEADS[0], HEADS[1]].map(|head| familiar.knows(format!("{head}ab!").as_bytes()))
        };
        let (first, second) = (format!("{}ab", HEADS[0]), format!("{}abc", HEADS[1]));
        assert_eq!(remember(&first), [true, false]);
        for _ in 1..OTHERS {
            assert_eq!(remember(&second), [true, false]);
        }
        assert_eq!(remember(&second), [false, true]);
        // A body that is decoded from chunks has no length of its own.
        for _ in 0..2 * OTHERS {
            assert_eq!(remember(&[HEADS[7], BODIES[3]].concat()), [false, true]);
        }
    }
}

//! How much of an answer this program reads, and what each limit is called.

/// What an answer may be at most, and what all unfinished ones may take.
///
/// A server may send anything: a head, a body or interim answers without end. A client that reads
/// one reads no more than this, so that a run ends and keeps within its memory whatever the server
/// does. A limit has one name in records, one flag of `run` and one sentence, and they stand
/// together here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// Bytes of the head, with those of the interim answers before it.
    pub head_bytes: usize,
    /// Header fields, and trailer fields; at most [`FIELDS_MOST`].
    pub fields: usize,
    /// Interim answers (1xx) before the answer itself.
    pub interim: usize,
    /// Bytes of the body, without its framing.
    pub body_bytes: usize,
    /// Bytes of all chunk extensions and trailers of an answer.
    pub framing_bytes: usize,
    /// Bytes that all answers of a load may take while they are in pieces.
    pub buffered_bytes: usize,
}

/// The most that [`Limits::fields`] may be: a reader has room for so many.
pub const FIELDS_MOST: usize = 256;

impl Limits {
    /// What holds unless a flag says otherwise.
    pub const DEFAULT: Self = Self {
        head_bytes: 64 << 10,
        fields: 100,
        interim: 16,
        body_bytes: 16 << 20,
        framing_bytes: 16 << 10,
        buffered_bytes: 20 << 20,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The limit that an answer exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// [`Limits::head_bytes`].
    Head,
    /// [`Limits::fields`].
    Fields,
    /// [`Limits::interim`].
    Interim,
    /// [`Limits::body_bytes`].
    Body,
    /// [`Limits::framing_bytes`].
    Framing,
    /// [`Limits::buffered_bytes`].
    Buffered,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Self; 6] =
        [Self::Head, Self::Fields, Self::Interim, Self::Body, Self::Framing, Self::Buffered];

    /// Name of the class of errors in records.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Head => "head_too_large",
            Self::Fields => "too_many_fields",
            Self::Interim => "too_many_interim",
            Self::Body => "body_too_large",
            Self::Framing => "framing_too_large",
            Self::Buffered => "buffer_full",
        }
    }

    /// The flag of `run` that raises it.
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Head => "--max-head",
            Self::Fields => "--max-fields",
            Self::Interim => "--max-interim",
            Self::Body => "--max-body",
            Self::Framing => "--max-framing",
            Self::Buffered => "--max-buffered",
        }
    }

    /// What such an answer has, as a clause for people.
    pub const fn exceeded(self) -> &'static str {
        match self {
            Self::Head => "a head over the limit",
            Self::Fields => "more header fields than the limit",
            Self::Interim => "more interim answers than the limit",
            Self::Body => "a body over the limit",
            Self::Framing => "chunk extensions and trailers over the limit",
            Self::Buffered => "more unfinished bytes than all answers may take together",
        }
    }
}

//! Other texts of a signature by ECDSA on P-256: two numbers of 32 bytes, r and s.

/// The order of the curve's base point, n (SEC 2, 2.4.2).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The same with n - s in the place of s, which verifies as well.
pub(super) fn mirrored(raw: &[u8; 64]) -> [u8; 64] {
    let mut other = *raw;
    let mut borrow = false;
    for at in (0..ORDER.len()).rev() {
        let (digit, first) = ORDER[at].overflowing_sub(raw[ORDER.len() + at]);
        let (digit, second) = digit.overflowing_sub(u8::from(borrow));
        other[ORDER.len() + at] = digit;
        borrow = first || second;
    }
    other
}

/// The signature as two integers of ASN.1.
pub(super) fn der(raw: &[u8]) -> Vec<u8> {
    let integer = |half: &[u8]| {
        let zeros = half.iter().take_while(|byte| **byte == 0).count().min(half.len() - 1);
        let digits = &half[zeros..];
        let sign: &[u8] = if digits[0] >= 0x80 { &[0] } else { &[] };
        let length = (sign.len() + digits.len()) as u8;
        [&[2, length], sign, digits].concat()
    };
    let (r, s) = raw.split_at(raw.len() / 2);
    let both = [integer(r), integer(s)].concat();
    [&[0x30, both.len() as u8][..], &both].concat()
}

/// Signatures with a half at the edge of what may be.
pub(super) fn edges(raw: &[u8]) -> Vec<Vec<u8>> {
    let (zero, mut one, mut below) = ([0; 32], [0; 32], ORDER);
    one[31] = 1;
    below[31] -= 1;
    let edges = [zero, one, below, ORDER];
    let (r, s) = raw.split_at(32);
    let mut all = Vec::new();
    for edge in edges {
        all.push([&edge, s].concat());
        all.push([r, &edge].concat());
        all.extend(edges.iter().map(|other| [edge, *other].concat()));
    }
    all
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, KeyPair as _, UnparsedPublicKey};

    use super::*;
    use crate::attack::key::Key;

    #[test]
    fn the_mirrored_signature_is_another_one_and_verifies() {
        let key = Key::ecdsa().unwrap();
        let Key::Ecdsa(pair) = &key else { panic!("a key on P-256") };
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key());
        for message in [b"one".as_slice(), b"two", b"three"] {
            let raw: [u8; 64] = key.sign(message).try_into().unwrap();
            let other = mirrored(&raw);
            assert_ne!(other, raw);
            assert_eq!(mirrored(&other), raw);
            public.verify(message, &other).unwrap();
            assert!(public.verify(b"another", &other).is_err());
        }
    }
}

//! The cart: state that grows, kept in a session record or carried in a token.

use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Most items a cart holds.
pub const ITEMS_MAX: usize = 64;
/// Most bytes an item has.
pub const ITEM_BYTES_MAX: usize = 64;

/// Why an item was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CartError {
    /// The cart has [`ITEMS_MAX`] items.
    #[error("expected at most {ITEMS_MAX} items, found one more")]
    Full,
    /// The item is empty, has more than [`ITEM_BYTES_MAX`] bytes, or has a control character.
    #[error("expected an item of 1 to {ITEM_BYTES_MAX} bytes without control characters")]
    Item,
}

fn is_item(text: &str) -> bool {
    (1..=ITEM_BYTES_MAX).contains(&text.len()) && !text.bytes().any(|byte| byte.is_ascii_control())
}

/// Items in the order in which they were added. It serialises as an array of strings.
///
/// It is bounded, and by the same numbers for every arm, because a token that carries it must stay
/// under the limit of a request head. That is why an item holds no control characters: in JSON each
/// of them takes six bytes. A cart is a shared slice behind one pointer, eight bytes
/// where empty: reading a session copies its record, and must not copy the cart with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cart(Option<Arc<Vec<Box<str>>>>);

impl Cart {
    /// The items, oldest first.
    #[must_use]
    pub fn items(&self) -> &[Box<str>] {
        self.0.as_ref().map_or(&[], |items| items.as_slice())
    }

    /// Whether the cart is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items().is_empty()
    }

    /// This cart with one item more.
    ///
    /// # Errors
    /// [`CartError::Full`] and [`CartError::Item`], see there.
    pub fn with(&self, item: &str) -> Result<Self, CartError> {
        if !is_item(item) {
            return Err(CartError::Item);
        }
        let old = self.items();
        if old.len() == ITEMS_MAX {
            return Err(CartError::Full);
        }
        let mut items = Vec::with_capacity(old.len() + 1);
        items.extend_from_slice(old);
        items.push(item.into());
        Ok(Self(Some(Arc::new(items))))
    }

    /// A cart of these items.
    ///
    /// # Errors
    /// [`CartError`] where they break a limit.
    pub fn of<'a>(items: impl ExactSizeIterator<Item = &'a str>) -> Result<Self, CartError> {
        match items.len() {
            0 => return Ok(Self(None)),
            n if n > ITEMS_MAX => return Err(CartError::Full),
            _ => {}
        }
        let items: Vec<Box<str>> = items.map(Into::into).collect();
        if !items.iter().all(|item| is_item(item)) {
            return Err(CartError::Item);
        }
        Ok(Self(Some(Arc::new(items))))
    }
}

impl Serialize for Cart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.items())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cart_is_one_pointer_and_keeps_to_its_limits() {
        assert_eq!(size_of::<Cart>(), 8);
        let mut cart = Cart::default();
        for n in 0..ITEMS_MAX {
            cart = cart.with(&n.to_string()).unwrap();
        }
        assert_eq!(cart.with("more"), Err(CartError::Full));
        assert_eq!(Cart::default().with(""), Err(CartError::Item));
        assert_eq!(Cart::default().with(&"x".repeat(65)), Err(CartError::Item));
        for control in ["a\0", "\n", "a\u{1b}b", "\u{7f}"] {
            assert_eq!(Cart::default().with(control), Err(CartError::Item));
            assert_eq!(Cart::of([control].into_iter()), Err(CartError::Item));
        }
        assert_eq!(Cart::of(cart.items().iter().map(|item| &**item)).unwrap(), cart);
    }
}

//! The memory of a filter. A hook takes a few small pieces and gives them back: from lists of pieces of one size that costs a few
//! instructions, where the allocator of std, which puts neighbours together again, takes a hundred.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;

/// Bytes of the smallest pieces.
const SMALLEST: usize = 16;
/// What all are aligned to: no more than the allocator of std does without padding.
const ALIGN: usize = 8;
/// Each is twice as large as the one before. What is larger than the last, of 1 KiB, comes from std.
const SIZES: usize = 7;

/// See the module. Pieces that are given back stay in the list of their size.
#[derive(Debug)]
pub struct Lists([Cell<*mut Free>; SIZES]);

/// What is in a piece that nobody has.
#[derive(Debug)]
struct Free {
    next: *mut Free,
}

// SAFETY: a guest has one thread; a target with several does not use this.
unsafe impl Sync for Lists {}

impl Lists {
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Lists([const { Cell::new(ptr::null_mut()) }; SIZES])
    }
}

/// Which list has pieces for this; `None`: none.
#[inline]
fn list(layout: Layout) -> Option<usize> {
    let bits = usize::BITS - (layout.size().wrapping_sub(1) | (SMALLEST - 1)).leading_zeros();
    let list = (bits - SMALLEST.trailing_zeros()) as usize;
    (list < SIZES && layout.align() <= ALIGN).then_some(list)
}

#[cold]
fn fresh(list: usize) -> *mut u8 {
    // SAFETY: the size is not zero, and both are powers of two.
    unsafe { System.alloc(Layout::from_size_align_unchecked(SMALLEST << list, ALIGN)) }
}

// SAFETY: a piece is in a list or somebody's, never both; each list has pieces of its size, from std, which has no more to do with them.
unsafe impl GlobalAlloc for Lists {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(list) = list(layout) else {
            // SAFETY: the caller's.
            return unsafe { System.alloc(layout) };
        };
        let first = self.0[list].get();
        if first.is_null() {
            return fresh(list);
        }
        // SAFETY: what is in a list is free, and was written by `dealloc`.
        self.0[list].set(unsafe { (*first).next });
        first.cast()
    }

    #[inline]
    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        let Some(list) = list(layout) else {
            // SAFETY: the caller's: it came from there.
            return unsafe { System.dealloc(piece, layout) };
        };
        let piece: *mut Free = piece.cast();
        // SAFETY: the caller gives it back, and the smallest one has room for a pointer.
        unsafe { piece.write(Free { next: self.0[list].get() }) };
        self.0[list].set(piece);
    }

    #[inline]
    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's.
        let other = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (list(layout), list(other)) {
            (Some(one), Some(other)) if one == other => piece,
            // SAFETY: the caller's: it came from there, and stays there.
            (None, None) => unsafe { System.realloc(piece, layout, size) },
            _ => {
                // SAFETY: the caller's; both pieces have that many bytes, and are two.
                unsafe {
                    let moved = self.alloc(other);
                    if !moved.is_null() {
                        ptr::copy_nonoverlapping(piece, moved, layout.size().min(size));
                        self.dealloc(piece, layout);
                    }
                    moved
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 1).unwrap()
    }

    #[test]
    fn each_size_has_its_list() {
        let lists = [(1, Some(0)), (16, Some(0)), (17, Some(1)), (32, Some(1)), (33, Some(2)), (1024, Some(6)), (1025, None)];
        for (size, expected) in lists {
            assert_eq!(list(layout(size)), expected, "{size}");
        }
        assert_eq!(list(Layout::from_size_align(8, 16).unwrap()), None);
    }

    #[test]
    fn what_is_given_back_is_given_out_again() {
        let lists = Lists::new();
        // SAFETY: each piece is used with its layout, and until it is given back.
        unsafe {
            let (one, other) = (lists.alloc(layout(20)), lists.alloc(layout(32)));
            assert_ne!(one, other);
            lists.dealloc(one, layout(20));
            lists.dealloc(other, layout(32));
            assert_eq!([lists.alloc(layout(30)), lists.alloc(layout(17))], [other, one]);
            lists.dealloc(one, layout(17));
            lists.dealloc(other, layout(30));
        }
    }

    #[test]
    fn what_grows_and_shrinks_keeps_its_bytes() {
        let lists = Lists::new();
        // SAFETY: as above.
        unsafe {
            let mut size = 1;
            let mut piece = lists.alloc(layout(size));
            piece.write(7);
            for next in [2, 16, 17, 900, 1024, 1025, 5000, 3000, 1000, 20, 1] {
                piece = lists.realloc(piece, layout(size), next);
                size = next;
                assert_eq!(piece.read(), 7, "{size}");
                assert!(piece.cast::<Free>().is_aligned());
            }
            lists.dealloc(piece, layout(size));
        }
    }
}

//! An allocator for programs that do their work and end.
//!
//! A launch makes a few thousand small allocations and keeps most of them to its end. General allocators ask the kernel for memory
//! piece by piece, and give pieces back that are asked for again at once; each time costs page faults. [`Arena`] hands out one
//! region from its start. What was handed out last can grow and be taken back in place; anything else stays used until the
//! program ends. Once the region is used up the system's allocator takes over, so a program that goes on for long needs no more
//! than the region on top of what it would need anyway.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A global allocator whose region has this many bytes, of which only the first `FIRST` are used until [`Arena::allow`] says otherwise: most
/// programs end soon. Pages of it that are never used take no memory.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: sys::arena::Arena<{ 64 << 10 }> = sys::arena::Arena::new();
///
/// fn main() {
///     assert_eq!(vec![1; 10].len(), 10);
/// }
/// ```
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Arena<const SIZE: usize, const FIRST: usize = { usize::MAX }> {
    // All of it begins as zeros, or it would be a part of the program's file.
    /// How much of the region is handed out. In front of it, on a page that is touched anyway.
    used: AtomicUsize,
    /// How far it was handed out before some of that was taken back: what lies behind was never written to.
    reused: AtomicUsize,
    /// Whether all of it may be handed out.
    allowed: AtomicBool,
    region: Region<SIZE>,
}

#[derive(Debug)]
#[repr(align(16))]
struct Region<const SIZE: usize>(UnsafeCell<[u8; SIZE]>);

// SAFETY: bytes of the region are reached only through allocations, which do not overlap, for `used` is changed atomically.
unsafe impl<const SIZE: usize> Sync for Region<SIZE> {}

impl<const SIZE: usize, const FIRST: usize> Arena<SIZE, FIRST> {
    /// An allocator that has handed out nothing yet.
    #[allow(clippy::new_without_default, reason = "a default would be a copy of the region on the stack")]
    pub const fn new() -> Self {
        Self {
            used: AtomicUsize::new(0),
            reused: AtomicUsize::new(0),
            allowed: AtomicBool::new(false),
            region: Region(UnsafeCell::new([0; SIZE])),
        }
    }

    /// Allows the whole region to be used.
    pub fn allow(&self) {
        self.allowed.store(true, Ordering::Relaxed);
    }

    fn limit(&self) -> usize {
        if self.allowed.load(Ordering::Relaxed) { SIZE } else { FIRST.min(SIZE) }
    }

    /// Has the kernel provide the first `bytes` of the allocator at once, which costs less than one page after the other
    /// (`MADV_POPULATE_WRITE`, Linux 5.14; older kernels do nothing).
    pub fn provide(&self, bytes: usize) {
        populate(&raw const *self as usize, bytes.min(SIZE));
    }

    fn start(&self) -> usize {
        self.region.0.get() as usize
    }

    /// Where in the region an allocation begins; none for one of the system's allocator.
    fn offset(&self, at: *mut u8) -> Option<usize> {
        (at as usize).checked_sub(self.start()).filter(|offset| *offset < SIZE)
    }

    /// Takes `layout.size()` bytes from the region; none if it has not that many.
    fn take(&self, layout: Layout) -> Option<*mut u8> {
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let begin = (self.start() + used).checked_next_multiple_of(layout.align())? - self.start();
            let end = begin.checked_add(layout.size()).filter(|end| *end <= self.limit())?;
            // Whoever takes what was taken back sees that it was.
            match self.used.compare_exchange_weak(used, end, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(self.region.0.get().cast::<u8>().wrapping_add(begin)),
                Err(other) => used = other,
            }
        }
    }

    /// Gives what begins at `offset` the size `new`, if it was handed out last.
    fn resize_last(&self, offset: usize, old: usize, new: usize) -> bool {
        let Some(end) = offset.checked_add(new).filter(|end| *end <= self.limit()) else { return false };
        if new < old {
            self.reused.fetch_max(offset + old, Ordering::Relaxed);
        }
        self.used.compare_exchange(offset + old, end, Ordering::Release, Ordering::Relaxed).is_ok()
    }
}

/// Has the kernel provide the next `bytes` of the calling thread's stack at once, as [`Arena::provide`] does.
pub fn provide_stack(bytes: usize) {
    const PAGE: usize = 4096;
    let here = 0u8;
    let end = (&raw const here as usize) / PAGE * PAGE;
    let bytes = bytes / PAGE * PAGE;
    populate(end.saturating_sub(bytes), bytes);
}

/// Makes the pages of a range present, as far as it is memory that may be written.
fn populate(start: usize, bytes: usize) {
    const MADV_POPULATE_WRITE: usize = 23;
    // SAFETY: the content of memory does not change.
    let _ = unsafe { crate::raw::syscall!(crate::raw::nr::MADVISE, start, bytes, MADV_POPULATE_WRITE) };
}

// SAFETY: `take` hands out every byte once, aligned as asked; what it cannot give comes from the system's allocator, and an address
// tells which of the two it is from.
unsafe impl<const SIZE: usize, const FIRST: usize> GlobalAlloc for Arena<SIZE, FIRST> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.take(layout) {
            Some(at) => at,
            // SAFETY: the caller's promise.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let Some(at) = self.take(layout) else { return unsafe { System.alloc_zeroed(layout) } };
        // The rest is as it was when the program began, and none of its pages are needed yet.
        let written = (self.start() + self.reused.load(Ordering::Relaxed)).saturating_sub(at as usize);
        // SAFETY: it is a part of what was just taken.
        unsafe { at.write_bytes(0, written.min(layout.size())) };
        at
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        match self.offset(at) {
            Some(offset) => drop(self.resize_last(offset, layout.size(), 0)),
            // SAFETY: the caller's promise, and the address is not of the region.
            None => unsafe { System.dealloc(at, layout) },
        }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Some(offset) = self.offset(at) else {
            // SAFETY: the caller's promise, and the address is not of the region.
            return unsafe { System.realloc(at, layout, new_size) };
        };
        if new_size <= layout.size() || self.resize_last(offset, layout.size(), new_size) {
            if new_size < layout.size() {
                self.resize_last(offset, layout.size(), new_size);
            }
            return at;
        }
        // SAFETY: the size is the caller's, whose promise it is that it does not overflow with this alignment.
        let larger = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: the size is not 0, being larger than another.
        let new = unsafe { self.alloc(larger) };
        if !new.is_null() {
            // SAFETY: both are at least as long as the old one, and a new allocation overlaps no other.
            unsafe { at.copy_to_nonoverlapping(new, layout.size()) };
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 64 << 10;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn allocations_are_aligned_and_do_not_overlap() {
        // Not on the stack, which it would fill.
        static ARENA: Arena<SIZE> = Arena::new();
        let arena = &ARENA;
        let mut end = 0;
        for (size, align) in [(1, 1), (8, 8), (3, 1), (100, 64), (5, 2), (16, 4096)] {
            // SAFETY: the size is not 0.
            let at = unsafe { arena.alloc(layout(size, align)) } as usize;
            assert!(at >= end && at.is_multiple_of(align), "{size} {align}");
            end = at + size;
        }
    }

    #[test]
    fn a_limit_holds_until_it_is_lifted() {
        static ARENA: Arena<SIZE, 4096> = Arena::new();
        let arena = &ARENA;
        let room = |size| arena.take(layout(size, 1)).is_some();
        assert!(room(4000) && !room(200) && room(96) && !room(1));
        arena.allow();
        assert!(room(SIZE - 4096) && !room(1));
    }

    #[test]
    fn what_is_asked_for_as_zeros_is_zeros_after_others_had_it() {
        static ARENA: Arena<SIZE> = Arena::new();
        let arena = &ARENA;
        // SAFETY: sizes are not 0 and layouts are those of the allocations.
        unsafe {
            for (dirty, kept, clean) in [(100, 0, 50), (100, 0, 300), (400, 10, 1000)] {
                let at = arena.alloc(layout(dirty, 1));
                at.write_bytes(0xaa, dirty);
                match kept {
                    0 => arena.dealloc(at, layout(dirty, 1)),
                    kept => assert_eq!(arena.realloc(at, layout(dirty, 1), kept), at),
                }
                let at = arena.alloc_zeroed(layout(clean, 1));
                let bytes = std::slice::from_raw_parts(at, clean);
                assert!(bytes.iter().all(|byte| *byte == 0), "{clean} bytes after {dirty}");
                arena.dealloc(at, layout(clean, 1));
            }
        }
    }

    #[test]
    fn what_was_handed_out_last_grows_shrinks_and_goes_in_place() {
        // Not on the stack, which it would fill.
        static ARENA: Arena<SIZE> = Arena::new();
        let arena = &ARENA;
        // SAFETY: sizes are not 0 and layouts are those of the allocations.
        unsafe {
            let at = arena.alloc(layout(10, 1));
            assert_eq!(arena.realloc(at, layout(10, 1), 1000), at);
            assert_eq!(arena.realloc(at, layout(1000, 1), 20), at);
            assert_eq!(arena.used.load(Ordering::Relaxed), 20);
            arena.dealloc(at, layout(20, 1));
            assert_eq!(arena.alloc(layout(5, 1)), at);
        }
    }

    #[test]
    fn what_cannot_grow_in_place_moves_with_its_content() {
        // Not on the stack, which it would fill.
        static ARENA: Arena<SIZE> = Arena::new();
        let arena = &ARENA;
        // SAFETY: sizes are not 0 and layouts are those of the allocations.
        unsafe {
            let at = arena.alloc(layout(4, 1));
            at.copy_from(b"abcd".as_ptr(), 4);
            let other = arena.alloc(layout(4, 1));
            let moved = arena.realloc(at, layout(4, 1), 8);
            assert_ne!(moved, at);
            assert_eq!(std::slice::from_raw_parts(moved, 4), b"abcd");
            arena.dealloc(other, layout(4, 1));
            arena.dealloc(moved, layout(8, 1));
        }
    }

    #[test]
    fn what_the_region_does_not_hold_comes_from_the_system() {
        // Not on the stack, which it would fill.
        static ARENA: Arena<SIZE> = Arena::new();
        let arena = &ARENA;
        // SAFETY: sizes are not 0 and layouts are those of the allocations.
        unsafe {
            let large = arena.alloc(layout(SIZE + 1, 1));
            assert!(!large.is_null() && arena.offset(large).is_none());
            let small = arena.alloc(layout(8, 8));
            assert_eq!(arena.offset(small), Some(0));
            let larger = arena.realloc(small, layout(8, 8), SIZE * 2);
            assert!(arena.offset(larger).is_none());
            arena.dealloc(larger, layout(SIZE * 2, 8));
            arena.dealloc(large, layout(SIZE + 1, 1));
        }
    }
}

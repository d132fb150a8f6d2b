//! What each thread has allocated: now, at most, and at once.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counted.
pub(crate) struct Counting;

/// The most that was in use, and the largest piece asked for, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) most: usize,
    pub(crate) single: usize,
}

thread_local! {
    // Plain numbers without a destructor: counting never allocates.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
    static SINGLE: Cell<usize> = const { Cell::new(0) };
}

fn count(more: usize, less: usize) {
    let _ = LIVE.try_with(|live| {
        // A piece that another thread has allocated makes this negative, which is harmless.
        live.set(live.get().saturating_add_unsigned(more).saturating_sub_unsigned(less));
        MOST.with(|most| most.set(most.get().max(live.get())));
        SINGLE.with(|single| single.set(single.get().max(more)));
    });
}

// SAFETY: every call goes to the system's allocator as it came; only numbers are kept beside it.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        count(0, layout.size());
        unsafe { System.dealloc(piece, layout) }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        unsafe { System.realloc(piece, layout, size) }
    }
}

/// Runs `work` and says what this thread has allocated for it.
pub(crate) fn used<T>(work: impl FnOnce() -> T) -> (T, Used) {
    let before = LIVE.get();
    MOST.set(before);
    SINGLE.set(0);
    let done = work();
    let most = usize::try_from(MOST.get() - before).unwrap_or_default();
    (done, Used { most, single: SINGLE.get() })
}

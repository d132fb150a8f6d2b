//! The C library's allocator. By default it gives the memory of large tensors back to the system as soon as they
//! are freed, and gets it again for the next step, page by page: a sixth of the time of a step with images of
//! 224 pixels (`docs/performance.md`).

/// Lets the process keep up to 2 GiB of freed memory for its next tensors. Only a hint, and for glibc only.
pub(super) fn keep_freed_memory() {
    #[cfg(target_env = "gnu")]
    {
        const LARGE: libc::c_int = 1 << 30;
        // Sound: it changes two numbers of the allocator, under its own lock.
        #[allow(unsafe_code)]
        let set = unsafe {
            [
                libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE),
                libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX),
            ]
        };
        if set.contains(&0) {
            tracing::debug!("the allocator keeps its thresholds; training may be slower");
        }
    }
}

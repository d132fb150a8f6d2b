//! The C library's allocator, in programs that run for long and transfer weights now and then. By default it keeps what
//! was freed for later and learns to keep ever larger pieces, which suits few of them: a round of 64 institutions took
//! the coordinator 174 MiB at most, and 67 with lower thresholds and chunks of 64 KiB.

/// Gives freed memory back to the system: pieces of 128 KiB, which are the buffers of transfers, at once, and smaller ones
/// when 1 MiB of them is free. To give those back sooner costs more than it saves, since the system clears memory each
/// time that it gives it. Only a hint, and for glibc only.
pub fn give_back_freed_memory() {
    #[cfg(target_env = "gnu")]
    {
        const PIECE: libc::c_int = 128 << 10;
        const KEPT: libc::c_int = 1 << 20;
        // Sound: it changes three numbers of the allocator, under its own lock.
        #[allow(unsafe_code)]
        let set = unsafe {
            [
                libc::mallopt(libc::M_MMAP_THRESHOLD, PIECE),
                libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT),
                libc::mallopt(libc::M_ARENA_MAX, 2),
            ]
        };
        if set.contains(&0) {
            tracing::debug!("the allocator keeps its thresholds; the program may take more memory");
        }
    }
}

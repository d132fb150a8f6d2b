//! A wrong clock for one process: a small C library, loaded before the C library, shifts the time of day by
//! the value in a file. It does not change the monotonic clock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

typedef int (*get)(clockid_t, struct timespec *);

/* The seconds in the file, which may change while the process runs. */
static const volatile long long *offset(void) {
    static const volatile long long *mapped;
    if (!mapped) {
        const char *path = getenv("EOSFED_CLOCK");
        int file = path ? open(path, O_RDONLY) : -1;
        void *found = file < 0 ? MAP_FAILED : mmap(0, sizeof(long long), PROT_READ, MAP_SHARED, file, 0);
        if (file >= 0) close(file);
        static const long long none;
        mapped = found == MAP_FAILED ? &none : found;
    }
    return mapped;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static get real;
    if (!real) real = (get)dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (result == 0 && clock == CLOCK_REALTIME) now->tv_sec += *offset();
    return result;
}
"#;

/// A clock with an error in seconds, which can be changed while processes use it.
#[derive(Debug)]
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// Builds the library in `folder`, with a clock called `name`. Nothing without a C compiler.
    pub fn new(folder: &Path, name: &str, seconds: i64) -> Option<Self> {
        let source = folder.join("clock.c");
        let library = folder.join("clock.so");
        if !library.exists() {
            fs::write(&source, SOURCE).unwrap();
            let mut build = Command::new("cc");
            build.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&library).arg(&source);
            if !build.arg("-ldl").status().is_ok_and(|status| status.success()) {
                return None;
            }
        }
        let clock = Self { library, file: folder.join(format!("{name}.clock")) };
        clock.set(seconds);
        Some(clock)
    }

    /// Sets its error in seconds.
    pub fn set(&self, seconds: i64) {
        use std::os::unix::fs::FileExt as _;
        // The file is changed in place, since the processes that use it have mapped it.
        let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&self.file).unwrap();
        file.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    /// Makes a command and its children use this clock.
    pub fn rule(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("EOSFED_CLOCK", &self.file);
    }
}

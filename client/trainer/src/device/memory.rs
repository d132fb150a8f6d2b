//! Too little memory on the device or the machine. libtorch's binding panics with a page of text; a person
//! needs the numbers, and what to do.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook};

/// Begins the message of a panic that was looked at already.
const MARK: &str = "out of memory, again: ";

/// A tensor did not fit into memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is too little memory: {0}; use a smaller batch, crop or input size, or free what other programs hold"
)]
pub struct OutOfMemory(String);

impl OutOfMemory {
    /// Panics with the same words as libtorch's binding, for the caller that reports it.
    pub fn again(self) -> ! {
        resume_unwind(Box::new(format!("{MARK}{}", self.0)))
    }

    /// The message of a panic, if it is about memory on CUDA or on the processor.
    fn of(panic: &str) -> Option<Self> {
        if let Some(said) = panic.strip_prefix(MARK) {
            return Some(Self(said.to_owned()));
        }
        const KINDS: [&str; 2] = ["CUDA out of memory", "DefaultCPUAllocator: "];
        let text = KINDS.iter().find_map(|kind| panic.find(kind).map(|at| &panic[at..]))?;
        // Hints about Python's settings and a stack of addresses follow, with escaped line ends.
        let ends = ["\n", "\\n", " Including non-PyTorch", " If reserved but", " Error code"];
        let end = ends.iter().filter_map(|end| text.find(end)).min().unwrap_or(text.len());
        Some(Self(text[..end].trim_end_matches('.').chars().take(400).collect()))
    }
}

/// Stops such panics from being printed where they happen; [`contained`] reports them.
pub fn install() {
    let usual = take_hook();
    set_hook(Box::new(move |info| {
        if info.payload_as_str().and_then(OutOfMemory::of).is_none() {
            usual(info);
        }
    }));
}

/// Runs work in which libtorch may run out of memory. Other panics are passed on.
///
/// # Errors
/// The numbers, and what to do.
pub fn contained<T>(work: impl FnOnce() -> T) -> Result<T, OutOfMemory> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        text.and_then(OutOfMemory::of).unwrap_or_else(|| resume_unwind(payload))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUDA: &str = r#"called `Result::unwrap()` on an `Err` value: Torch("CUDA out of memory. Tried to allocate 34.00 GiB. GPU 0 has a total capacity of 139.80 GiB of which 2.03 GiB is free. Including non-PyTorch memory, this process has 137.76 GiB memory in use.\nException raised from malloc")"#;

    #[test]
    fn the_message_has_the_numbers_without_the_stack() {
        let said = OutOfMemory::of(CUDA).unwrap().to_string();
        assert!(
            said.contains("34.00 GiB") && said.contains("2.03 GiB is free; use a smaller batch"),
            "{said}"
        );
        assert!(!said.contains("Exception"), "{said}");
        let cpu = "[enforce fail at alloc_cpu.cpp:128] err == 0. DefaultCPUAllocator: can't allocate memory: you tried \
                   to allocate 400 bytes. Error code 12 (Cannot allocate memory)\nframe #0";
        let said = OutOfMemory::of(cpu).unwrap().to_string();
        assert!(said.contains("you tried to allocate 400 bytes; use"), "{said}");
        assert_eq!(OutOfMemory::of("shape mismatch"), None);
    }

    #[test]
    fn other_panics_are_passed_on() {
        let failed: Result<(), _> = contained(|| panic!("{CUDA}"));
        assert_eq!(failed.err(), OutOfMemory::of(CUDA));
        // What cannot be helped is passed on with the same words.
        let again: Result<(), _> = contained(|| OutOfMemory::of(CUDA).unwrap().again());
        assert_eq!(again.err(), OutOfMemory::of(CUDA));
        assert_eq!(contained(|| 3), Ok(3));
        assert!(catch_unwind(|| contained(|| -> () { panic!("a defect") })).is_err());
    }
}

//! How many files and connections a process may have open. What a shell or a service manager gives at
//! first is often 1,024, while the process may allow itself far more.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Allows this process as many open files as it may allow itself; gives how many that are. Where even
/// asking fails, nothing changes.
///
/// # Errors
/// Whatever the system gives.
pub fn raise_open_files() -> std::io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_raised_is_raised() {
        let hard = getrlimit(Resource::RLIMIT_NOFILE).unwrap().1;
        assert_eq!(raise_open_files().unwrap(), hard);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (hard, hard));
        assert_eq!(raise_open_files().unwrap(), hard, "again changes nothing");
    }
}

//! The environment variables that the training program gets.

/// Variables by name: search paths, locale, time zone and this system's own.
const NAMES: [&str; 12] = [
    "EOSFED_LOG",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "PATH",
    "RUST_BACKTRACE",
    "SHELL",
    "TZ",
    "USER",
    "XDG_RUNTIME_DIR",
];

/// Variables by the start of their names: the locale, CUDA, the threads of numerical libraries, libtorch
/// and what a launcher needs to know of its cluster.
const PREFIXES: [&str; 11] =
    ["CUDA_", "GOMP_", "KMP_", "LC_", "MKL_", "NVIDIA_", "OMP_", "PBS_", "PYTORCH_", "SLURM_", "TORCH_"];

/// Whether the training program gets a variable; `added` are names that the institution has set.
#[must_use]
pub fn is_passed_on(name: &str, added: &[String]) -> bool {
    NAMES.contains(&name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || added.iter().any(|added| added == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_the_daemon_are_not_passed_on() {
        for name in
            ["AWS_SECRET_ACCESS_KEY", "EOSFED_PROXY", "LD_PRELOAD", "SSH_AUTH_SOCK", "LD_LIBRARY_PATH_X"]
        {
            assert!(!is_passed_on(name, &[]), "{name}");
        }
        for name in ["PATH", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "LC_ALL"] {
            assert!(is_passed_on(name, &[]), "{name}");
        }
        assert!(is_passed_on("LD_PRELOAD", &["LD_PRELOAD".to_owned()]));
    }
}

//! Errors of files of weights.

use std::io::Error;
use std::path::PathBuf;

/// Why a file of weights is refused. Every variant names the file and, if there is one, the tensor.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: Error,
    },
    /// The bytes are not safetensors.
    #[error("{path}: not a safetensors file: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        reason: String,
    },
    /// A tensor of the signature is absent.
    #[error("{path}: tensor `{tensor}` is missing", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor is not in the signature.
    #[error("{path}: tensor `{tensor}` is not part of this model", path = path.display())]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor does not have the shape of the signature.
    #[error("{path}: tensor `{tensor}` has shape {found:?}, expected {expected:?}", path = path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The shape in the file.
        found: Vec<usize>,
        /// The shape in the signature.
        expected: Vec<usize>,
    },
    /// A tensor does not have the dtype of the format.
    #[error("{path}: tensor `{tensor}` has dtype {found}, expected {expected}", path = path.display())]
    Dtype {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The dtype in the file.
        found: String,
        /// The dtype of the format.
        expected: String,
    },
    /// An encoded step holds what its encoding does not have.
    #[error("{path}: the step of tensor `{tensor}`: {reason}", path = path.display())]
    Step {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The rule and the value found.
        reason: String,
    },
    /// A tensor holds NaN or an infinity.
    #[error("{path}: tensor `{tensor}` holds {value} at position {position}", path = path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Index of the first such value in row-major order.
        position: usize,
        /// The value.
        value: f32,
    },
}

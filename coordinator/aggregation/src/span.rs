//! What is worked on at a time.

use eosfed_common::weights::Signature;

/// Elements of a tensor that are worked on at a time. Part of the contract: see the crate's text.
pub const PIECE: usize = 1 << 14;

/// Some consecutive values of one tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// The tensor's position in the signature.
    pub(crate) tensor: usize,
    /// The first value.
    pub(crate) start: usize,
    /// Number of values.
    pub(crate) length: usize,
}

impl Span {
    /// The same values of a moment, in the file of a server optimizer's state: its tensors are those of the
    /// signature once for each moment, in the order of the moments' names.
    pub(crate) fn of_moment(self, moment: usize, signature: &Signature) -> Self {
        Self { tensor: moment * signature.0.len() + self.tensor, ..self }
    }
}

/// All values of a signature in order, at most `length` at a time.
pub(crate) fn spans(signature: &Signature, length: usize) -> impl Iterator<Item = Span> {
    signature.0.values().enumerate().flat_map(move |(tensor, shape)| {
        let all: usize = shape.iter().product();
        (0..all).step_by(length).map(move |start| Span { tensor, start, length: length.min(all - start) })
    })
}

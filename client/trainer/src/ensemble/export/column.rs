//! The rows of one tensor, on disk until their number is known.

use std::fs::File;
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write};

use tch::{Device, Kind, Tensor};

use crate::parameters::to_vec;

/// Type of a column's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// 64-bit integers.
    Int64,
    /// 32-bit floats.
    Float32,
}

impl Number {
    const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Int64 => Self::Int64,
            _ => Self::Float32,
        }
    }

    /// Bytes of one number.
    const fn size(self) -> usize {
        match self {
            Self::Int64 => 8,
            Self::Float32 => 4,
        }
    }
}

/// A tensor that grows along its first dimension, in a temporary file.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) number: Number,
    /// Shape of a row.
    row: Vec<usize>,
    rows: usize,
    file: BufWriter<File>,
}

impl Column {
    /// An empty column for tensors like this one.
    pub(super) fn new(name: &str, tensor: &Tensor) -> io::Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            number: Number::of(tensor.kind()),
            row: tensor.size()[1..].iter().map(|n| *n as usize).collect(),
            rows: 0,
            file: BufWriter::new(tempfile::tempfile()?),
        })
    }

    /// Whether the rows of a tensor have the column's shape.
    pub(super) fn fits(&self, tensor: &Tensor) -> bool {
        tensor.size()[1..].iter().map(|n| *n as usize).eq(self.row.iter().copied())
    }

    /// Adds rows.
    pub(super) fn append(&mut self, tensor: &Tensor) -> io::Result<()> {
        let flat = tensor.to_device(Device::Cpu).contiguous().view([-1]);
        let bytes: Vec<u8> = match self.number {
            Number::Int64 => {
                let values = Vec::<i64>::try_from(&flat).expect("a flat tensor of integers");
                values.into_iter().flat_map(i64::to_le_bytes).collect()
            }
            Number::Float32 => to_vec(&flat).into_iter().flat_map(f32::to_le_bytes).collect(),
        };
        self.rows += tensor.size()[0] as usize;
        self.file.write_all(&bytes)
    }

    /// Shape of all rows together.
    pub(super) fn shape(&self) -> Vec<usize> {
        std::iter::once(self.rows).chain(self.row.iter().copied()).collect()
    }

    /// Bytes of all rows together.
    pub(super) fn bytes(&self) -> usize {
        self.shape().iter().product::<usize>() * self.number.size()
    }

    /// Copies all rows.
    pub(super) fn copy_to(&mut self, target: &mut impl Write) -> io::Result<()> {
        self.file.flush()?;
        let file = self.file.get_mut();
        file.seek(SeekFrom::Start(0))?;
        io::copy(file, target).map(|_| ())
    }
}

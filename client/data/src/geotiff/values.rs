//! The numbers of strips and tiles in the type of the file.

use half::f16;

use super::complex::Complex;
use super::nodata::Nodata;

/// The type of a decoded number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F16,
    F32,
    F64,
    ComplexI16,
    ComplexI32,
    ComplexF32,
    ComplexF64,
}

/// Decoded numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    U64(Vec<u64>),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    /// As bits.
    F16(Vec<u16>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    /// As bits: the real part, then the imaginary one, in the order of memory. So are the next two.
    ComplexI16(Vec<u32>),
    ComplexI32(Vec<u64>),
    ComplexF32(Vec<u64>),
    ComplexF64(Vec<[f64; 2]>),
}

/// Calls an expression with the vector of any kind.
macro_rules! each {
    ($values:expr, $v:ident => $work:expr) => {
        match $values {
            Values::U8($v) => $work,
            Values::U16($v) => $work,
            Values::U32($v) => $work,
            Values::U64($v) => $work,
            Values::I8($v) => $work,
            Values::I16($v) => $work,
            Values::I32($v) => $work,
            Values::I64($v) => $work,
            Values::F16($v) => $work,
            Values::F32($v) => $work,
            Values::F64($v) => $work,
            Values::ComplexI16($v) => $work,
            Values::ComplexI32($v) => $work,
            Values::ComplexF32($v) => $work,
            Values::ComplexF64($v) => $work,
        }
    };
}

impl Kind {
    /// Bytes of one number.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 => 2,
            Self::U32 | Self::I32 | Self::F32 | Self::ComplexI16 => 4,
            Self::U64 | Self::I64 | Self::F64 | Self::ComplexI32 | Self::ComplexF32 => 8,
            Self::ComplexF64 => 16,
        }
    }

    pub(super) const fn is_complex(self) -> bool {
        matches!(self, Self::ComplexI16 | Self::ComplexI32 | Self::ComplexF32 | Self::ComplexF64)
    }

    /// Bytes of what has an order of bytes: of a complex number, each part.
    pub(super) const fn ordered_bytes(self) -> usize {
        if self.is_complex() { self.bytes() / 2 } else { self.bytes() }
    }

    pub(crate) const fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::F32 | Self::F64)
    }

    /// What a strip or tile that a file leaves out holds, as GDAL gives it; NaN if it has no data. Of complex numbers,
    /// it is the real part.
    pub(super) fn left_out(self, nodata: Option<Nodata>) -> f32 {
        let Some(nodata) = nodata else { return 0.0 };
        let (low, high) = match self {
            Self::F16 | Self::F32 | Self::F64 | Self::ComplexF32 | Self::ComplexF64 => return f32::NAN,
            Self::U8 => (0, u8::MAX.into()),
            Self::U16 => (0, u16::MAX.into()),
            Self::U32 => (0, u32::MAX.into()),
            Self::U64 => (0, u64::MAX.into()),
            Self::I8 => (i8::MIN.into(), i8::MAX.into()),
            Self::I16 | Self::ComplexI16 => (i16::MIN.into(), i16::MAX.into()),
            Self::I32 | Self::ComplexI32 => (i32::MIN.into(), i32::MAX.into()),
            Self::I64 => (i64::MIN.into(), i64::MAX.into()),
        };
        nodata.left_out(low, high)
    }

    pub(super) fn zeros(self, count: usize) -> Values {
        match self {
            Self::U8 => Values::U8(vec![0; count]),
            Self::U16 => Values::U16(vec![0; count]),
            Self::U32 => Values::U32(vec![0; count]),
            Self::U64 => Values::U64(vec![0; count]),
            Self::I8 => Values::I8(vec![0; count]),
            Self::I16 => Values::I16(vec![0; count]),
            Self::I32 => Values::I32(vec![0; count]),
            Self::I64 => Values::I64(vec![0; count]),
            Self::F16 => Values::F16(vec![0; count]),
            Self::F32 => Values::F32(vec![0.0; count]),
            Self::F64 => Values::F64(vec![0.0; count]),
            Self::ComplexI16 => Values::ComplexI16(vec![0; count]),
            Self::ComplexI32 => Values::ComplexI32(vec![0; count]),
            Self::ComplexF32 => Values::ComplexF32(vec![0; count]),
            Self::ComplexF64 => Values::ComplexF64(vec![[0.0; 2]; count]),
        }
    }
}

impl Values {
    /// Bytes of all numbers.
    pub(super) fn size(&self) -> usize {
        each!(self, v => size_of_val(&v[..]))
    }

    /// Their memory, in the byte order of this machine.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        each!(self, v => bytemuck::cast_slice_mut(&mut v[..]))
    }

    /// Gives 32-bit floats to `copy`, NaN where a number is `nodata`; of complex numbers, what `complex` says, NaN where
    /// the real part is `nodata`, as GDAL compares it.
    ///
    /// # Errors
    /// The first number that 32-bit floats cannot hold: a whole number that would become another one, or a number
    /// that would become infinite.
    pub(crate) fn floats(
        &self,
        nodata: Option<Nodata>,
        complex: Complex,
        to: &mut Rows<'_>,
    ) -> Result<(), String> {
        let whole = |value: i128, float: f32| match nodata {
            Some(nodata) if nodata.is_whole(value) => Ok(f32::NAN),
            _ if float as i128 == value => Ok(float),
            _ => Err(value.to_string()),
        };
        // Numbers of up to 16 bits are the most frequent and always fit.
        let marker = nodata.and_then(Nodata::small);
        let small = |value: i32, float: f32| if marker == Some(value) { f32::NAN } else { float };
        let single =
            |value: f32| if nodata.is_some_and(|nodata| nodata.is_f32(value)) { f32::NAN } else { value };
        let double = |value: f64| match nodata {
            Some(nodata) if nodata.is_f64(value) => Ok(f32::NAN),
            _ if value.is_finite() && !(value as f32).is_finite() => Err(format!("{value:e}")),
            _ => Ok(value as f32),
        };
        let of_whole = |real: i32, imaginary: i32| {
            let missing = nodata.is_some_and(|nodata| nodata.is_whole(real.into()));
            if missing { Ok(f32::NAN) } else { complex.of(real.into(), imaginary.into()) }
        };
        match self {
            Self::U8(v) => to.copy(v, |x| small(x.into(), x.into())),
            Self::U16(v) => to.copy(v, |x| small(x.into(), x.into())),
            Self::U32(v) => to.try_copy(v, |x| whole(x.into(), x as f32))?,
            Self::U64(v) => to.try_copy(v, |x| whole(x.into(), x as f32))?,
            Self::I8(v) => to.copy(v, |x| small(x.into(), x.into())),
            Self::I16(v) => to.copy(v, |x| small(x.into(), x.into())),
            Self::I32(v) => to.try_copy(v, |x| whole(x.into(), x as f32))?,
            Self::I64(v) => to.try_copy(v, |x| whole(x.into(), x as f32))?,
            Self::F16(v) => to.copy(v, |x| single(f16::from_bits(x).to_f32())),
            Self::F32(v) if nodata.is_none() => to.copy(v, |x| x),
            Self::F32(v) => to.copy(v, single),
            Self::F64(v) => to.try_copy(v, double)?,
            Self::ComplexI16(v) => to.try_copy(v, |x| {
                let [real, imaginary] = bytemuck::cast::<u32, [i16; 2]>(x);
                of_whole(real.into(), imaginary.into())
            })?,
            Self::ComplexI32(v) => to.try_copy(v, |x| {
                let [real, imaginary] = bytemuck::cast::<u64, [i32; 2]>(x);
                of_whole(real, imaginary)
            })?,
            Self::ComplexF32(v) => to.try_copy(v, |x| {
                let [real, imaginary] = bytemuck::cast::<u64, [f32; 2]>(x);
                let missing = nodata.is_some_and(|nodata| nodata.is_f32(real));
                if missing { Ok(f32::NAN) } else { complex.of(real.into(), imaginary.into()) }
            })?,
            Self::ComplexF64(v) => to.try_copy(v, |[real, imaginary]| {
                let missing = nodata.is_some_and(|nodata| nodata.is_f64(real));
                if missing { Ok(f32::NAN) } else { complex.of(real, imaginary) }
            })?,
        }
        Ok(())
    }
}

/// Where a part of a strip or tile is copied to. `samples` bands are interleaved in the strip or tile, and stored
/// one after the other in the target.
pub(crate) struct Rows<'a> {
    /// Numbers of one pixel.
    pub(crate) samples: usize,
    /// Those of them that are copied, in this order.
    pub(crate) bands: &'a [usize],
    /// Pixels of a row of the strip or tile.
    pub(crate) stride: usize,
    /// First column and row of the part.
    pub(crate) from: [usize; 2],
    /// Columns and rows of the part.
    pub(crate) size: [usize; 2],
    pub(crate) target: &'a mut [f32],
    /// Where the part begins in the first band of the target.
    pub(crate) start: usize,
    /// Numbers of a row of the target.
    pub(crate) target_stride: usize,
    /// Numbers of a band of the target.
    pub(crate) target_band: usize,
}

impl Rows<'_> {
    fn copy<T: Copy>(&mut self, values: &[T], float: impl Fn(T) -> f32) {
        let Ok(()) = self.try_copy(values, |value| Ok::<_, std::convert::Infallible>(float(value)));
    }

    fn try_copy<T: Copy, E>(&mut self, values: &[T], float: impl Fn(T) -> Result<f32, E>) -> Result<(), E> {
        let [width, height] = self.size;
        let [left, top] = self.from;
        for y in 0..height {
            let row = &values[((top + y) * self.stride + left) * self.samples..][..width * self.samples];
            for (at, sample) in self.bands.iter().enumerate() {
                let start = self.start + at * self.target_band + y * self.target_stride;
                let target = &mut self.target[start..start + width];
                if self.samples == 1 {
                    for (to, from) in target.iter_mut().zip(row) {
                        *to = float(*from)?;
                    }
                } else {
                    for (to, pixel) in target.iter_mut().zip(row.chunks_exact(self.samples)) {
                        *to = float(pixel[*sample])?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Fills the part with one value.
    pub(super) fn set(&mut self, value: f32) {
        let [width, height] = self.size;
        for at in 0..self.bands.len() {
            for y in 0..height {
                let start = self.start + at * self.target_band + y * self.target_stride;
                self.target[start..start + width].fill(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(values: &Values, text: &str, count: usize) -> Result<Vec<f32>, String> {
        let mut target = vec![-1.0; count];
        let mut rows = Rows {
            samples: 1,
            bands: &[0],
            stride: count,
            from: [0, 0],
            size: [count, 1],
            target: &mut target,
            start: 0,
            target_stride: count,
            target_band: count,
        };
        values.floats(Nodata::parse(text.as_bytes()).unwrap(), Complex::Amplitude, &mut rows)?;
        Ok(target)
    }

    fn missing(values: &Values, text: &str, count: usize) -> Vec<bool> {
        floats(values, text, count).unwrap().into_iter().map(f32::is_nan).collect()
    }

    #[test]
    fn values_are_compared_in_the_type_of_the_file() {
        let all = Values::I64(vec![i64::MIN, i64::MIN / 2, -1]);
        assert_eq!(missing(&all, "-9223372036854775808", 3), [true, false, false]);
        assert_eq!(missing(&Values::U8(vec![0, 1, 255]), "255.0", 3), [false, false, true]);
        assert_eq!(missing(&Values::U8(vec![0, 1]), "0.5", 2), [false; 2]);
        assert_eq!(missing(&Values::U8(vec![0, 1]), "-9999", 2), [false; 2]);
        assert_eq!(missing(&Values::F32(vec![0.1, 0.2]), "0.1", 2), [true, false]);
        assert_eq!(missing(&Values::F32(vec![f32::MIN, -3.0]), "-3.40282e+38", 2), [true, false]);
        assert_eq!(missing(&Values::F32(vec![f32::NEG_INFINITY, -3.0]), "-1.#INF", 2), [true, false]);
        let tiny = Values::F64(vec![0.0, 2.2250738585072014e-308]);
        assert_eq!(missing(&tiny, "2.2250738585072014e-308", 2), [false, true]);
        assert_eq!(missing(&Values::F32(vec![0.0, 1.0]), "2.2250738585072014e-308", 2), [false; 2]);
        let short = Values::F64(vec![-3.402_823_466_385_288_6e38, -3.4028e38]);
        assert_eq!(missing(&short, "-3.40282346638529e+38", 2), [true, false]);
    }

    #[test]
    fn values_that_floats_cannot_hold_are_errors() {
        let said = |values: Values, count| floats(&values, "4294967295", count).unwrap_err();
        assert_eq!(said(Values::U32(vec![16_777_216, 16_777_217]), 2), "16777217");
        assert_eq!(said(Values::U32(vec![4_294_967_295, 4_294_967_294]), 2), "4294967294");
        assert_eq!(said(Values::I64(vec![-16_777_217]), 1), "-16777217");
        assert_eq!(said(Values::U64(vec![u64::MAX]), 1), u64::MAX.to_string());
        assert_eq!(floats(&Values::F64(vec![f64::INFINITY, 4e38]), "", 2).unwrap_err(), "4e38");
        let held = Values::I32(vec![i32::MIN, 1 << 30, 16_777_218]);
        assert_eq!(floats(&held, "", 3).unwrap(), [-2_147_483_648.0, 1_073_741_824.0, 16_777_218.0]);
    }

    #[test]
    fn a_part_of_interleaved_values_is_copied_band_by_band() {
        let values = Values::U16((0..24).collect());
        let mut target = vec![-1.0; 2 * 9];
        let mut rows = Rows {
            samples: 2,
            bands: &[0, 1],
            stride: 4,
            from: [1, 1],
            size: [2, 2],
            target: &mut target,
            start: 3,
            target_stride: 3,
            target_band: 9,
        };
        values.floats(None, Complex::Amplitude, &mut rows).unwrap();
        assert_eq!(target[..9], [-1.0, -1.0, -1.0, 10.0, 12.0, -1.0, 18.0, 20.0, -1.0]);
        assert_eq!(target[9..], [-1.0, -1.0, -1.0, 11.0, 13.0, -1.0, 19.0, 21.0, -1.0]);
    }

    /// The expected values are GDAL's for a sparse file of the type.
    #[test]
    fn what_a_file_leaves_out_is_nodata_if_its_type_can_hold_that() {
        let fill = |text: &str, kind: Kind| kind.left_out(Nodata::parse(text.as_bytes()).unwrap());
        assert!(fill("9", Kind::U8).is_nan() && fill("-9999", Kind::I16).is_nan());
        assert!(fill("nan", Kind::F32).is_nan() && fill("-9999", Kind::F64).is_nan());
        assert_eq!(fill("", Kind::I16), 0.0);
        assert_eq!(fill("-9999", Kind::U8), 0.0);
        assert_eq!(fill("300", Kind::U8), 255.0);
        assert_eq!(fill("nan", Kind::U16), 0.0);
    }
}

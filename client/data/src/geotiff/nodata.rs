//! The value that marks missing data in a file, and pixel values as 32-bit floats.

use tiff::decoder::DecodingResult;

/// The value of the tag GDAL_NODATA.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Nodata {
    number: f64,
    /// The same, exactly, if it is a whole number.
    whole: Option<i128>,
}

impl Nodata {
    /// Reads the text of the tag; `None` if it is empty.
    ///
    /// # Errors
    /// If it is no number.
    pub(super) fn parse(text: &[u8]) -> Result<Option<Self>, ()> {
        let text = std::str::from_utf8(text).map_err(|_| ())?;
        let text = text.trim_matches(|c: char| c == '\0' || c.is_ascii_whitespace());
        if text.is_empty() {
            return Ok(None);
        }
        let number: f64 = text.parse().map_err(|_| ())?;
        let whole = text.parse().ok().or_else(|| (number.fract() == 0.0).then_some(number as i128));
        Ok(Some(Self { number, whole }))
    }

    fn is_whole(&self, value: i128) -> bool {
        self.whole == Some(value)
    }

    /// Compares 32-bit floats as GDAL does: within a few units in the last place.
    fn is_f32(&self, value: f32) -> bool {
        let marker = self.number as f32;
        // A marker that is 0 in 32 bits marks nothing.
        let lost = marker == 0.0 && self.number != 0.0;
        let near = (value - marker).abs() < f32::EPSILON * (value + marker).abs() * 2.0;
        !lost && (value == marker || near)
    }

    /// Compares 64-bit floats as GDAL does.
    fn is_f64(&self, value: f64) -> bool {
        let marker = self.number;
        value == marker || (value - marker).abs() < f64::EPSILON * (value + marker).abs() * 2.0
    }
}

/// Pixel values as 32-bit floats; NaN where they are `nodata`.
///
/// # Errors
/// The first value that 32-bit floats cannot hold: a whole number that would become another one, or a number
/// that would become infinite.
pub(super) fn floats(decoded: DecodingResult, nodata: Option<Nodata>) -> Result<Vec<f32>, String> {
    let whole = |value: i128, float: f32| match nodata {
        Some(nodata) if nodata.is_whole(value) => Ok(f32::NAN),
        _ if float as i128 == value => Ok(float),
        _ => Err(value.to_string()),
    };
    // Values of up to 16 bits are the most frequent and always fit.
    let marker: Option<i32> = nodata.and_then(|nodata| nodata.whole).and_then(|whole| whole.try_into().ok());
    let small = |value: i32, float: f32| if marker == Some(value) { f32::NAN } else { float };
    let single =
        |value: f32| if nodata.is_some_and(|nodata| nodata.is_f32(value)) { f32::NAN } else { value };
    let double = |value: f64| match nodata {
        Some(nodata) if nodata.is_f64(value) => Ok(f32::NAN),
        _ if value.is_finite() && !(value as f32).is_finite() => Err(format!("{value:e}")),
        _ => Ok(value as f32),
    };
    match decoded {
        DecodingResult::U8(v) => Ok(v.into_iter().map(|x| small(x.into(), x.into())).collect()),
        DecodingResult::U16(v) => Ok(v.into_iter().map(|x| small(x.into(), x.into())).collect()),
        DecodingResult::U32(v) => v.into_iter().map(|x| whole(x.into(), x as f32)).collect(),
        DecodingResult::U64(v) => v.into_iter().map(|x| whole(x.into(), x as f32)).collect(),
        DecodingResult::I8(v) => Ok(v.into_iter().map(|x| small(x.into(), x.into())).collect()),
        DecodingResult::I16(v) => Ok(v.into_iter().map(|x| small(x.into(), x.into())).collect()),
        DecodingResult::I32(v) => v.into_iter().map(|x| whole(x.into(), x as f32)).collect(),
        DecodingResult::I64(v) => v.into_iter().map(|x| whole(x.into(), x as f32)).collect(),
        DecodingResult::F16(v) => Ok(v.into_iter().map(|x| single(x.into())).collect()),
        DecodingResult::F32(v) => Ok(v.into_iter().map(single).collect()),
        DecodingResult::F64(v) => v.into_iter().map(double).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(text: &str) -> Option<Nodata> {
        Nodata::parse(text.as_bytes()).unwrap()
    }

    fn missing(decoded: DecodingResult, text: &str) -> Vec<bool> {
        floats(decoded, marker(text)).unwrap().into_iter().map(f32::is_nan).collect()
    }

    #[test]
    fn the_nodata_text_must_be_a_number_or_empty() {
        assert_eq!(marker("\0"), None);
        assert_eq!(marker(" -9999\r\n\0"), marker("-9999"));
        assert!(marker("nan").unwrap().number.is_nan());
        assert_eq!(marker("1e3").unwrap().whole, Some(1000));
        assert_eq!(marker("-9223372036854775808").unwrap().whole, Some(i128::from(i64::MIN)));
        for bad in ["-1.#INF", "0 0 0", "none", "-9999,5", "0x10"] {
            assert!(Nodata::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Nodata::parse(&[0xff, 0xfe]).is_err());
    }

    #[test]
    fn values_are_compared_in_the_type_of_the_file() {
        let all = DecodingResult::I64(vec![i64::MIN, i64::MIN / 2, -1]);
        assert_eq!(missing(all, "-9223372036854775808"), [true, false, false]);
        assert_eq!(missing(DecodingResult::U8(vec![0, 1, 255]), "255.0"), [false, false, true]);
        assert_eq!(missing(DecodingResult::U8(vec![0, 1]), "0.5"), [false; 2]);
        assert_eq!(missing(DecodingResult::U8(vec![0, 1]), "-9999"), [false; 2]);
        assert_eq!(missing(DecodingResult::F32(vec![0.1, 0.2]), "0.1"), [true, false]);
        assert_eq!(missing(DecodingResult::F32(vec![f32::MIN, -3.0]), "-3.40282e+38"), [true, false]);
        assert_eq!(
            missing(DecodingResult::F64(vec![0.0, 2.2250738585072014e-308]), "2.2250738585072014e-308"),
            [false, true]
        );
        assert_eq!(missing(DecodingResult::F32(vec![0.0, 1.0]), "2.2250738585072014e-308"), [false; 2]);
        let short = DecodingResult::F64(vec![-3.402_823_466_385_288_6e38, -3.402_823_4e38]);
        assert_eq!(missing(short, "-3.40282346638529e+38"), [true, false]);
    }

    #[test]
    fn values_that_floats_cannot_hold_are_errors() {
        let said = |decoded| floats(decoded, marker("4294967295")).unwrap_err();
        assert_eq!(said(DecodingResult::U32(vec![16_777_216, 16_777_217])), "16777217");
        assert_eq!(said(DecodingResult::U32(vec![4_294_967_295, 4_294_967_294])), "4294967294");
        assert_eq!(said(DecodingResult::I64(vec![-16_777_217])), "-16777217");
        assert_eq!(said(DecodingResult::U64(vec![u64::MAX])), u64::MAX.to_string());
        assert_eq!(said(DecodingResult::F64(vec![f64::INFINITY, 4e38])), "4e38");
        let held = DecodingResult::I32(vec![i32::MIN, 1 << 30, 16_777_218]);
        assert_eq!(floats(held, None).unwrap(), [-2_147_483_648.0, 1_073_741_824.0, 16_777_218.0]);
    }
}

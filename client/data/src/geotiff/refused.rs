//! Refusals of files: what is wrong, and a command that makes a readable file.

use std::path::Path;

/// Why a file is refused: a sentence, and what makes a readable file of it.
pub(crate) struct Refused {
    sentence: String,
    remedy: Remedy,
}

enum Remedy {
    /// `gdal_translate` with these options.
    Translate(&'static str),
    /// The amplitudes of complex numbers; `gdal_translate` would give their real parts.
    Amplitudes,
    /// None.
    Nothing,
}

impl Refused {
    pub(crate) fn new(sentence: String, options: &'static str) -> Self {
        Self { sentence, remedy: Remedy::Translate(options) }
    }

    /// Of a file of complex numbers.
    pub(super) fn complex(sentence: String) -> Self {
        Self { sentence, remedy: Remedy::Amplitudes }
    }

    /// Of what no command mends.
    pub(super) fn for_good(sentence: String) -> Self {
        Self { sentence, remedy: Remedy::Nothing }
    }

    /// With a command for the file, if there is one.
    pub(crate) fn about(&self, path: &Path) -> String {
        let command = match self.remedy {
            Remedy::Nothing => return self.sentence.clone(),
            Remedy::Translate(options) => conversion(options, path),
            Remedy::Amplitudes => format!(
                "outside of data sets, convert it with `gdal_calc.py -A {} --allBands=A --calc=\"abs(A)\" --type=Float32 \
                 --outfile=converted.tif`",
                path.display()
            ),
        };
        format!("{}; {command}", self.sentence)
    }
}

/// How to convert a file.
pub(crate) fn conversion(options: &str, path: &Path) -> String {
    format!("convert it with `gdal_translate {options} {} converted.tif`", path.display())
}

/// Why a mask in JPEG is refused. No command brings its classes back.
pub(crate) const LOSSY: &str = "a mask must not be in JPEG, which changes the numbers where classes meet; write the mask as PNG or \
                                TIFF from what it was made of";

/// Options that make an equal file with plain compression.
pub(crate) const REWRITE: &str = "-co COMPRESS=DEFLATE";

//! Where a trainer computes, as settings, tasks and command lines name it.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Largest number of a CUDA device.
const MAX_INDEX: u32 = 63;

/// Where to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("x-rule" = "`auto`, `cpu`, `cuda` or `cuda:N` with N from 0 to 63"))]
pub enum DeviceChoice {
    /// The first CUDA device if there is one, otherwise the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The CUDA device of this number, counted from 0 among those that `CUDA_VISIBLE_DEVICES` leaves. It is
    /// an error if it is not there.
    Cuda(u32),
}

/// A text that names no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a device is `auto`, `cpu`, `cuda` or `cuda:N` with N from 0 to {MAX_INDEX}, found `{0}`")]
pub struct NoDeviceName(String);

impl FromStr for DeviceChoice {
    type Err = NoDeviceName;

    fn from_str(text: &str) -> Result<Self, NoDeviceName> {
        let wrong = || NoDeviceName(text.chars().take(32).flat_map(char::escape_debug).collect());
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let digits = text.strip_prefix("cuda:").ok_or_else(wrong)?;
                let number = digits.parse().ok().filter(|number: &u32| number.to_string() == digits);
                number.filter(|number| *number <= MAX_INDEX).map(Self::Cuda).ok_or_else(wrong)
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = NoDeviceName;

    fn try_from(text: String) -> Result<Self, NoDeviceName> {
        text.parse()
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        choice.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_and_written() {
        for (text, choice) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("cuda:0", DeviceChoice::Cuda(0)),
            ("cuda:63", DeviceChoice::Cuda(63)),
        ] {
            assert_eq!((text.parse(), choice.to_string()), (Ok(choice), text.to_owned()));
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for bad in ["", "tpu", "cuda:", "cuda:64", "cuda:-1", "cuda:+1", "cuda:01", "cuda:4294967296", "Cuda"]
        {
            let error = bad.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(error.contains(&format!("found `{bad}`")), "{error}");
        }
        let bad: Result<DeviceChoice, _> = serde_json::from_str("\"cuda:x\"");
        assert!(bad.unwrap_err().to_string().contains("found `cuda:x`"));
    }
}

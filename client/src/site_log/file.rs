//! The files of a site log: their names, their order, and the complete lines in them.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::SiteLogError;

/// Longest line, in bytes. The daemon's own lines are shorter.
pub(super) const MAX_LINE: u64 = 1 << 20;
/// The file by which writers take turns.
pub(super) const LOCK: &str = "lock";
const ENDING: &str = ".jsonl";
/// Digits of the largest number.
const DIGITS: usize = 20;

/// The file that begins with this entry.
pub(super) fn path_of(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:0DIGITS$}{ENDING}"))
}

/// The numbers of the first entries of all files, in order. A folder that is missing has none.
pub(super) fn firsts(folder: &Path) -> Result<Vec<u64>, SiteLogError> {
    let failed = SiteLogError::io(folder);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let names: Vec<_> = entries
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    let number = |name: &str| {
        name.strip_suffix(ENDING).filter(|digits| digits.len() == DIGITS).and_then(|it| it.parse().ok())
    };
    let mut firsts: Vec<u64> = names.iter().filter_map(|name| number(name.to_str()?)).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

/// The end of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Bytes of its complete lines.
    pub(super) complete: u64,
    /// Bytes after them.
    pub(super) torn: u64,
    /// The last complete line, without its end; absent in a file without one.
    pub(super) line: Option<Vec<u8>>,
}

/// Reads the end of a file: at most two lines of the greatest length.
pub(super) fn end_of(file: &mut File) -> io::Result<End> {
    let length = file.seek(SeekFrom::End(0))?;
    let start = length.saturating_sub(2 * MAX_LINE);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(length - start).read_to_end(&mut bytes)?;
    let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let line = complete.checked_sub(1).map(|end| {
        let begin = bytes[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        bytes[begin..end].to_vec()
    });
    let torn = (bytes.len() - complete) as u64;
    Ok(End { complete: length - torn, torn, line })
}

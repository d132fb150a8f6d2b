//! Which bands of the files of a stack are taken, where a description picks some of many: imaging spectrometers have a
//! few hundred.

use crate::config::FileBand;
use crate::error::DataError;
use crate::geotiff::{BandName, wavelength};
use crate::image_file::ImageFile;

/// How far the middle of a band may be from the wavelength that is asked for, in nanometres. The bands of imaging
/// spectrometers are 5 to 12 nm apart.
pub(crate) const NEAR: f64 = 10.0;

/// The position of each wanted band among all bands of a stack, of which the files say `names`.
///
/// # Errors
/// What is asked for and there.
pub(crate) fn choose(wanted: &[FileBand], names: &[BandName]) -> Result<Vec<usize>, String> {
    let mut found: Vec<usize> = Vec::with_capacity(wanted.len());
    for band in wanted {
        let at = position(band, names).map_err(|why| format!("`file_bands` asks for `{band}`, {why}"))?;
        if let Some(before) = found.iter().position(|other| *other == at) {
            return Err(format!(
                "`file_bands` must ask for each band once, found `{}` and `{band}`, which are both its band {}",
                wanted[before],
                at + 1
            ));
        }
        found.push(at);
    }
    Ok(found)
}

/// What is taken of one file of a stack.
pub(super) struct Taken {
    /// Which bands of the stack it has.
    pub(super) bands: Vec<usize>,
    /// What they are in the file, if not all in their order.
    pub(super) chosen: Option<Vec<usize>>,
}

/// Why bands cannot be taken.
pub(super) enum Refusal {
    /// One is not there, or it is unclear which is meant.
    Band(String),
    /// None is of the file with this number.
    Unused(usize),
}

/// What is taken of each file of a stack for the wanted bands; `files` is what each file says of its bands.
///
/// # Errors
/// If a band is not there or not clear, or if a file has none of them.
pub(super) fn taken(wanted: &[FileBand], files: &[Vec<BandName>]) -> Result<Vec<Taken>, Refusal> {
    let chosen = choose(wanted, &files.concat()).map_err(Refusal::Band)?;
    let mut before = 0;
    let of_file = |(at, names): (usize, &Vec<BandName>)| {
        let own = before..before + names.len();
        before = own.end;
        let bands: Vec<usize> = (0..wanted.len()).filter(|band| own.contains(&chosen[*band])).collect();
        if bands.is_empty() {
            return Err(Refusal::Unused(at));
        }
        let chosen = bands.iter().map(|band| chosen[*band] - own.start).collect();
        Ok(Taken { bands, chosen: Some(chosen) })
    };
    files.iter().enumerate().map(of_file).collect()
}

/// Where each band of a stack is among those that its files give one after the other.
pub(super) fn places(taken: &[Taken]) -> Vec<usize> {
    let together: Vec<usize> = taken.iter().flat_map(|taken| taken.bands.iter().copied()).collect();
    let place = |band: usize| together.iter().position(|other| *other == band);
    (0..together.len()).filter_map(place).collect()
}

/// Lets files whose bands are stacked read the wanted ones only. Gives the place of each wanted band among those that the
/// files then give one after the other.
///
/// # Errors
/// If a band is not there or not clear, or if a file has none of them.
pub fn choose_bands(wanted: &[FileBand], files: &mut [ImageFile]) -> Result<Vec<usize>, DataError> {
    let names: Vec<Vec<BandName>> = files.iter().map(ImageFile::name_of_each_band).collect();
    let taken = taken(wanted, &names).map_err(|refusal| match refusal {
        Refusal::Band(reason) => DataError::file(files[0].path(), reason),
        Refusal::Unused(at) => {
            let reason =
                "`file_bands` must take a band of each file of a scene, found none of this one; leave it out";
            DataError::file(files[at].path(), reason)
        }
    })?;
    for (file, Taken { chosen, .. }) in files.iter_mut().zip(&taken) {
        chosen.iter().for_each(|chosen| file.choose(chosen));
    }
    Ok(places(&taken))
}

fn position(band: &FileBand, names: &[BandName]) -> Result<usize, String> {
    let text = match band {
        FileBand::Number(number) => {
            let at = (*number as usize).checked_sub(1).filter(|at| *at < names.len());
            return at.ok_or_else(|| format!("and there are {} bands, numbered from 1", names.len()));
        }
        FileBand::Text(text) => text,
    };
    let described = |name: &BandName| name.description.as_deref() == Some(text);
    let mut all = (0..names.len()).filter(|at| described(&names[*at]));
    match (all.next(), all.next(), wavelength(text)) {
        (Some(at), None, _) => Ok(at),
        (Some(one), Some(other), _) => Err(format!(
            "and its bands {} and {} have this description; write the number",
            one + 1,
            other + 1
        )),
        (None, _, Some(nm)) => nearest(nm, names),
        (None, _, None) => Err(format!(
            "and no band has this description: {}; write a number, a description or a wavelength (`665 nm`)",
            listed(names)
        )),
    }
}

fn nearest(nm: f64, names: &[BandName]) -> Result<usize, String> {
    let known = names.iter().enumerate().filter_map(|(at, name)| Some((at, name.wavelength?)));
    let mut by_distance: Vec<(usize, f64)> = known.collect();
    by_distance.sort_by(|a, b| (a.1 - nm).abs().total_cmp(&(b.1 - nm).abs()));
    match by_distance[..] {
        [] => Err("and no band says its wavelength; write its number or its description".to_owned()),
        [(at, found), ..] if (found - nm).abs() > NEAR => Err(format!(
            "and the nearest band, {}, is of {found} nm, more than {NEAR} nm away; write its number if it is meant",
            at + 1
        )),
        // Two detectors can overlap.
        [(one, found), (other, too), ..] if (found - nm).abs() == (too - nm).abs() => Err(format!(
            "and its bands {} of {found} nm and {} of {too} nm are equally near; write the number",
            one + 1,
            other + 1
        )),
        [(at, _), ..] => Ok(at),
    }
}

/// The descriptions, for a sentence.
fn listed(names: &[BandName]) -> String {
    const SHOWN: usize = 8;
    let described: Vec<&str> = names.iter().filter_map(|name| name.description.as_deref()).collect();
    if described.is_empty() {
        return format!("its {} bands have none", names.len());
    }
    let shown: Vec<String> =
        described.iter().take(SHOWN).map(|text| format!("`{}`", text.escape_debug())).collect();
    let more = if described.len() > SHOWN { ", …" } else { "" };
    format!("there are {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> FileBand {
        FileBand::Text(text.to_owned())
    }

    fn names() -> Vec<BandName> {
        let name = |description: Option<&str>, wavelength: Option<f64>| BandName {
            description: description.map(str::to_owned),
            wavelength,
        };
        vec![
            name(Some("blue"), Some(490.0)),
            name(Some("twice"), Some(660.0)),
            name(Some("twice"), Some(670.0)),
            name(None, Some(842.0)),
            name(Some("842 nm"), None),
        ]
    }

    #[test]
    fn bands_are_taken_by_number_description_and_wavelength() {
        let wanted = [text("663 nm"), FileBand::Number(3), text("blue"), text("842 nm")];
        assert_eq!(choose(&wanted, &names()), Ok(vec![1, 2, 0, 4]), "a description goes before a wavelength");
        assert_eq!(choose(&[text("0.84 um")], &names()), Ok(vec![3]));
    }

    #[test]
    fn what_is_not_there_or_not_clear_is_refused() {
        for (wanted, word) in [
            (text("red"), "there are `blue`, `twice`"),
            (text("twice"), "bands 2 and 3"),
            (text("665 nm"), "equally near"),
            (text("1610 nm"), "is of 842 nm, more than 10 nm"),
            (FileBand::Number(0), "there are 5 bands"),
            (FileBand::Number(6), "there are 5 bands"),
        ] {
            let error = choose(std::slice::from_ref(&wanted), &names()).unwrap_err();
            assert!(error.contains(word) && error.contains(&format!("`{wanted}`")), "{error}");
        }
        let error = choose(&[FileBand::Number(1), text("490 nm")], &names()).unwrap_err();
        assert!(error.contains("`1` and `490 nm`, which are both its band 1"), "{error}");
        let silent = vec![BandName::default(); 3];
        assert!(choose(&[text("665 nm")], &silent).unwrap_err().contains("no band says its wavelength"));
        assert!(choose(&[text("red")], &silent).unwrap_err().contains("its 3 bands have none"));
    }
}

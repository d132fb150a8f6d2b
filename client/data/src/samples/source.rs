//! Opening the samples of a part, and reading one.

use std::sync::Arc;

use eosfed_common::digest::Digest;
use rayon::prelude::*;

use super::facts::{FactsBuilder, PartFacts, Seen};
use super::folder::{Lock, SampleCache, give_up};
use super::key::of_part;
use super::packed::Packed;
use super::record::{Reader, Writer, size};
use crate::bandcheck::BandScaling;
use crate::dataset::{Dataset, KeptPlace};
use crate::error::DataError;
use crate::reasons::Groups;
use crate::split::Split;

/// With more unreadable files than this, and more than the data set allows, the rest is not read.
const ENOUGH_SKIPPED: usize = 1000;
/// Samples that each thread reads before they are written together.
const EACH: usize = 2;

/// Where samples come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From the file of decoded samples that was there already.
    Cache,
    /// From the file of decoded samples that was just made.
    NewCache,
    /// From the files of the data set.
    Files,
}

impl Origin {
    /// Its name in events and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::NewCache => "new_cache",
            Self::Files => "files",
        }
    }
}

/// The samples of a part, one at a time, in any order and from any thread.
pub struct SampleSource {
    dataset: Arc<Dataset>,
    bands: Vec<usize>,
    /// Positions in the data set of the samples that can be read.
    entries: Vec<u32>,
    facts: PartFacts,
    decoded: Option<Reader>,
    origin: Origin,
    problem: Option<String>,
}

/// A cache, the name of a part in it, and the right to write there.
struct Place<'a> {
    cache: &'a SampleCache,
    key: Digest,
    lock: Lock,
}

impl Place<'_> {
    /// Begins a file if so many bytes have room.
    fn begin(&self, bytes: u64) -> std::io::Result<Option<(Writer, u64)>> {
        let Some(room) = self.cache.make_room(&self.lock, bytes)? else { return Ok(None) };
        Ok(Some((self.cache.writer(&self.lock)?, room)))
    }

    /// Whether so many bytes have room. The folder is looked through only where they have outgrown it, which
    /// is at most once for each file that then gives way: only this process may write there, so room stays.
    fn fits(&self, bytes: u64, room: &mut u64) -> std::io::Result<bool> {
        if bytes > *room {
            let Some(more) = self.cache.make_room(&self.lock, bytes)? else { return Ok(false) };
            *room = more;
        }
        Ok(true)
    }
}

impl SampleSource {
    /// Opens a part. What is known of it is read from the cache; if it is not there, all samples are read once.
    /// They are decoded into the cache if they fit. Training tiles of a data set that has them at random places are not: the
    /// next epoch wants other pixels, and a file of the grid alone would take its room for nothing.
    ///
    /// # Errors
    /// If a band is missing, the part is empty, too many files are unreadable, or the data set is `strict` and
    /// the pixels contradict the names of the bands.
    pub fn open(
        dataset: Arc<Dataset>,
        split: Split,
        bands: &[String],
        cache: Option<&SampleCache>,
    ) -> Result<Self, DataError> {
        let positions = dataset.positions(bands)?;
        let entries = dataset.entries_of(split);
        if entries.is_empty() {
            let reason = format!("the {} part has no samples", split.name());
            return Err(DataError::unfit(dataset.path(), reason));
        }
        let cache = cache.filter(|cache| cache.bytes > 0);
        let key = cache.map(|cache| (cache, of_part(&dataset, split, bands, &entries)));
        let known = key.and_then(|(cache, key)| cache.facts(key));
        if let Some(facts) = &known {
            facts.tell(&dataset, &entries);
            dataset.tolerable()?;
        }
        let decoded = key.filter(|_| known.is_some()).and_then(|(cache, key)| cache.reader(key));
        if let (Some(facts), Some(decoded)) = (&known, decoded)
            && decoded.len() as u64 == facts.samples
        {
            return Ok(Self::new(dataset, positions, &entries, facts.clone(), Some(decoded), Origin::Cache));
        }
        let mut problem = None;
        let mut note = |error: std::io::Error| problem = Some(error.to_string());
        let kept = !dataset.has_random_windows(split);
        let fits = |facts: &PartFacts, cache: &SampleCache| kept && facts.bytes <= cache.bytes;
        let wanted = key.filter(|(cache, _)| known.as_ref().is_none_or(|facts| fits(facts, cache)));
        let place = wanted.and_then(|(cache, key)| {
            let lock = cache.lock().map_err(&mut note).ok().flatten()?;
            Some(Place { cache, key, lock })
        });
        let mut source = match (known, place) {
            (Some(facts), None) => Self::new(dataset, positions, &entries, facts, None, Origin::Files),
            (_, place) => {
                let pass = Pass { dataset: &dataset, bands, positions: &positions, entries: &entries };
                let (facts, filled) = pass.run(place.as_ref().filter(|_| kept))?;
                if let Some(Place { cache, key, .. }) = &place
                    && let Err(error) = cache.keep_facts(*key, &facts)
                {
                    note(error);
                }
                let decoded = filled.map_err(&mut note).ok().flatten();
                let origin = if decoded.is_some() { Origin::NewCache } else { Origin::Files };
                Self::new(dataset, positions, &entries, facts, decoded, origin)
            }
        };
        source.problem = problem;
        Ok(source)
    }

    fn new(
        dataset: Arc<Dataset>,
        bands: Vec<usize>,
        entries: &[u32],
        facts: PartFacts,
        decoded: Option<Reader>,
        origin: Origin,
    ) -> Self {
        let unreadable: std::collections::BTreeSet<u64> = facts.unreadable.iter().copied().collect();
        let readable = entries.iter().enumerate().filter(|(at, _)| !unreadable.contains(&(*at as u64)));
        let entries = readable.map(|(_, entry)| *entry).collect();
        Self { dataset, bands, entries, facts, decoded, origin, problem: None }
    }

    /// Number of samples.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no samples.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is known of the part.
    #[must_use]
    pub const fn facts(&self) -> &PartFacts {
        &self.facts
    }

    /// The name of a sample in the data set, if there is one of this number.
    #[must_use]
    pub fn key(&self, at: usize) -> Option<&str> {
        self.entries.get(at).map(|entry| self.dataset.key(*entry))
    }

    /// Dates times bands of a sample.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.bands.len() * self.dataset.dates()
    }

    /// Where the samples come from.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// Why the cache could not be used, if something was wrong with it.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// What is to be done to the values of each band.
    #[must_use]
    pub fn scaling(&self) -> BandScaling {
        self.dataset.scaling(&self.bands)
    }

    /// The path of the data set's description.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        self.dataset.path()
    }

    /// Reads a sample. Where its decoded form is damaged, it is decoded again, and the damaged file is removed.
    ///
    /// # Errors
    /// If its files cannot be read any more, or there is no sample of this number.
    pub fn get(&self, at: usize) -> Result<Packed, DataError> {
        if let Some(decoded) = &self.decoded {
            match decoded.read(at) {
                Ok(packed) => return Ok(packed),
                Err(_) => give_up(decoded.path()),
            }
        }
        let no_such =
            || DataError::unfit(self.dataset.path(), format!("there is no sample {at} in this part"));
        let entry = self.entries.get(at).ok_or_else(no_such)?;
        Ok(Packed::new(self.dataset.read_as_stored(*entry, &self.bands)?.sample))
    }

    /// Whether samples are tiles that can be read at random places.
    #[must_use]
    pub fn has_random_windows(&self) -> bool {
        self.entries.first().is_some_and(|entry| self.dataset.has_random_windows(self.dataset.part(*entry)))
    }

    /// Reads a sample at the place that follows from a seed, or as [`SampleSource::get`] does, with the reason.
    ///
    /// # Errors
    /// Like [`SampleSource::get`].
    pub fn get_elsewhere(&self, at: usize, seed: u64) -> Result<(Packed, Option<KeptPlace>), DataError> {
        let elsewhere =
            self.entries.get(at).map(|entry| self.dataset.read_elsewhere(*entry, &self.bands, seed));
        match elsewhere {
            Some(Ok(sample)) => Ok((Packed::new(sample), None)),
            Some(Err(reason)) => Ok((self.get(at)?, Some(reason))),
            None => Ok((self.get(at)?, None)),
        }
    }
}

/// The reading of a whole part.
struct Pass<'a> {
    dataset: &'a Dataset,
    bands: &'a [String],
    positions: &'a [usize],
    entries: &'a [u32],
}

impl Pass<'_> {
    /// Reads every sample, a few at a time. The inner result is that of filling the cache.
    fn run(
        &self,
        place: Option<&Place<'_>>,
    ) -> Result<(PartFacts, std::io::Result<Option<Reader>>), DataError> {
        let mut facts = FactsBuilder::new(self.dataset, self.bands, self.entries.len());
        let mut filling = Filling { place, file: Ok(None), begun: false };
        let mut groups = Groups::default();
        let mut bytes = 0;
        let size_of_chunk = EACH * rayon::current_num_threads();
        for (number, chunk) in self.entries.chunks(size_of_chunk).enumerate() {
            let read: Vec<_> = chunk.par_iter().map(|entry| self.read(*entry)).collect();
            for (at, read) in read.into_iter().enumerate() {
                self.dataset.has_read(chunk[at], &read);
                match read {
                    Ok((packed, seen)) => {
                        bytes += size(&packed);
                        filling.add(&packed, self.entries.len());
                        facts.add(seen);
                    }
                    Err(error) => {
                        groups.add(&error);
                        facts.skip(number * size_of_chunk + at, &error);
                    }
                }
            }
            if facts.skipped().len() > ENOUGH_SKIPPED {
                self.dataset.tolerable()?;
            }
        }
        if facts.skipped().len() == self.entries.len() {
            return Err(self.dataset.too_many_corrupt(&groups, self.entries.len(), self.entries.len()));
        }
        self.dataset.tolerable()?;
        Ok((facts.finish(self.dataset, self.bands, bytes)?, filling.finish()))
    }

    fn read(&self, entry: u32) -> Result<(Packed, Seen), DataError> {
        let mut read = self.dataset.read_as_stored(entry, self.positions)?;
        let packed = Packed::new(read.sample.clone());
        self.dataset.scale(&mut read.sample, self.positions);
        Ok((packed, Seen::new(read)))
    }
}

/// The filling of the cache. It is given up when the samples do not fit or a file cannot be written; the
/// training then reads from the files.
struct Filling<'a> {
    place: Option<&'a Place<'a>>,
    /// The file, and the bytes that have room: absent before the first sample, and when it was given up.
    file: std::io::Result<Option<(Writer, u64)>>,
    begun: bool,
}

impl Filling<'_> {
    fn add(&mut self, packed: &Packed, samples: usize) {
        let Some(place) = self.place else { return };
        if !std::mem::replace(&mut self.begun, true) {
            // Samples are mostly alike, so that the first tells whether all have room.
            self.file = place.begin(size(packed).saturating_mul(samples as u64));
        }
        let Ok(Some((writer, room))) = &mut self.file else { return };
        match writer.add(packed).and_then(|()| place.fits(writer.bytes(), room)) {
            Ok(true) => {}
            Ok(false) => self.file = Ok(None),
            Err(error) => self.file = Err(error),
        }
    }

    fn finish(self) -> std::io::Result<Option<Reader>> {
        match (self.place, self.file?) {
            (Some(Place { cache, key, .. }), Some((writer, _))) => cache.finish(*key, writer),
            _ => Ok(None),
        }
    }
}

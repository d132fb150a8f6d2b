//! Samples that are read while the training computes: a thread reads ahead, all processors that the training may
//! use decode, and at most a few batches wait in a queue. So memory does not depend on the number of samples.
//!
//! What is drawn for a batch is drawn in the order of the batches by one thread, and each sample has its place
//! in its batch before it is decoded. So a batch does not depend on which sample was decoded first.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use eosfed_common::model::Task;
use eosfed_common::plan::{ClassWeights, Training};
use eosfed_data::{DataError, Packed, SampleSource};
use rayon::prelude::*;
use tch::{Device, Tensor};

use super::batches::{Batch, Draw, Draws, assemble};
use super::labelled::Labelled;
use super::raw::Raw;
use super::samples::{BatchIterator, EpochSettings, Samples};
use super::tensors::{Preprocessing, Shape, TensorDataset, input_size, label, resized, whole_labels};
use super::windows::WindowTally;

/// Batches that are decoded and wait. With the one that is being decoded and the one that is being computed,
/// these are all that are in memory.
const AHEAD: usize = 2;

/// Samples of a part of a data set, read batch by batch.
pub struct StreamedDataset {
    reader: Arc<Reader>,
    shape: Shape,
    device: Device,
    /// Whether tiles are read at random places in an epoch.
    random_windows: bool,
}

/// Reads batches on the processor.
struct Reader {
    source: SampleSource,
    preprocessing: Preprocessing,
    /// Height and width of images.
    size: [usize; 2],
    /// Height and width that labels of pixels are resized to, if they are.
    resize: Option<[usize; 2]>,
    task: Task,
}

/// A batch on the processor, before its images are normalised.
struct Decoded {
    /// Images of one size each, in the order of the batch.
    images: Vec<Raw>,
    labels: Tensor,
    labelled: Vec<bool>,
    draws: Vec<Draw>,
}

impl StreamedDataset {
    /// Samples of a source, for a task.
    ///
    /// # Errors
    /// If sizes differ and no `input_size` is given, or if they are not multiples of 32.
    pub fn new(
        source: SampleSource,
        preprocessing: Preprocessing,
        task: Task,
        device: Device,
    ) -> Result<Self, DataError> {
        let facts = source.facts();
        let first = facts.sizes.first().copied().unwrap_or_default();
        let other = facts.sizes.get(1).copied();
        let size = input_size(source.path(), first, other, preprocessing.input_size)?;
        let resize = preprocessing.resize(first, other.is_none(), size);
        let labels = resize.unwrap_or(first);
        let square = |[height, width]: [usize; 2]| height == width;
        let shape = Shape {
            samples: source.len(),
            channels: source.channels(),
            size,
            square: square(size) && (!task.is_dense() || square(labels)),
        };
        let reader = Reader { source, preprocessing, size, resize, task };
        Ok(Self { reader: Arc::new(reader), shape, device, random_windows: false })
    }

    /// The same with tiles at random places in each epoch, if the data set asks for them. In their order, samples are
    /// read as they are.
    #[must_use]
    pub fn with_random_windows(self) -> Self {
        let random_windows = self.source().has_random_windows();
        Self { random_windows, ..self }
    }

    /// Where the samples come from, and what is known of them.
    #[must_use]
    pub fn source(&self) -> &SampleSource {
        &self.reader.source
    }

    /// Height and width of the images.
    #[must_use]
    pub(crate) const fn size(&self) -> [usize; 2] {
        self.shape.size
    }

    /// Whether images, and labels of pixels, are square.
    #[must_use]
    pub(crate) const fn is_square(&self) -> bool {
        self.shape.square
    }

    /// Labels of a sample.
    #[must_use]
    pub(crate) fn labels_of_sample(&self) -> usize {
        let facts = self.source().facts();
        match self.reader.task {
            Task::Classification => 1,
            Task::Multilabel => facts.labels.len(),
            Task::Segmentation | Task::ChangeDetection | Task::Regression => {
                let first = facts.sizes.first().copied().unwrap_or_default();
                self.reader.resize.unwrap_or(first).into_iter().product()
            }
        }
    }

    /// Labels of each class, where a training weights classes by them.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn counts_for(&self, training: &Training) -> Result<Option<Vec<u64>>, DataError> {
        match (training.class_weights, self.reader.task) {
            (ClassWeights::None, _) | (_, Task::Regression) => Ok(None),
            (ClassWeights::Balanced, _) => self.label_counts().map(Some),
        }
    }

    /// Labels of each class: images that have it, or labelled pixels, as the training sees them.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn label_counts(&self) -> Result<Vec<u64>, DataError> {
        if self.reader.resize.is_none() {
            return Ok(self.source().facts().labels.clone());
        }
        let mut counts = vec![0; self.source().facts().labels.len()];
        for at in 0..self.source().len() {
            let labels = self.reader.label(&self.reader.source.get(at)?);
            let bytes: Vec<u8> = Vec::try_from(labels.flatten(0, -1)).unwrap_or_default();
            for class in bytes {
                if let Some(count) = counts.get_mut(usize::from(class)) {
                    *count += 1;
                }
            }
        }
        Ok(counts)
    }

    /// Reads batches of these draws ahead; with a seed of places, tiles at random ones.
    fn read(
        &self,
        draws: impl Iterator<Item = Vec<Draw>> + Send + 'static,
        places: Option<u64>,
    ) -> Ahead<'_> {
        let (sender, receiver) = sync_channel(AHEAD);
        let reader = Arc::clone(&self.reader);
        let thread = std::thread::spawn(move || read_all(&reader, draws, places, &sender));
        Ahead { data: self, receiver: Some(receiver), thread: Some(thread) }
    }

    /// A decoded batch on the device.
    fn finish(&self, decoded: Decoded) -> Batch {
        let Decoded { images, labels, labelled, draws } = decoded;
        let scaling = self.reader.source.scaling();
        let normalisation = &self.reader.preprocessing.normalisation;
        let [height, width] = self.reader.size.map(|side| side as i64);
        let images: Vec<Tensor> = images
            .into_iter()
            .map(|raw| {
                let images = raw.normalised(&scaling, normalisation, self.device);
                if images.size()[2..] == [height, width] {
                    return images;
                }
                resized(&images, [height, width], self.reader.preprocessing.antialias)
            })
            .collect();
        let images = match &images[..] {
            [one] => one.shallow_clone(),
            several => Tensor::cat(several, 0),
        };
        let data = TensorDataset { images, labels: whole_labels(&labels.to_device(self.device)) };
        let local: Vec<Draw> = draws.iter().enumerate().map(|(at, draw)| draw.of(at)).collect();
        let windows = draws.into_iter().map(|draw| draw.window).collect();
        Batch { windows, labelled, ..assemble(&data, &local) }
    }
}

impl Samples for StreamedDataset {
    fn len(&self) -> usize {
        self.shape.samples
    }

    fn device(&self) -> Device {
        self.device
    }

    fn epoch(&self, settings: EpochSettings<'_>) -> BatchIterator<'_> {
        let EpochSettings { task: _, batch_size, transforms, seed } = settings;
        let places = self.random_windows.then_some(seed);
        Box::new(self.read(Draws::new(self.shape, batch_size, transforms, seed), places))
    }

    fn in_order(&self, batch_size: usize) -> BatchIterator<'_> {
        let total = self.len();
        let batch = move |start: usize| {
            let samples: Range<usize> = start..(start + batch_size).min(total);
            samples.map(Draw::plain).collect()
        };
        Box::new(self.read((0..total).step_by(batch_size).map(batch), None))
    }
}

/// Decodes batch after batch until there is none, one fails, or nobody wants them.
fn read_all(
    reader: &Reader,
    draws: impl Iterator<Item = Vec<Draw>>,
    places: Option<u64>,
    sender: &SyncSender<Result<Decoded, DataError>>,
) {
    let mut tally = WindowTally::default();
    for draws in draws {
        let decoded = reader.decode(draws, places, &mut tally);
        let failed = decoded.is_err();
        if sender.send(decoded).is_err() || failed {
            return;
        }
    }
    if places.is_some() {
        tally.log();
    }
}

/// What is read of each sample, on all processors.
fn each<T: Send>(
    draws: &[Draw],
    read: impl Fn(usize) -> Result<T, DataError> + Sync,
) -> Result<Vec<T>, DataError> {
    draws.par_iter().map(|draw| read(draw.window.sample)).collect()
}

impl Reader {
    fn decode(
        &self,
        draws: Vec<Draw>,
        places: Option<u64>,
        tally: &mut WindowTally,
    ) -> Result<Decoded, DataError> {
        let _guard = tch::no_grad_guard();
        let packed = match places {
            None => each(&draws, |at| self.source.get(at))?,
            Some(seed) => {
                let read = each(&draws, |at| self.source.get_elsewhere(at, seed))?;
                let (packed, kept): (Vec<Packed>, Vec<_>) = read.into_iter().unzip();
                kept.into_iter().for_each(|kept| tally.add(kept));
                packed
            }
        };
        let labels: Vec<Tensor> = packed.iter().map(|packed| self.label(packed)).collect();
        let labels = Tensor::stack(&labels, 0);
        let known = Labelled::of(self.task, &labels);
        let labelled = draws.iter().enumerate().map(|(at, draw)| known.any(&[draw.of(at).window])).collect();
        let size = |packed: &Packed| [packed.height, packed.width];
        let alike = packed.windows(2).all(|pair| size(&pair[0]) == size(&pair[1]));
        let images = if alike { vec![Raw::new(&packed)] } else { packed.chunks(1).map(Raw::new).collect() };
        Ok(Decoded { images, labels, labelled, draws })
    }

    fn label(&self, packed: &Packed) -> Tensor {
        let size = [packed.height, packed.width];
        label(&packed.target, size, &self.preprocessing.target, self.resize)
    }
}

/// Batches that are read ahead.
struct Ahead<'a> {
    data: &'a StreamedDataset,
    receiver: Option<Receiver<Result<Decoded, DataError>>>,
    thread: Option<JoinHandle<()>>,
}

impl Iterator for Ahead<'_> {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.receiver.as_ref()?.recv() {
            Ok(decoded) => Some(decoded.map(|decoded| self.data.finish(decoded))),
            Err(_) => {
                self.receiver = None;
                if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
                    std::panic::resume_unwind(panic);
                }
                None
            }
        }
    }
}

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        // Without a receiver the thread ends with the batch that it decodes now.
        self.receiver = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use eosfed_common::plan::Augmentation;
    use eosfed_data::{Dataset, Limits, Raster, SampleCache, Split, write_geotiff};
    use tch::Kind;

    use super::*;
    use crate::train::Transforms;
    use crate::train::run::normalisation;

    const BANDS: usize = 2;

    /// Images with masks, the last of which has another size if `mixed`. Some pixels have no data or no label.
    fn dataset(folder: &Path, task: Task, step: f32, mixed: bool) -> Arc<Dataset> {
        for name in ["images", "masks"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        for image in 0..7 {
            let side = if mixed && image == 6 { 32 } else { 64 };
            let write = |kind: &str, bands: usize, data: Vec<f32>| {
                let raster = Raster { width: side, height: side, bands, data, reference: None };
                write_geotiff(&folder.join(format!("{kind}/{image}.tif")), &raster).unwrap();
            };
            let value = |at: usize| ((at * 31 + image * 977) % 4099) as f32 * step;
            let mut data: Vec<f32> = (0..BANDS * side * side).map(value).collect();
            data[image] = 99_999.0;
            write("images", BANDS, data);
            let label = |at: usize| if at.is_multiple_of(5) || image == 2 { 255.0 } else { (at % 3) as f32 };
            write("masks", 1, (0..side * side).map(label).collect());
        }
        let classes = if task == Task::Regression { "[\"height\"]" } else { "[\"a\", \"b\", \"c\"]" };
        let text = format!(
            "task = \"{task}\"\nbands = [\"red\", \"nir\"]\nclasses = {classes}\nscale = 0.0001\noffset = -0.1\n\
             nodata = 99999\n[layout]\nkind = \"pairs\"\nimages = \"images\"\nmasks = \"masks\"\n[split]\n\
             validation = 0.0\ntest = 0.0\n"
        );
        let path = folder.join("dataset.toml");
        fs::write(&path, text).unwrap();
        Arc::new(Dataset::open(&path, &Limits::default()).unwrap())
    }

    fn bits(tensor: &Tensor) -> (Vec<i64>, Vec<i32>) {
        let flat = tensor.to_kind(Kind::Float).view_dtype(Kind::Int).contiguous().view([-1]);
        (tensor.size(), Vec::try_from(flat).unwrap())
    }

    fn same(batches: BatchIterator<'_>, wanted: BatchIterator<'_>) {
        let batches: Vec<Batch> = batches.map(Result::unwrap).collect();
        let wanted: Vec<Batch> = wanted.map(Result::unwrap).collect();
        assert_eq!(batches.len(), wanted.len());
        for (one, other) in batches.iter().zip(&wanted) {
            assert_eq!((&one.windows, one.labels.kind()), (&other.windows, other.labels.kind()));
            assert!(bits(&one.images) == bits(&other.images), "images differ");
            assert!(bits(&one.labels) == bits(&other.labels), "labels differ");
        }
    }

    fn flags(batches: BatchIterator<'_>) -> Vec<bool> {
        batches.flat_map(|batch| batch.unwrap().labelled).collect()
    }

    #[test]
    fn a_stream_gives_the_batches_that_tensors_in_memory_give() {
        let augment = [Augmentation::Flip, Augmentation::Rotate90, Augmentation::Jitter].to_vec();
        for (task, step, mixed, size, crop) in [
            (Task::Segmentation, 1.0, false, None, None),
            (Task::Segmentation, 1.0, false, None, Some(32)),
            (Task::Segmentation, 0.3, false, Some(96), Some(32)),
            (Task::Segmentation, 0.01, true, Some(64), None),
            (Task::Regression, 1.0, false, Some(32), None),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let data = dataset(folder.path(), task, step, mixed);
            let bands = ["nir", "red"].map(str::to_owned);
            let samples = data.load(Split::Train, &bands).unwrap().samples;
            let preprocessing = Preprocessing {
                normalisation: normalisation(&bands, &samples),
                input_size: size,
                antialias: size == Some(32),
                resize_labels: crop.is_some(),
                ..Preprocessing::default()
            };
            let memory = TensorDataset::new(&samples, &preprocessing, Device::Cpu).unwrap();
            let transforms = Transforms { augment: augment.clone(), crop };
            let cache = SampleCache { folder: folder.path().join("cache"), bytes: 1 << 30 };
            for cache in [None, Some(&cache), Some(&cache)] {
                let source = SampleSource::open(Arc::clone(&data), Split::Train, &bands, cache).unwrap();
                let stream = StreamedDataset::new(source, preprocessing.clone(), task, Device::Cpu).unwrap();
                for seed in 0..3 {
                    let settings = EpochSettings { task, batch_size: 3, transforms: &transforms, seed };
                    same(stream.epoch(settings), memory.epoch(settings));
                    let labelled = flags(stream.epoch(settings));
                    assert_eq!(labelled, flags(memory.epoch(settings)));
                    assert_eq!(labelled.contains(&false), task == Task::Segmentation);
                }
                same(stream.in_order(4), memory.in_order(4));
                if task == Task::Segmentation {
                    let counted: u64 = stream.label_counts().unwrap().iter().sum();
                    let known = memory.labels.ne(255).sum(Kind::Int64).int64_value(&[]);
                    assert_eq!(counted, known as u64);
                }
            }
        }
    }

    #[test]
    fn who_wants_no_more_batches_does_not_wait_and_lost_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let data = dataset(folder.path(), Task::Segmentation, 1.0, false);
        let bands = ["red".to_owned()];
        let source = SampleSource::open(data, Split::Train, &bands, None).unwrap();
        let stream =
            StreamedDataset::new(source, Preprocessing::default(), Task::Segmentation, Device::Cpu).unwrap();
        let transforms = Transforms::default();
        let settings =
            EpochSettings { task: Task::Segmentation, batch_size: 1, transforms: &transforms, seed: 1 };
        assert!(stream.epoch(settings).next().unwrap().is_ok());
        fs::remove_file(folder.path().join("images/4.tif")).unwrap();
        let said = stream.epoch(settings).find_map(Result::err).unwrap().to_string();
        assert!(said.contains("images/4.tif"), "{said}");
    }
    #[test]
    fn tiles_are_at_other_places_in_each_epoch_and_on_the_grid_in_their_order() {
        const SIDE: usize = 160;
        let folder = tempfile::tempdir().unwrap();
        let pixels = || (0..SIDE * SIDE).map(|at| [at % SIDE, at / SIDE]);
        let write = |name: &str, data: Vec<f32>| {
            let raster = Raster { width: SIDE, height: SIDE, bands: 1, data, reference: None };
            write_geotiff(&folder.path().join(name), &raster).unwrap();
        };
        let class = |[x, y]: [usize; 2]| ((x / 3 + y / 5) % 2) as f32;
        write("a.tif", pixels().map(|at| class(at) * 10.0 + 1.0).collect());
        write("m.tif", pixels().map(class).collect());
        let path = folder.path().join("dataset.toml");
        let open = |windows: &str| {
            let text = format!(
                "task = \"segmentation\"\nbands = [\"red\"]\nclasses = [\"a\", \"b\"]\n[layout]\nkind = \"scenes\"\n\
                 images = [\"a.tif\"]\nmasks = [\"m.tif\"]\ntile = 32\nwindows = \"{windows}\"\n[split]\nvalidation = 0.0\n"
            );
            fs::write(&path, text).unwrap();
            let data = Arc::new(Dataset::open(&path, &Limits::default()).unwrap());
            let source = SampleSource::open(data, Split::Train, &["red".to_owned()], None).unwrap();
            StreamedDataset::new(source, Preprocessing::default(), Task::Segmentation, Device::Cpu).unwrap()
        };
        let transforms = Transforms::default();
        let settings =
            |seed| EpochSettings { task: Task::Segmentation, batch_size: 4, transforms: &transforms, seed };
        let random = open("random").with_random_windows();
        // The images of an epoch by the number of their sample. Each pixel has the value of its class.
        let images = |data: &StreamedDataset, seed: u64| {
            let mut all = vec![Vec::new(); data.len()];
            for batch in data.epoch(settings(seed)).map(Result::unwrap) {
                assert_eq!(batch.images.squeeze_dim(1), batch.labels.to_kind(Kind::Float) * 10.0 + 1.0);
                for (at, window) in batch.windows.iter().enumerate() {
                    all[window.sample] = bits(&batch.images.get(at as i64)).1;
                }
            }
            all
        };
        let [one, again, two] = [1, 1, 2].map(|seed| images(&random, seed));
        assert!(one == again, "equal seeds give equal windows");
        let other = one.iter().zip(&two).filter(|(one, two)| one != two).count();
        assert!(other > 20, "{other} of {} tiles are at another place in the next epoch", one.len());
        same(random.in_order(4), open("grid").in_order(4));
        let not_asked = open("random");
        let grid = open("grid").with_random_windows();
        assert!(images(&not_asked, 1) == images(&grid, 1) && images(&grid, 1) != one);
    }
}

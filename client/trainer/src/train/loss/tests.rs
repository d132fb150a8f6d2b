use super::*;

fn settings(task: Task, term: Loss) -> LossSettings {
    LossSettings { task, terms: vec![term], class_weights: None, label_smoothing: 0.0 }
}

fn value(settings: &LossSettings, outputs: &Tensor, labels: &Tensor) -> f64 {
    settings.loss(outputs, labels).unwrap().double_value(&[])
}

/// Logits `[1, 2, 1, n]` that give the first class these probabilities.
fn two_classes(first: &[f64]) -> Tensor {
    let logits: Vec<f32> = first.iter().map(|p| (p / (1.0 - p)).ln() as f32).collect();
    let n = logits.len() as i64;
    Tensor::cat(
        &[
            Tensor::from_slice(&logits).view([1, 1, 1, n]),
            Tensor::zeros([1, 1, 1, n], (Kind::Float, Device::Cpu)),
        ],
        1,
    )
}

fn mask(labels: &[i64]) -> Tensor {
    Tensor::from_slice(labels).view([1, 1, -1])
}

#[test]
fn no_loss_counts_ignored_pixels() {
    let outputs = two_classes(&[0.9, 0.2, 0.3]);
    for term in Loss::of(Task::Segmentation) {
        let settings = settings(Task::Segmentation, *term);
        let with = value(&settings, &outputs, &mask(&[0, 1, 255]));
        let without = value(&settings, &outputs.narrow(3, 0, 2), &mask(&[0, 1]));
        assert!((with - without).abs() < 1e-6, "{}: {with} {without}", term.name());
        assert!(settings.loss(&outputs, &mask(&[255, 255, 255])).is_none());
    }
    for term in Loss::of(Task::Regression) {
        let settings = settings(Task::Regression, *term);
        let outputs = Tensor::from_slice(&[1.0_f32, 5.0, 9.0]).view([1, 1, 1, 3]);
        let targets = |list: &[f32]| Tensor::from_slice(list).view([1, 1, -1]);
        let with = value(&settings, &outputs, &targets(&[2.0, 5.5, f32::NAN]));
        assert!((with - value(&settings, &outputs.narrow(3, 0, 2), &targets(&[2.0, 5.5]))).abs() < 1e-6);
        assert!(settings.loss(&outputs, &targets(&[f32::NAN; 3])).is_none());
    }
}

#[test]
fn cross_entropy_and_focal_match_those_computed_by_hand() {
    let outputs = two_classes(&[0.9, 0.4]);
    let labels = mask(&[0, 1]);
    let each = |p: f64, gamma: f64| -(1.0 - p).powf(gamma) * p.ln();
    let plain = value(&settings(Task::Segmentation, Loss::CrossEntropy), &outputs, &labels);
    assert!((plain - (each(0.9, 0.0) + each(0.6, 0.0)) / 2.0).abs() < 1e-6);
    let mut focal = settings(Task::Segmentation, Loss::Focal);
    assert!((value(&focal, &outputs, &labels) - (each(0.9, 2.0) + each(0.6, 2.0)) / 2.0).abs() < 1e-6);
    focal.class_weights = Some(Tensor::from_slice(&[3.0_f32, 1.0]));
    let weighted = (3.0 * each(0.9, 2.0) + each(0.6, 2.0)) / 4.0;
    assert!((value(&focal, &outputs, &labels) - weighted).abs() < 1e-6);
}

#[test]
fn dice_and_jaccard_match_those_computed_by_hand() {
    let outputs = two_classes(&[0.9, 0.4]);
    let labels = mask(&[0, 1]);
    // Class 0: I = 0.9, P = 1.3, T = 1. Class 1: I = 0.6, P = 0.7, T = 1.
    let dice = 1.0 - (2.0 * 0.9 / 2.3 + 2.0 * 0.6 / 1.7) / 2.0;
    let jaccard = 1.0 - (0.9 / 1.4 + 0.6 / 1.1) / 2.0;
    assert!((value(&settings(Task::Segmentation, Loss::Dice), &outputs, &labels) - dice).abs() < 1e-6);
    assert!((value(&settings(Task::Segmentation, Loss::Jaccard), &outputs, &labels) - jaccard).abs() < 1e-6);
    // A class that no pixel has does not count.
    let one = value(&settings(Task::Segmentation, Loss::Dice), &outputs, &mask(&[0, 0]));
    assert!((one - (1.0 - 2.0 * 1.3 / 3.3)).abs() < 1e-6, "{one}");
}

/// For certain predictions, the Lovász extension equals one minus the Jaccard index.
#[test]
fn lovasz_equals_the_jaccard_index_for_certain_predictions() {
    let sure = 1.0 - 1e-9;
    let predicted = [0, 0, 1, 1, 1, 0_i64];
    let truth = [0, 1, 1, 1, 0, 0_i64];
    let outputs = two_classes(&predicted.map(|class| if class == 0 { sure } else { 1.0 - sure }));
    let found = value(&settings(Task::Segmentation, Loss::Lovasz), &outputs, &mask(&truth));
    assert!((found - 0.5).abs() < 1e-5, "both classes have an IoU of 2/4, found {found}");
    let perfect = two_classes(&truth.map(|class| if class == 0 { sure } else { 1.0 - sure }));
    assert!(value(&settings(Task::Segmentation, Loss::Lovasz), &perfect, &mask(&truth)).abs() < 1e-5);
}

#[test]
fn several_labels_have_a_binary_loss_each() {
    let logit = |p: f64| (p / (1.0 - p)).ln() as f32;
    let outputs = Tensor::from_slice(&[logit(0.8), logit(0.3)]).view([1, 2]);
    let labels = Tensor::from_slice(&[1.0_f32, 0.0]).view([1, 2]);
    let bce = value(&settings(Task::Multilabel, Loss::Bce), &outputs, &labels);
    assert!((bce + (0.8_f64.ln() + 0.7_f64.ln()) / 2.0).abs() < 1e-6);
    let focal = value(&settings(Task::Multilabel, Loss::Focal), &outputs, &labels);
    assert!((focal + (0.04 * 0.8_f64.ln() + 0.09 * 0.7_f64.ln()) / 2.0).abs() < 1e-6);
}

#[test]
fn regression_losses_match_those_computed_by_hand() {
    let outputs = Tensor::from_slice(&[0.5_f32, 3.0]).view([1, 1, 1, 2]);
    let labels = Tensor::from_slice(&[0.0_f32, 0.0]).view([1, 1, 2]);
    let of = |term| value(&settings(Task::Regression, term), &outputs, &labels);
    assert_eq!((of(Loss::Mse), of(Loss::Mae), of(Loss::Huber)), (4.625, 1.75, (0.125 + 2.5) / 2.0));
}

#[test]
fn terms_are_summed() {
    let outputs = two_classes(&[0.9, 0.4]);
    let labels = mask(&[0, 1]);
    let both = [Loss::CrossEntropy, Loss::Dice];
    let each = both.map(|term| value(&settings(Task::Segmentation, term), &outputs, &labels));
    let sum = LossSettings { terms: both.to_vec(), ..settings(Task::Segmentation, Loss::Dice) };
    assert!((value(&sum, &outputs, &labels) - each[0] - each[1]).abs() < 1e-6);
}

#[test]
fn rare_classes_have_more_weight_and_absent_ones_none() {
    let weights = |task, labels: Tensor| {
        let images = Tensor::zeros([1, 1, 32, 32], (Kind::Float, Device::Cpu));
        let data = TensorDataset { images, labels };
        let weights = class_weights(ClassWeights::Balanced, &data, task, 3, Device::Cpu)?;
        Some(Vec::<f32>::try_from(weights).unwrap())
    };
    let found = weights(Task::Classification, Tensor::from_slice(&[0_i64, 0, 0, 0, 1, 255])).unwrap();
    assert!((found[1] / found[0] - 2.0).abs() < 1e-5 && found[2] == 0.0, "{found:?}");
    assert!((found[0] + found[1] - 2.0).abs() < 1e-5);
    let rows = Tensor::from_slice(&[1.0_f32, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!(weights(Task::Multilabel, rows.view([4, 3])).unwrap(), found);
    assert!(weights(Task::Regression, rows).is_none());
}

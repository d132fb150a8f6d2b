//! Training settings.

use eosfed_common::plan::{Augmentation, ClassWeights, Loss, Precision, Training};
use eosfed_proto::v1;

use super::{Wire, WireError, at_most, finite, specified, wrong};

impl Wire for Training {
    type Message = v1::TrainingSettings;

    fn from_message(message: v1::TrainingSettings) -> Result<Self, WireError> {
        let v1::TrainingSettings {
            epochs,
            batch_size,
            learning_rate,
            weight_decay,
            warmup,
            drop_path,
            label_smoothing,
            class_weights,
            augment,
            input_size,
            proximal_mu,
            crop,
            loss,
            accumulate,
            clip_norm,
            precision,
            head_dropout,
            mixup,
            cutmix,
            ema,
            layer_decay,
            antialias,
            score_average,
        } = message;
        let class_weights = match specified("class_weights", class_weights)? {
            v1::ClassWeights::Unspecified => return Err(wrong("class_weights", "a specified value")),
            v1::ClassWeights::None => ClassWeights::None,
            v1::ClassWeights::Balanced => ClassWeights::Balanced,
        };
        let augment =
            at_most("augment", 16, augment)?.into_iter().map(augmentation).collect::<Result<_, _>>()?;
        let precision = match specified("precision", precision)? {
            v1::Precision::Unspecified => return Err(wrong("precision", "a specified value")),
            v1::Precision::Full => Precision::Full,
            v1::Precision::Bf16 => Precision::Bf16,
        };
        let loss = at_most("loss", 16, loss)?.into_iter().map(loss_term).collect::<Result<_, _>>()?;
        Ok(Self {
            epochs,
            batch_size,
            learning_rate: finite("learning_rate", learning_rate)?.get(),
            weight_decay: finite("weight_decay", weight_decay)?.get(),
            warmup: finite("warmup", warmup)?.get(),
            drop_path: finite("drop_path", drop_path)?.get(),
            label_smoothing: finite("label_smoothing", label_smoothing)?.get(),
            head_dropout: finite("head_dropout", head_dropout)?.get(),
            mixup: finite("mixup", mixup)?.get(),
            cutmix: finite("cutmix", cutmix)?.get(),
            ema: finite("ema", ema)?.get(),
            layer_decay: finite("layer_decay", layer_decay.unwrap_or(1.0))?.get(),
            class_weights,
            augment,
            input_size: Some(input_size).filter(|size| *size > 0),
            antialias,
            crop: Some(crop).filter(|side| *side > 0),
            loss,
            accumulate,
            clip_norm: finite("clip_norm", clip_norm)?.get(),
            precision,
            score_average: score_average.unwrap_or(true),
            proximal_mu: finite("proximal_mu", proximal_mu)?.get(),
        })
    }

    fn into_message(self) -> v1::TrainingSettings {
        let Training {
            epochs,
            batch_size,
            learning_rate,
            weight_decay,
            warmup,
            drop_path,
            label_smoothing,
            head_dropout,
            mixup,
            cutmix,
            ema,
            layer_decay,
            class_weights,
            augment,
            input_size,
            antialias,
            crop,
            loss,
            accumulate,
            clip_norm,
            precision,
            score_average,
            proximal_mu,
        } = self;
        let precision = match precision {
            Precision::Full => v1::Precision::Full,
            Precision::Bf16 => v1::Precision::Bf16,
        };
        let class_weights = match class_weights {
            ClassWeights::None => v1::ClassWeights::None,
            ClassWeights::Balanced => v1::ClassWeights::Balanced,
        };
        let augment = augment.into_iter().map(|kind| match kind {
            Augmentation::Flip => v1::Augmentation::Flip,
            Augmentation::Rotate90 => v1::Augmentation::Rotate90,
            Augmentation::Jitter => v1::Augmentation::Jitter,
        });
        v1::TrainingSettings {
            epochs,
            batch_size,
            learning_rate,
            weight_decay,
            warmup,
            drop_path,
            label_smoothing,
            head_dropout,
            mixup,
            cutmix,
            ema,
            layer_decay: Some(layer_decay),
            class_weights: class_weights.into(),
            augment: augment.map(Into::into).collect(),
            input_size: input_size.unwrap_or_default(),
            antialias,
            proximal_mu,
            crop: crop.unwrap_or_default(),
            loss: loss.into_iter().map(|loss| loss_message(loss).into()).collect(),
            accumulate,
            clip_norm,
            precision: precision.into(),
            score_average: Some(score_average),
        }
    }
}

fn augmentation(value: i32) -> Result<Augmentation, WireError> {
    match specified("augment", value)? {
        v1::Augmentation::Unspecified => Err(wrong("augment", "a specified value")),
        v1::Augmentation::Flip => Ok(Augmentation::Flip),
        v1::Augmentation::Rotate90 => Ok(Augmentation::Rotate90),
        v1::Augmentation::Jitter => Ok(Augmentation::Jitter),
    }
}

fn loss_term(value: i32) -> Result<Loss, WireError> {
    match specified("loss", value)? {
        v1::Loss::Unspecified => Err(wrong("loss", "a specified value")),
        v1::Loss::CrossEntropy => Ok(Loss::CrossEntropy),
        v1::Loss::Focal => Ok(Loss::Focal),
        v1::Loss::Dice => Ok(Loss::Dice),
        v1::Loss::Jaccard => Ok(Loss::Jaccard),
        v1::Loss::Lovasz => Ok(Loss::Lovasz),
        v1::Loss::Bce => Ok(Loss::Bce),
        v1::Loss::Mse => Ok(Loss::Mse),
        v1::Loss::Mae => Ok(Loss::Mae),
        v1::Loss::Huber => Ok(Loss::Huber),
    }
}

const fn loss_message(loss: Loss) -> v1::Loss {
    match loss {
        Loss::CrossEntropy => v1::Loss::CrossEntropy,
        Loss::Focal => v1::Loss::Focal,
        Loss::Dice => v1::Loss::Dice,
        Loss::Jaccard => v1::Loss::Jaccard,
        Loss::Lovasz => v1::Loss::Lovasz,
        Loss::Bce => v1::Loss::Bce,
        Loss::Mse => v1::Loss::Mse,
        Loss::Mae => v1::Loss::Mae,
        Loss::Huber => v1::Loss::Huber,
    }
}

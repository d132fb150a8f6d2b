//! Differential privacy of the updates that leave: the clipping and the noise of one update, the accountant
//! over all of them, and the record of what was spent. Pure. docs/privacy.md says what it protects.

mod accountant;
mod mechanism;
mod spending;

pub use accountant::epsilon;
pub use mechanism::{Mechanism, Noise, scale, squared_distance};
pub use spending::{Charge, JobSpending, Spending};

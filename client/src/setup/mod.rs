//! What `eosfed-client setup` asks, what each answer means for the site, and the answers as a file. It knows
//! no terminal: a [`Respondent`] answers, a person or a file.

mod answers;
mod dialogue;
mod intent;
mod questions;

pub use answers::{Answers, FileRespondent};
pub use dialogue::{MAX_TRIES, Respondent, SetupError, settle};
pub use intent::{Choice, Intent};
pub use questions::{Key, Question, yes_or_no};

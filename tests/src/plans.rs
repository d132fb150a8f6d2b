//! The plan that most tests with stub trainers use.

/// A job of `rounds` training rounds with federated normalisation. Each closes at `max` updates, or at the
/// deadline with `min`.
pub fn rounds(rounds: u32, min: u32, max: u32, deadline: &str) -> String {
    format!(
        r#"
        version = 2
        name = "shared"
        kind = "rounds"
        seed = 11
        release = "auto"
        [model]
        backbone = "convnextv2_atto"
        task = "classification"
        classes = ["dark", "bright"]
        [[specialist]]
        name = "shared"
        bands = ["red", "green", "blue"]
        [participation]
        min = {min}
        max = {max}
        deadline = "{deadline}"
        [rounds]
        count = {rounds}
        strategy = {{ name = "fed-avg" }}
        [normalisation]
        from = "federated"
        [training]
        epochs = 4
        batch_size = 4
        learning_rate = 1e-3
        "#
    )
}

use super::*;
use crate::weights::Encoding;

// The texts of the test kit: its types would be of another copy of this crate.
const ROUNDS: &str = include_str!("../../../tests/kit/plans/rounds.toml");
const DOWNSTREAM: &str = include_str!("../../../tests/kit/plans/downstream.toml");
const EVALUATION: &str = include_str!("../../../tests/kit/plans/evaluation.toml");
const STATISTICS: &str = include_str!("../../../tests/kit/plans/statistics.toml");
const ONE_SHOT: &str = include_str!("../../../tests/kit/plans/one-shot.toml");

fn problems_after(changes: &[(&str, &str)]) -> Vec<String> {
    let mut text = ROUNDS.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    match JobSpec::parse(&text) {
        Ok(_) => Vec::new(),
        Err(PlanError::Rules(problems)) => problems.iter().map(ToString::to_string).collect(),
        Err(other) => panic!("{other}"),
    }
}

/// Checks that a plan is accepted, and that the document and the job read back unchanged.
fn survives(plan: &str) {
    let spec = JobSpec::parse(plan).unwrap();
    let document = toml::to_string(&RawPlan::read(plan).unwrap()).unwrap();
    assert_eq!(JobSpec::parse(&document).unwrap(), spec);
    let json = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<JobSpec>(&json).unwrap(), spec);
}

#[test]
fn a_good_plan_is_accepted_and_reads_back_from_toml() {
    survives(ROUNDS);
}

#[test]
fn five_mistakes_are_reported_at_once_with_key_rule_and_value() {
    let found = problems_after(&[
        ("version = 2", "version = 7"),
        ("max = 2", "max = 1"),
        ("epochs = 2", "epochs = 0"),
        ("learning_rate = 1e-3", "learning_rate = -1.0"),
        ("from = \"federated\"", "from = \"local\""),
    ]);
    assert_eq!(found.len(), 5, "{found:#?}");
    assert_eq!(found[0], "`version` must be 2, found `7`");
    for (key, value) in [("participation.max", "1"), ("training.epochs", "0"), ("learning_rate", "-1")] {
        assert!(found.iter().any(|p| p.contains(key) && p.contains(&format!("`{value}`"))), "{found:#?}");
    }
}

#[test]
fn each_rule_can_fail() {
    for change in [
        ("classes = [\"forest\", \"water\"]", "classes = [\"forest\"]"),
        ("classes = [\"forest\", \"water\"]", "classes = [\"forest\", \"forest\"]"),
        ("bands = [\"red\", \"nir\"]", "bands = []"),
        ("bands = [\"red\", \"nir\"]", "bands = [\"red\"]\ninstitution = \"west\""),
        ("min = 2", "min = 0"),
        ("max = 2", "max = 3\ninstitutions = [\"west\", \"east\"]"),
        ("deadline = \"30m\"", "deadline = \"31d\""),
        ("attempts = 2", "attempts = 0"),
        ("lease_expiries = 2", "lease_expiries = 21"),
        ("count = 2", "count = 0"),
        ("mu = 0.01", "mu = -1.0"),
        ("mu = 0.01", "mu = nan"),
        ("name = \"fed-prox\", mu = 0.01", "name = \"trimmed-mean\", trim = 0.5"),
        ("name = \"fed-prox\", mu = 0.01", "name = \"krum\", byzantine = 1"),
        ("name = \"fed-prox\", mu = 0.01", "name = \"norm-bounded-mean\", bound = 0.0"),
        ("name = \"fed-prox\", mu = 0.01", "name = \"fed-adam\", tau = 0.0"),
        ("name = \"fed-prox\", mu = 0.01", "name = \"fed-yogi\", beta_2 = 1.0"),
        ("count = 2", "count = 2\nmax_share = 0.4"),
        ("count = 2", "count = 2\nserver = { learning_rate = 0.0 }"),
        ("count = 2", "count = 2\nweighting = { by = \"samples\", cap = 0 }"),
        ("count = 2", "count = 2\nweighting = { by = \"institution\", weights = { west = 0.0 } }"),
        ("count = 2", "count = 2\nasynchronous = { exponent = -1.0 }"),
        ("[normalisation]", "[admission]\nnorm_factor = 0.5\n[normalisation]"),
        ("[normalisation]", "[admission]\nfloor = { metric = \"miou\", bound = 0.3 }\n[normalisation]"),
        ("batch_size = 8", "batch_size = 0"),
        ("batch_size = 8", "batch_size = 8\ninput_size = 50"),
        ("batch_size = 8", "batch_size = 8\nantialias = true"),
        ("batch_size = 8", "batch_size = 8\nproximal_mu = 0.5"),
        ("batch_size = 8", "batch_size = 8\naugment = [\"flip\", \"flip\"]"),
        ("batch_size = 8", "batch_size = 8\ncrop = 48"),
        ("batch_size = 8", "batch_size = 8\ncrop = 64\ninput_size = 32"),
        ("batch_size = 8", "batch_size = 8\nloss = [\"mse\"]"),
        ("batch_size = 8", "batch_size = 8\nloss = [\"focal\", \"focal\"]"),
        ("batch_size = 8", "batch_size = 8\naccumulate = 0"),
        ("batch_size = 8", "batch_size = 8\nclip_norm = -1.0"),
        ("batch_size = 8", "batch_size = 8\nhead_dropout = 1.0"),
        ("batch_size = 8", "batch_size = 8\nema = 1.0"),
        ("batch_size = 8", "batch_size = 8\nlayer_decay = 0.0"),
        ("batch_size = 8", "batch_size = 8\nmixup = 11.0"),
        ("batch_size = 8", "batch_size = 8\ncutmix = 1.0\nclass_weights = \"balanced\""),
        ("[model]", "[model]\ntarget = { scale = 2.0 }"),
        ("name = \"shared\"\nkind", "name = \"\"\nkind"),
        ("from = \"federated\"", "from = \"given\"\nbands = [{ band = \"red\", mean = 0.0, std = 1.0 }]"),
    ] {
        assert_eq!(problems_after(&[change]).len(), 1, "{change:?}");
    }
}

#[test]
fn images_are_mixed_only_where_their_classes_can_be() {
    let training = |task: &str, more: &str| {
        let text = ONE_SHOT
            .replace("[training]", &format!("[training]\nmixup = 0.8\ncutmix = 1.0\n{more}"))
            .replace("task = \"classification\"", &format!("task = \"{task}\""));
        match JobSpec::parse(&text) {
            Ok(_) => Vec::new(),
            Err(PlanError::Rules(problems)) => problems.iter().map(ToString::to_string).collect(),
            Err(other) => panic!("{other:?}"),
        }
    };
    assert_eq!(training("classification", "loss = [\"cross_entropy\"]"), Vec::<String>::new());
    for (task, more, words) in [
        ("segmentation", "", "only the classes of images"),
        ("classification", "class_weights = \"balanced\"", "weights of classes"),
        ("classification", "loss = [\"focal\"]", "another loss"),
    ] {
        let said = training(task, more);
        assert!(said.len() == 2 && said.iter().all(|said| said.contains(words)), "{said:?}");
    }
}

#[test]
fn a_plan_for_a_head_is_accepted_and_each_of_its_rules_can_fail() {
    survives(DOWNSTREAM);
    survives(&DOWNSTREAM.replace("[head]", "[head]\ndecoder_channels = 32"));
    survives(&DOWNSTREAM.replace("[head]", "[head]\nclass_colours = { wood = \"#009e73\" }"));
    for (from, to) in [
        ("task = \"segmentation\"", "task = \"segmentation\"\nbackbone = \"convnextv2_atto\""),
        ("kind = \"downstream\"", "kind = \"downstream\"\nrelease = \"auto\""),
        ("bands = [\"red\", \"nir\", \"swir\"]", "bands = []"),
        ("[head]", "[head]\nspecialists = [\"a\", \"a\"]"),
        ("[head]", "[head]\nmethod = \"mean_logits\""),
        ("scale = false }", "scale = false }, norm = \"batch\""),
        ("[head]", "[head]\nmethod = \"router\"\ndecoder_channels = 32"),
        ("[head]", "[head]\nclass_colours = { wod = \"#009e73\" }"),
        ("[participation]", "[[specialist]]\nname = \"a\"\nbands = [\"red\"]\n[participation]"),
        ("[participation]", "[normalisation]\nfrom = \"federated\"\n[participation]"),
        ("epochs = 2", "epochs = 2\naugment = [\"flip\"]"),
        ("epochs = 2", "epochs = 2\ncrop = 32"),
        ("epochs = 2", "epochs = 2\ndrop_path = 0.1"),
        ("epochs = 2", "epochs = 2\nprecision = \"bf16\""),
        ("epochs = 2", "epochs = 2\nhead_dropout = 0.1"),
        ("epochs = 2", "epochs = 2\nlayer_decay = 0.9"),
    ] {
        let text = DOWNSTREAM.replace(from, to);
        assert_ne!(text, DOWNSTREAM, "{from}");
        match JobSpec::parse(&text) {
            Err(PlanError::Rules(problems)) => assert_eq!(problems.len(), 1, "{to}: {problems:?}"),
            other => panic!("{to}: {other:?}"),
        }
    }
    let alone = problems_after(&[("[participation]", "[head]\nbands = [\"red\"]\n[participation]")]);
    assert!(alone.len() == 1 && alone[0].contains("`head` must be absent"), "{alone:?}");
}

#[test]
fn colours_of_a_plan_are_checked_as_those_of_a_data_set() {
    let with = |colours: &str| DOWNSTREAM.replace("[head]", &format!("[head]\nclass_colours = {colours}"));
    let said = |plan: &str| JobSpec::parse(plan).unwrap_err().to_string();
    let unknown = said(&with("{ field = \"#112233\", wod = \"#009e73\" }"));
    for part in ["head.class_colours", "about classes of `classes` (field, wood)", "`wod`"] {
        assert!(unknown.contains(part), "{unknown}");
    }
    let no_colour = said(&with("{ wood = \"green\" }"));
    assert!(no_colour.contains("six hexadecimal digits") && no_colour.contains("`green`"), "{no_colour}");
    let regression = with("{ height = \"#009e73\" }")
        .replace("task = \"segmentation\"", "task = \"regression\"")
        .replace("[\"field\", \"wood\"]", "[\"height\"]");
    let regression = said(&regression);
    assert!(regression.contains("absent for regression, whose maps have no classes"), "{regression}");

    let alike = JobSpec::parse(&with("{ field = \"#009e73\", wood = \"#009E73\" }")).unwrap();
    let [warning] = &alike.warnings()[..] else { panic!("one warning") };
    assert!(warning.contains("`head.class_colours`: field, wood have the same colour"), "{warning}");
    let plain = serde_json::to_value(JobSpec::parse(DOWNSTREAM).unwrap()).unwrap();
    assert_eq!(plain["head"].get("class_colours"), None, "as an earlier version stores it");
}

#[test]
fn a_plan_for_an_evaluation_is_accepted_and_each_of_its_rules_can_fail() {
    survives(EVALUATION);
    survives(&EVALUATION.replace("[evaluation]", "[evaluation]\nspecialists = [\"west-rgb\", \"east\"]"));
    for (from, to) in [
        ("[evaluation]\n", ""),
        ("[evaluation]", "[evaluation]\nspecialists = [\"west-rgb\", \"west-rgb\"]"),
        ("kind = \"evaluation\"", "kind = \"evaluation\"\nseed = 1"),
        ("kind = \"evaluation\"", "kind = \"evaluation\"\nlicence = \"MIT\""),
        ("max = 2", "max = 2\nattempts = 3"),
        ("[participation]", "[model]\ntask = \"segmentation\"\nclasses = [\"a\", \"b\"]\n[participation]"),
        ("[participation]", "[training]\nepochs = 1\nbatch_size = 1\nlearning_rate = 0.1\n[participation]"),
        ("[participation]", "[admission]\nmax_samples = 9\n[participation]"),
        ("max = 2", "max = 2\nattempts = 5"),
        ("max = 2", "max = 0"),
    ] {
        let text = EVALUATION.replace(from, to);
        assert_ne!(text, EVALUATION, "{from}");
        match JobSpec::parse(&text) {
            Err(PlanError::Rules(problems)) => assert!(!problems.is_empty(), "{to}: {problems:?}"),
            other => panic!("{to}: {other:?}"),
        }
    }
    let training = problems_after(&[("[training]", "[evaluation]\n[training]")]);
    assert!(training.len() == 1 && training[0].contains("`evaluation` must be absent"), "{training:?}");
}

#[test]
fn a_plan_for_statistics_is_accepted_and_each_of_its_rules_can_fail() {
    survives(STATISTICS);
    let table = |table: &str| format!("{table}\n[participation]");
    for (from, to, key) in [
        ("[statistics]\nbands = [\"red\", \"nir\"]", "", "`statistics` must be given"),
        ("\"nir\"", "\"red\"", "`statistics.bands[1]`"),
        ("[\"red\", \"nir\"]", "[]", "`statistics.bands`"),
        ("kind = \"statistics\"", "kind = \"statistics\"\nseed = 1", "`seed`"),
        ("kind = \"statistics\"", "kind = \"statistics\"\nlicence = \"MIT\"", "`licence`"),
        ("kind = \"statistics\"", "kind = \"statistics\"\nrelease = \"auto\"", "`release`"),
        ("[participation]", &table("[model]\ntask = \"segmentation\"\nclasses = [\"a\", \"b\"]"), "`model`"),
        ("[participation]", &table("[[specialist]]\nname = \"a\"\nbands = [\"red\"]"), "`specialist`"),
        ("[participation]", &table("[head]\nbands = [\"red\"]"), "`head`"),
        ("[participation]", &table("[evaluation]"), "`evaluation`"),
        ("[participation]", &table("[rounds]\ncount = 1\nstrategy = { name = \"fed-avg\" }"), "`rounds`"),
        ("[participation]", &table("[admission]\nmax_samples = 9"), "`admission`"),
        ("[participation]", &table("[normalisation]\nfrom = \"federated\""), "`normalisation`"),
        (
            "[participation]",
            &table("[training]\nepochs = 1\nbatch_size = 1\nlearning_rate = 0.1"),
            "`training`",
        ),
        ("max = 2", "max = 2\nattempts = 0", "`participation.attempts`"),
        ("max = 2", "max = 1", "`participation.max`"),
    ] {
        let text = STATISTICS.replace(from, to);
        assert_ne!(text, STATISTICS, "{from}");
        match JobSpec::parse(&text) {
            Err(PlanError::Rules(problems)) => {
                let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
                assert!(found.len() == 1 && found[0].contains(key), "{to}: {found:?}");
            }
            other => panic!("{to}: {other:?}"),
        }
    }
    let elsewhere = problems_after(&[("[training]", "[statistics]\nbands = [\"red\"]\n[training]")]);
    assert!(elsewhere.len() == 1 && elsewhere[0].contains("`statistics` must be absent"), "{elsewhere:?}");
}

#[test]
fn unknown_keys_and_wrong_types_are_refused_with_their_line() {
    let error = JobSpec::parse(&ROUNDS.replace("count = 2", "cuont = 2")).unwrap_err().to_string();
    assert!(error.contains("cuont"), "{error}");
    let error =
        JobSpec::parse(&ROUNDS.replace("[model]", "mode = \"rounds\"\n[model]")).unwrap_err().to_string();
    assert!(error.contains("unknown field `mode`"), "{error}");
    let error = JobSpec::parse(&ROUNDS.replace("\"rounds\"", "\"specialist\"")).unwrap_err().to_string();
    assert!(error.contains("`one-shot`, `rounds`"), "{error}");
    assert!(JobSpec::parse("version = [").is_err());
    assert!(matches!(JobSpec::parse(&"#".repeat(70_000)), Err(PlanError::TooLong(70_000))));
}

#[test]
fn one_shot_plans_name_an_institution_for_each_specialist() {
    let found = problems_after(&[("kind = \"rounds\"", "kind = \"one-shot\"")]);
    assert!(found.iter().any(|p| p.contains("specialist[0].institution")), "{found:#?}");
    assert!(found.iter().any(|p| p.starts_with("`rounds` must be absent")), "{found:#?}");
}

#[test]
fn a_one_shot_plan_is_accepted_and_each_of_its_rules_can_fail() {
    survives(ONE_SHOT);
    for (from, to) in [
        ("institution = \"east\"", ""),
        ("institution = \"east\"", "institution = \"west\""),
        ("name = \"east-nir\"", "name = \"west-rgb\""),
        ("max = 2", "max = 3"),
        ("max = 2", "max = 2\ninstitutions = [\"west\", \"east\"]"),
        ("[training]", "[admission]\nnorm_factor = 2.0\n[training]"),
        ("[training]", "[admission]\nfloor = { metric = \"miou\", bound = nan }\n[training]"),
        ("[training]", "[admission]\nmax_samples = 0\n[training]"),
        ("[training]", "[admission]\nmax_samples = 1000000000001\n[training]"),
        ("[training]", "[admission]\nfloor = { metric = \"beauty\", bound = 0.1 }\n[training]"),
        ("[training]", "[admission]\nfloor = { metric = \"miou\", bound = 0.1, quorum = 0 }\n[training]"),
        (
            "[training]",
            "[admission]\nfloor = { metric = \"miou\", bound = 0.1, min_samples = 0 }\n[training]",
        ),
        ("[training]", "[normalisation]\nfrom = \"federated\"\n[training]"),
        ("[training]", "[rounds]\ncount = 1\nstrategy = { name = \"fed-avg\" }\n[training]"),
        ("[training]", "[evaluation]\n[training]"),
    ] {
        let text = ONE_SHOT.replace(from, to);
        assert_ne!(text, ONE_SHOT, "{from}");
        match JobSpec::parse(&text) {
            Err(PlanError::Rules(problems)) => assert_eq!(problems.len(), 1, "{to}: {problems:?}"),
            other => panic!("{to}: {other:?}"),
        }
    }
}

#[test]
fn a_given_normalisation_is_put_into_the_order_of_the_bands() {
    let entry = |band: &str| format!("{{ band = \"{band}\", mean = 0.0, std = 1.0 }}");
    let given = format!("from = \"given\"\nbands = [{}, {}, {}]", entry("nir"), entry("blue"), entry("red"));
    let plan = ROUNDS.replace("from = \"federated\"", &given);
    let JobSpec::Rounds(spec) = JobSpec::parse(&plan).unwrap() else { panic!("not rounds") };
    let SharedNormalisation::Given { bands } = spec.normalisation else { panic!("not given") };
    assert_eq!(bands.iter().map(|one| one.band.as_str()).collect::<Vec<_>>(), ["red", "nir"]);
}

#[test]
fn the_rounds_of_a_job_can_be_replaced_by_valid_ones() {
    let spec = JobSpec::parse(ROUNDS).unwrap();
    let rounds = |text: &str| RoundsPlan::parse(text).unwrap();
    let changed = spec.with_rounds(rounds("count = 9\nstrategy = { name = \"median\" }")).unwrap();
    assert_eq!(changed.federated().unwrap().rounds, RoundsPlan::new(9, Strategy::Median));
    let error =
        spec.with_rounds(rounds("count = 0\nstrategy = { name = \"krum\", byzantine = 1 }")).unwrap_err();
    let PlanError::Rules(problems) = error else { panic!("{error}") };
    assert_eq!(problems.len(), 2, "{problems:?}");
    let error = JobSpec::parse(EVALUATION).unwrap().with_rounds(RoundsPlan::new(1, Strategy::Median));
    assert_eq!(error, Err(PlanError::NoRounds(JobKind::Evaluation)));
}

#[test]
fn admission_is_strict_unless_a_plan_says_otherwise() {
    let admission = |plan: &str| {
        let spec = JobSpec::parse(plan).unwrap();
        let federated = spec.federated().unwrap();
        (federated.admission.max_samples, federated.admission.norm_factor, federated.rounds.max_share)
    };
    assert_eq!(admission(ROUNDS), (Some(10_000_000), Some(5.0), Some(0.5)));
    assert_eq!(admission(DOWNSTREAM), admission(ROUNDS));
    let lax = ROUNDS.replace("count = 2", "count = 2\nmax_share = 1.0").replace(
        "[normalisation]",
        "[admission]\nmax_samples = 1000000000000\nnorm_factor = 1e6\n[normalisation]",
    );
    assert_eq!(admission(&lax), (Some(MAX_SAMPLES), Some(1e6), Some(1.0)));
    let JobSpec::OneShot(one_shot) = JobSpec::parse(ONE_SHOT).unwrap() else { panic!("not one-shot") };
    assert_eq!(one_shot.admission.max_samples, Some(10_000_000));
    let alone = ROUNDS.replace("min = 2", "min = 1");
    assert_eq!(admission(&alone).2, Some(0.5), "the default fits a round of one");
    // What earlier versions have stored without limits stays as it was.
    let mut stored = serde_json::to_value(JobSpec::parse(ROUNDS).unwrap()).unwrap();
    stored["federated"]["admission"] = serde_json::json!({ "max_samples": null, "norm_factor": null });
    stored["federated"]["rounds"]["max_share"] = serde_json::Value::Null;
    let stored: JobSpec = serde_json::from_value(stored).unwrap();
    assert_eq!(stored.federated().unwrap().rounds.max_share, None);
}

#[test]
fn a_plan_that_may_publish_one_update_is_warned_of() {
    let krum = ROUNDS.replace("name = \"fed-prox\", mu = 0.01", "name = \"krum\", byzantine = 0");
    let krum = krum.replace("min = 2\nmax = 2", "min = 3\nmax = 3");
    let [warning] = &JobSpec::parse(&krum).unwrap().warnings()[..] else { panic!("one warning") };
    assert!(warning.contains("`krum`") && warning.contains("`participation.min` 3"), "{warning}");
    for plan in [ROUNDS, ONE_SHOT, EVALUATION, STATISTICS] {
        assert_eq!(JobSpec::parse(plan).unwrap().warnings(), Vec::<String>::new());
    }
}

#[test]
fn a_plan_whose_sparse_updates_lose_accuracy_is_warned_of() {
    let warnings = |strategy: &str, count: u32, sparse: &str| {
        let plan = ROUNDS.replace("name = \"fed-prox\", mu = 0.01", strategy);
        let mut spec = JobSpec::parse(&plan).unwrap();
        let JobSpec::Rounds(rounds) = &mut spec else { panic!("not of rounds") };
        let rounds = &mut rounds.federated.rounds;
        *rounds = RoundsPlan { count, ..rounds.clone() };
        if !sparse.is_empty() {
            rounds.encodings = vec![Encoding::Int8, Encoding::TopK];
            rounds.top_k_share = sparse.parse().unwrap();
        }
        spec.warnings()
    };
    assert_eq!(warnings("name = \"fed-avg\"", 12, ""), Vec::<String>::new());
    assert_eq!(warnings("name = \"fed-avg\"", 10, "0.1"), Vec::<String>::new());
    let [few] = &warnings("name = \"fed-avg\"", 12, "0.01")[..] else { panic!("one warning") };
    assert!(few.contains("at most 12 % of the values") && few.contains("`rounds.count` 12"), "{few}");
    let [median] = &warnings("name = \"median\"", 10, "0.1")[..] else { panic!("one warning") };
    assert!(median.contains("`median`") && median.contains("does not move"), "{median}");
    assert_eq!(warnings("name = \"trimmed-mean\", trim = 0.2", 5, "0.1").len(), 2);
    for (encodings, named) in
        [("top-k-bf16", "`top-k-bf16` with"), ("top-k top-k-bf16", "`top-k`, `top-k-bf16` with")]
    {
        let mut rounds = RoundsPlan::new(2, Strategy::FedAvg);
        rounds.encodings = encodings.split(' ').map(|name| name.parse().unwrap()).collect();
        let [few] = &rounds.sparse_warnings()[..] else { panic!("one warning") };
        assert!(few.contains(named), "{few}");
    }
}

#[test]
fn attempts_and_lease_expiries_have_a_default_each() {
    let bare = ROUNDS.replace("attempts = 2\nlease_expiries = 2\n", "");
    let spec = JobSpec::parse(&bare).unwrap();
    assert_eq!((spec.attempts(), spec.participation().lease_expiries), (3, 3));
    let plan = bare.replace("max = 2", "max = 2\nattempts = 5\nlease_expiries = 2");
    let spec = JobSpec::parse(&plan).unwrap();
    assert_eq!((spec.attempts(), spec.participation().lease_expiries), (5, 2));
}

#[test]
fn a_specialist_starts_from_a_released_one_only_if_the_plan_says_so() {
    use crate::ids::SpecialistVersion;
    let specialist = |spec: &JobSpec| match spec {
        JobSpec::OneShot(spec) => spec.specialists[0].start_from.clone(),
        JobSpec::Rounds(spec) => spec.specialist.start_from.clone(),
        _ => None,
    };
    for plan in [ONE_SHOT, ROUNDS] {
        let cold = JobSpec::parse(plan).unwrap();
        assert_eq!(specialist(&cold), None);
        let stored = serde_json::to_string(&cold).unwrap();
        assert!(!stored.contains("start_from"), "it is stored as before: {stored}");
        let warm = plan.replacen("[[specialist]]\n", "[[specialist]]\nstart_from = \"west-rgb@3\"\n", 1);
        let warm = JobSpec::parse(&warm).unwrap();
        let version: SpecialistVersion = "west-rgb@3".parse().unwrap();
        assert_eq!(specialist(&warm), Some(version));
        let stored = serde_json::to_string(&warm).unwrap();
        assert_eq!(serde_json::from_str::<JobSpec>(&stored).unwrap(), warm);
        let wrong = plan.replacen("[[specialist]]\n", "[[specialist]]\nstart_from = \"west-rgb\"\n", 1);
        let said = JobSpec::parse(&wrong).unwrap_err().to_string();
        assert!(said.contains("use NAME@VERSION") && said.contains("start_from"), "{said}");
    }
}

#[test]
fn charts_name_errors_with_the_unit_of_the_target() {
    let in_metres = |plan: &str| {
        let table: toml::Table = plan.parse().unwrap();
        let (task, classes) = (table["model"]["task"].to_string(), table["model"]["classes"].to_string());
        let plan = plan.replace(&format!("task = {task}"), "task = \"regression\"").replace(
            &format!("classes = {classes}"),
            "classes = [\"height\"]\ntarget = { scale = 5.0, unit = \"m\" }",
        );
        JobSpec::parse(&plan).unwrap_or_else(|problems| panic!("{plan}\n{problems}"))
    };
    for plan in [ONE_SHOT, ROUNDS, DOWNSTREAM] {
        let spec = in_metres(plan);
        let named = ["rmse", "mae", "r2", "loss"].map(|metric| spec.quantity(metric));
        assert_eq!(named, ["rmse (m)", "mae (m)", "r2", "loss"], "{plan}");
    }
    for plan in [ROUNDS, EVALUATION, STATISTICS] {
        assert_eq!(JobSpec::parse(plan).unwrap().quantity("rmse"), "rmse", "nobody says in which unit");
    }
}

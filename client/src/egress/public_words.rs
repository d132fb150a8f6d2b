//! What is said to others of a failure: without the places of this machine's files. Pure.

/// What stands for a path.
const PATH: &str = "[path]";
/// Where the text of a path ends, whatever it contains: better too much is left out than too little.
const ENDS: [char; 9] = [':', ';', ',', '`', '"', '\'', ')', '\n', '\r'];

/// A sentence without absolute paths. Names of files without a folder stay.
pub(super) fn public_words(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = begin(rest) {
        words.push_str(&rest[..at]);
        words.push_str(PATH);
        rest = &rest[at..];
        rest = &rest[rest.find(ENDS).unwrap_or(rest.len())..];
    }
    words.push_str(rest);
    words
}

/// Where the first path begins: a slash that no letter, digit or other slash is before. Addresses such as
/// `https://host` and fractions such as `3/4` are none.
fn begin(text: &str) -> Option<usize> {
    let mut before = None;
    for (at, one) in text.char_indices() {
        let part_of_a_word = before
            .is_some_and(|one: char| one.is_alphanumeric() || matches!(one, '/' | ']' | '_' | '-' | '.'));
        let address = before == Some(':') && text[at..].starts_with("//");
        let followed = text[at + one.len_utf8()..].chars().next().is_some_and(|next| !next.is_whitespace());
        if one == '/' && !part_of_a_word && !address && followed {
            return Some(at);
        }
        before = Some(one);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_left_out_and_the_rest_stays() {
        for (text, expected) in [
            ("the data set has no band `nir`", "the data set has no band `nir`"),
            ("/srv/imagery/dataset.toml: no such file", "[path]: no such file"),
            ("cannot open /srv/my imagery/a b.tif: cut short", "cannot open [path]: cut short"),
            (
                "`/srv/a.tif` and \"/srv/b.tif\" differ; 3/4 of /x",
                "`[path]` and \"[path]\" differ; 3/4 of [path]",
            ),
            ("(/srv/a.tif) at https://host:7443/x", "([path]) at https://host:7443/x"),
            ("file=/srv/a, file:/srv/b", "file=[path], file:[path]"),
            ("tile.tif: 3 m/px, 1 / 2", "tile.tif: 3 m/px, 1 / 2"),
            ("/ü/é.tif", "[path]"),
        ] {
            assert_eq!(public_words(text), expected);
        }
    }
}

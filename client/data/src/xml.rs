//! Text in the XML that GDAL reads.

/// Text inside of an XML element, in ASCII. Characters that XML does not have become a question mark.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            letter if letter.is_control() => out.push('?'),
            letter if letter.is_ascii() => out.push(letter),
            letter => out += &format!("&#{};", u32::from(letter)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_one_ascii_text_inside_of_an_element() {
        assert_eq!(escaped("crops & <trees>\u{1} \"x\""), "crops &amp; &lt;trees&gt;? &quot;x&quot;");
        assert_eq!(escaped("forêt 森"), "for&#234;t &#26862;");
    }
}

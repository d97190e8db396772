//! Texts of others, for a terminal: payloads, ids, reasons and answers are whatever somebody chose to send.

/// Whether a character does something to a terminal instead of being shown: control characters, and those that
/// turn the direction of writing, so that what is read is not what is there (Unicode's property `Bidi_Control`).
fn acts(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || c.is_control()
}

/// The text, with what would act on the terminal escaped: nothing of it is lost.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
    }
    printable
}

/// The text as one line of prose, with a space for each character that would act on the terminal.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.replace(acts, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_shown_instead() {
        let text = "a\u{1b}[2Jb\nc\u{85}d\u{202e}e\u{2066}f\u{200f}g";
        let shown = r"a\u{1b}[2Jb\nc\u{85}d\u{202e}e\u{2066}f\u{200f}g";
        assert_eq!(printable(text), shown);
        assert_eq!(one_line(text), "a [2Jb c d e f g");
    }

    #[test]
    fn every_other_character_stays() {
        let text = "Zoë \"e\u{301}\" \\ 学院 שלום 🎓";
        assert_eq!(printable(text), text);
        assert_eq!(one_line(text), text);
    }
}

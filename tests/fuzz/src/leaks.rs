//! Judges whether a text gives a secret away.

/// From this length on, a piece of a secret counts as given away.
const PIECE_CHARS: usize = 10;

/// How many letters of a piece must be shown for it to count when its digits are masked.
const LETTERS_MIN: usize = 6;

/// Panics when a text shows a piece of a secret. Where `said`, which the text was made of, holds the piece, its
/// letters between masked digits count too.
pub(crate) fn assert_hides(text: &str, secret: &str, said: &[u8]) {
    let said = String::from_utf8_lossy(said);
    let masked_said = masked(&said);
    let secret: Vec<char> = secret.chars().collect();
    for piece in secret.windows(PIECE_CHARS.min(secret.len())) {
        let plain: String = piece.iter().collect();
        assert!(!text.contains(&plain), "{text:?} shows {plain:?}");
        let told = piece.iter().filter(|c| !c.is_ascii_digit()).count();
        let masked = masked(&plain);
        // What merely resembles the piece, with other digits, is nobody's secret.
        let is_all_true = said.matches(&plain).count() == masked_said.matches(&masked).count();
        if told >= LETTERS_MIN && is_all_true {
            assert!(!text.contains(&masked), "{text:?} shows {masked:?}");
        }
    }
}

fn masked(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_digit() { '#' } else { c })
        .collect()
}

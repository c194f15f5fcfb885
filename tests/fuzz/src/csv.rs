//! A file of pairs that somebody imports: issues, and accounts.

use tandem_runtime::pairs::{Kind, Line, read};

/// How long what is wrong with a line may be told, in bytes.
const WRONG_BYTES_MAX: usize = 600;

pub(crate) fn run(input: &[u8]) {
    for kind in [Kind::Issues, Kind::Accounts] {
        let lines = read(kind, input);
        // A line may end in either of the two, or in both.
        let many = String::from_utf8_lossy(input).split(['\n', '\r']).count() as u64;
        assert!(lines.is_sorted_by(|one, next| one.number < next.number));
        for line in &lines {
            assert!((1..=many).contains(&line.number));
            match &line.pair {
                // What is taken needs no quotes, and reads as the same.
                Ok((a, b)) => {
                    let written = format!("# as taken\n{a},{b}\n");
                    let same = Line {
                        number: 2,
                        pair: line.pair.clone(),
                    };
                    let headless = kind == Kind::Accounts && line.number != lines[0].number;
                    let again = read(kind, written.as_bytes());
                    // An account without a digit in it could be a column's name, on a first line alone.
                    assert!(again == [same] || (headless && again.is_empty()), "{written:?}");
                }
                Err(wrong) => {
                    assert!(
                        wrong.len() <= WRONG_BYTES_MAX && !wrong.contains(char::is_control),
                        "{wrong:?}"
                    );
                }
            }
        }
        // A bad line spoils no other, before it or after.
        let last = match kind {
            Kind::Issues => "SUP-1,DEV-1",
            Kind::Accounts => "5f0a,60c1",
        };
        let mut more = input.to_vec();
        more.extend_from_slice(format!("\n,x9\n{last}").as_bytes());
        let told = read(kind, &more);
        assert!(told.last().is_some_and(|line| line.pair.is_ok()));
        assert_eq!(told.len(), lines.len() + 2);
    }
}

//! Two texts, line by line.

/// How many lines around a difference are shown.
const AROUND: usize = 3;

/// Lays out where two texts differ: `-` stands in the first only, `+` in the second only.
pub(super) fn lines(old: &str, new: &str) -> String {
    let old: Vec<&str> = old.lines().collect();
    let new: Vec<&str> = new.lines().collect();
    // `common[i][j]`: the longest common run of what is left from `i` and `j` on.
    let mut common = vec![vec![0u32; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut marked = Vec::new();
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            marked.push((' ', old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            marked.push(('-', old[i]));
            i += 1;
        } else {
            marked.push(('+', new[j]));
            j += 1;
        }
    }
    let mut text = String::new();
    let mut left_out = false;
    for (index, (mark, line)) in marked.iter().enumerate() {
        let near = index.saturating_sub(AROUND)..(index + AROUND + 1).min(marked.len());
        if marked[near].iter().any(|(mark, _)| *mark != ' ') {
            if left_out {
                text.push_str("  …\n");
            }
            text.push_str(&format!("{mark} {line}\n"));
            left_out = false;
        } else {
            left_out = true;
        }
    }
    text
}

#[test]
fn only_what_differs_is_shown_with_what_is_around_it() {
    let old = "a\nb\nc\nd\ne\nf\ng\nh";
    let new = "a\nb\nc\nd\nE\nf\ng\nh";
    assert_eq!(lines(old, new), "  …\n  b\n  c\n  d\n- e\n+ E\n  f\n  g\n  h\n");
    assert_eq!(lines(old, old), "");
}

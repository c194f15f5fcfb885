//! The demo.

use crate::bench::{run, tandem};

#[test]
fn the_demo_ends_with_both_sides_equal() {
    let ran = run(tandem().args(["demo", "--seconds", "5", "--seed", "11"])).ended(0);
    assert!(
        ran.out.contains("both sides are equal") && ran.out.contains("0 duplicates"),
        "{ran:?}"
    );
    assert!(ran.out.contains("logs") && ran.out.contains("create"), "{ran:?}");
    assert!(!ran.out.contains('\u{1b}'), "a picture in a pipe: {ran:?}");
}

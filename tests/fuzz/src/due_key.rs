//! A partition key as a stream record tells it.

use tandem_aws::dynamodb::keys::{Key, due_key};

pub(crate) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for pk in [text.as_ref(), &format!("DUE#{text}")] {
        let Some(key) = due_key(pk) else { continue };
        // Several spellings may be read, one is written; and what is written is read as the same.
        let written = Key::due(&key).pk;
        assert_eq!(due_key(&written), Some(key), "{pk:?} became {written:?}");
    }
}

//! New inputs out of kept ones: bytes changed here and there, words that matter put in, JSON cut and grafted.
//!
//! The same seed makes the same inputs.

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Map, Value};

/// How long an input may get, in bytes.
pub const INPUT_BYTES_MAX: usize = 16 * 1024;

/// Changes to one input.
const CHANGES_MAX: usize = 6;

/// How long a run of bytes may be that is doubled or taken out.
const RUN_BYTES_MAX: usize = 64;

/// Words that readers look for, and values at the edges of what can be counted and told.
const WORDS: &[&str] = &[
    "0",
    "-1",
    "1e999",
    "9007199254740993",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "253402207200",
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "\\ud800",
    "\u{feff}",
    "\u{0}",
    "\u{202e}",
    "é",
    "9999-12-31",
    "-009999-01-02T01:59:59Z",
    "9999-12-30T22:00:00.999999999Z",
    "2026-03-02T09:20:00+0300",
    "24:00:00",
    "?offset=5000",
    "https://api.tempo.io/4/worklogs?offset=18446744073709551615",
    "https://evil.example/",
    "results",
    "metadata",
    "next",
    "count",
    "tempoWorklogId",
    "issue",
    "id",
    "self",
    "errors",
    "message",
    "values",
    "until",
    "worklogs",
    "startDate",
    "updatedAt",
    "webhookEvent",
    "eventType",
    "payload",
    "comment",
    "content",
    "type",
    "x-hub-signature: good",
    "tempo-signature: good",
    "retry-after: 99999999999999999999",
    "\n",
    "\n\n",
    "[[connections]]",
    "[sites.acme]",
    "\"\"\"",
    "'",
    "#",
    "%23",
    "DUE#LINK#",
    "~",
    "100d",
];

/// A source of new inputs.
pub struct Mutator {
    dice: SmallRng,
}

impl Mutator {
    /// Begins with a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            dice: SmallRng::seed_from_u64(seed),
        }
    }

    /// Draws an index below `end`, which is at least 1.
    fn below(&mut self, end: usize) -> usize {
        self.dice.random_range(0..end)
    }

    fn once_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    /// Makes a new input out of some of the corpus, which is not empty.
    pub fn input(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let at = self.below(corpus.len());
        let mut input = corpus[at].clone();
        if self.once_in(4) {
            let with = self.below(corpus.len());
            self.splice(&mut input, &corpus[with]);
        }
        self.change(&mut input);
        input
    }

    /// Changes an input in a few places.
    pub fn change(&mut self, input: &mut Vec<u8>) {
        for _ in 0..=self.below(CHANGES_MAX) {
            if self.once_in(3) && self.change_json(input) {
                continue;
            }
            self.change_bytes(input);
        }
        input.truncate(INPUT_BYTES_MAX);
    }

    /// Keeps the beginning of one input and appends the end of another.
    fn splice(&mut self, input: &mut Vec<u8>, with: &[u8]) {
        let (keep, from) = (self.below(input.len() + 1), self.below(with.len() + 1));
        input.truncate(keep);
        input.extend_from_slice(&with[from..]);
    }

    fn change_bytes(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        let rest = input.len() - at;
        let run = 1 + self.below(RUN_BYTES_MAX);
        match self.below(8) {
            0 if rest > 0 => input[at] ^= 1 << self.below(8),
            1 if rest > 0 => input[at] = self.dice.random(),
            2 => input.insert(at, self.dice.random()),
            3 => drop(input.drain(at..at + run.min(rest))),
            4 => {
                let doubled = input[at..at + run.min(rest)].to_vec();
                input.splice(at..at, doubled);
            }
            5 => {
                let end = (at + self.below(5)).min(input.len());
                let word = WORDS[self.below(WORDS.len())];
                input.splice(at..end, word.bytes());
            }
            6 => self.change_number(input),
            7 if rest > 0 => {
                let to = self.below(input.len());
                input.swap(at, to);
            }
            _ => {}
        }
    }

    /// Puts another number in the place of one that is written in digits.
    fn change_number(&mut self, input: &mut Vec<u8>) {
        let is_start =
            |at: &usize| input[*at].is_ascii_digit() && (*at == 0 || !input[*at - 1].is_ascii_digit());
        let starts: Vec<usize> = (0..input.len()).filter(is_start).collect();
        if starts.is_empty() {
            return;
        }
        let start = starts[self.below(starts.len())];
        let digits = input[start..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let number = match self.below(4) {
            0 => self.below(20).to_string(),
            1 => self.below(100_000).to_string(),
            2 => u64::MAX.wrapping_sub(self.below(3) as u64).to_string(),
            _ => (1_u64 << self.below(64)).to_string(),
        };
        input.splice(start..start + digits, number.into_bytes());
    }

    /// Changes the JSON that an input is or ends in; `false` where it does neither.
    fn change_json(&mut self, input: &mut Vec<u8>) -> bool {
        let start = input
            .windows(2)
            .position(|pair| pair == b"\n\n")
            .map_or(0, |at| at + 2);
        let Ok(mut value) = serde_json::from_slice::<Value>(&input[start..]) else {
            return false;
        };
        let graft = match self.once_in(2) {
            true => self.scalar(),
            false => {
                let nth = self.below(count(&value));
                nth_of(&mut value, &mut { nth }).cloned().unwrap_or_default()
            }
        };
        let nth = self.below(count(&value));
        let Some(place) = nth_of(&mut value, &mut { nth }) else {
            return false;
        };
        match (self.below(4), place) {
            (0, Value::Array(items)) => items.push(graft),
            (0, Value::Object(fields)) => {
                let word = WORDS[self.below(WORDS.len())];
                fields.insert(word.to_owned(), graft);
            }
            (1, Value::Array(items)) if !items.is_empty() => {
                let at = self.below(items.len());
                items.remove(at);
            }
            (1, Value::Object(fields)) if !fields.is_empty() => {
                let at = self.below(fields.len());
                let without: Map<String, Value> = std::mem::take(fields)
                    .into_iter()
                    .enumerate()
                    .filter_map(|(nth, field)| (nth != at).then_some(field))
                    .collect();
                *fields = without;
            }
            (_, place) => *place = graft,
        }
        input.truncate(start);
        input.extend_from_slice(value.to_string().as_bytes());
        true
    }

    fn scalar(&mut self) -> Value {
        let word = WORDS[self.below(WORDS.len())];
        match self.once_in(2) {
            true => Value::from(word),
            false => serde_json::from_str(word).unwrap_or(Value::Null),
        }
    }
}

/// Counts the values in a value, itself included.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// Finds the `nth` value in a value, itself being the first.
fn nth_of<'v>(value: &'v mut Value, nth: &mut usize) -> Option<&'v mut Value> {
    if *nth == 0 {
        return Some(value);
    }
    *nth -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth_of(item, nth)),
        Value::Object(fields) => fields.values_mut().find_map(|item| nth_of(item, nth)),
        _ => None,
    }
}

//! Replays a corpus, then changes its inputs at random for a while. A failing input is made small and kept.

use std::cell::Cell;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::Target;

/// The largest input that is made.
const LARGEST: usize = 8 * 1024;
/// How long a failing input is made smaller.
const SHRINKING: Duration = Duration::from_secs(10);

/// What is worth inserting somewhere.
const TOKENS: [&[u8]; 60] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b": ",
    b",",
    b";",
    b"=",
    b"\"",
    b"\\",
    b"/",
    b"//",
    b"..",
    b"/../",
    b"/./",
    b"%2e",
    b"%2F",
    b"%5c",
    b"%00",
    b"%",
    b"?",
    b"#",
    b"*",
    b"0",
    b"1",
    b"-1",
    b"+",
    b"0x",
    b"ffffffffffffffff",
    b"18446744073709551616",
    b"GET ",
    b"HEAD ",
    b"CONNECT ",
    b" HTTP/1.1\r\n",
    b" HTTP/1.0\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"Host: a\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"chunked",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"http://a",
    b"\xff",
    b"\xc3\xa9",
    b"---\n",
    b"- ",
    b"  ",
    b"kind: List\n",
    b"items:\n",
    b"&a ",
    b"*a",
    b"!!",
    b"|\n",
];

/// SplitMix64: a seed gives the same inputs everywhere.
pub struct Random(u64);

impl Random {
    /// Begins anew from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound.max(1) as u64).unwrap_or_default()
    }
}

/// The folder with the corpus of a target.
pub fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}

/// Replays the corpus of `name`, then fuzzes for `WEIR_FUZZ_SECONDS` (2) from `WEIR_FUZZ_SEED` (the clock). Gives how many inputs were
/// tried.
///
/// # Panics
/// When an input breaks a promise: with that input, made small and kept in `keep`.
pub fn run(name: &str, target: Target, keep: &Path) -> usize {
    be_quiet();
    let number = |key: &str| std::env::var(key).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{key}={text} is no number")));
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::from(since.subsec_nanos()));
    let (seconds, seed): (u64, u64) = (number("WEIR_FUZZ_SECONDS").unwrap_or(2), number("WEIR_FUZZ_SEED").unwrap_or_else(clock));
    let corpus = inputs(name);
    for (file, input) in &corpus {
        if let Err(why) = attempt(target, input) {
            panic!("{name} fails for corpus/{name}/{file}: {why}");
        }
    }
    let inputs: Vec<Vec<u8>> = corpus.into_iter().map(|(_, input)| input).collect();
    let (mut random, end, mut tries) = (Random::new(seed), Instant::now() + Duration::from_secs(seconds), inputs.len());
    while Instant::now() < end {
        let input = mutate(&mut random, &inputs);
        tries += 1;
        if attempt(target, &input).is_err() {
            let (input, why) = shrink(target, input);
            let file = keep.join(format!("{name}-{seed}"));
            let kept = std::fs::write(&file, &input).map(|()| file.display().to_string()).unwrap_or_else(|error| error.to_string());
            panic!("{name} fails (WEIR_FUZZ_SEED={seed}, try {tries}): {why}\ninput: {}\nkept: {kept}", escaped(&input));
        }
    }
    tries
}

fn inputs(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = corpus(name);
    let entries = folder.read_dir().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.expect("readable");
        (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).expect("readable"))
    };
    let mut inputs: Vec<_> = entries.map(read).collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{} is empty", folder.display());
    inputs
}

/// An input made of those of the corpus.
fn mutate(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(input.len() + 1);
        let end = at + random.below((input.len() - at).min(64) + 1);
        match random.below(9) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.below(256) as u8,
            2 => drop(input.drain(at..end)),
            3 => insert(&mut input, at, TOKENS[random.below(TOKENS.len())]),
            4 => {
                let token = TOKENS[random.below(TOKENS.len())];
                drop(input.splice(at..end, token.iter().copied()));
            }
            5 => {
                let piece = input[at..end].to_vec();
                let to = random.below(input.len() + 1);
                insert(&mut input, to, &piece);
            }
            6 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                let piece = &other[from..(from + 1 + random.below(200)).min(other.len())];
                insert(&mut input, at, piece);
            }
            7 => {
                let other = &corpus[random.below(corpus.len())];
                input.truncate(at);
                input.extend_from_slice(&other[random.below(other.len() + 1)..]);
            }
            _ => insert(&mut input, at, &[random.below(256) as u8]),
        }
        input.truncate(LARGEST);
    }
    input
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    input.splice(at..at, piece.iter().copied());
}

/// The smallest failing input that is found by leaving parts out, and why it fails.
fn shrink(target: Target, mut input: Vec<u8>) -> (Vec<u8>, String) {
    let (mut why, end) = (
        attempt(target, &input).err().unwrap_or_else(|| "not again: it depends on more than the input".to_owned()),
        Instant::now() + SHRINKING,
    );
    let mut size = input.len() / 2;
    while size > 0 && Instant::now() < end {
        let mut at = 0;
        while at < input.len() {
            let mut smaller = input.clone();
            smaller.drain(at..(at + size).min(input.len()));
            match attempt(target, &smaller) {
                Err(still) => (input, why) = (smaller, still),
                Ok(()) => at += size,
            }
        }
        size /= 2;
    }
    (input, why)
}

thread_local!(static QUIET: Cell<bool> = const { Cell::new(false) });

/// Keeps panics that are expected from being told one by one.
fn be_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                tell(info)
            }
        }));
    });
}

fn attempt(target: Target, input: &[u8]) -> Result<(), String> {
    QUIET.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(|| target(input)));
    QUIET.set(false);
    outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        text.unwrap_or_else(|| "a panic without a text".to_owned())
    })
}

/// Bytes as wire cases write them.
fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = match byte {
            b'\r' => write!(text, "\\r"),
            b'\n' => write!(text, "\\n"),
            b'\\' => write!(text, "\\\\"),
            0x20..=0x7e => write!(text, "{}", char::from(*byte)),
            _ => write!(text, "\\x{byte:02x}"),
        };
        text
    })
}

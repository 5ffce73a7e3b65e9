//! `busybox`, for pods that end by themselves: a few of its commands, and as much of a shell as it takes to join them.

mod shell;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use weir_node::{ContainerContext, Workload};

use super::echo::NOT_FOUND;
use shell::{Join, Script, expand};

/// A container that was told to end, as the shell counts SIGTERM.
const TERMINATED: i32 = 143;
/// What is there and cannot be run.
const NOT_RUN: i32 = 126;
/// What the shell refuses to understand.
const USAGE: i32 = 2;
/// A script may name itself by a variable: it must not take the process's stack with it.
const MAX_DEPTH: usize = 4;

/// Runs the commands that [`Commands::run`] knows.
pub(crate) struct Busybox;

impl Workload for Busybox {
    fn images(&self) -> &'static [&'static str] {
        &["*/busybox"]
    }

    fn runs(&self, image: &str) -> bool {
        super::is_image(image, "busybox")
    }

    fn start(&self, context: ContainerContext) -> BoxFuture<'static, i32> {
        Box::pin(async move {
            // The image has no entry point, and a shell as its command. Nothing can be typed into it: it ends.
            let words: Vec<String> = context.command.iter().chain(&context.args).cloned().collect();
            let commands = Commands(Arc::new(context));
            let stop = commands.0.stop.clone();
            match words.split_first() {
                None => 0,
                Some((name, words)) => stop.run_until_cancelled(commands.run(name, words, 0)).await.unwrap_or(TERMINATED),
            }
        })
    }
}

struct Commands(Arc<ContainerContext>);

impl Commands {
    /// Runs one command and says how it ended. It is so many shells deep.
    fn run<'c>(&'c self, name: &'c str, words: &'c [String], depth: usize) -> BoxFuture<'c, i32> {
        Box::pin(async move {
            if let Some(word) = not_understood(program(name), words) {
                return self.refuse(program(name), word);
            }
            match program(name) {
                "true" | ":" => 0,
                "false" => 1,
                "echo" => self.echo(words),
                "sleep" => self.sleep(words).await,
                "cat" => self.cat(words),
                "env" | "printenv" => self.print_env(words),
                "hostname" => self.say(&self.0.pod),
                "date" => self.say(&Timestamp::now().strftime("%a %b %e %H:%M:%S UTC %Y").to_string()),
                "sh" | "ash" if depth >= MAX_DEPTH => self.fail(USAGE, "sh: too many shells within each other"),
                "sh" | "ash" => self.shell(words, depth + 1).await,
                _ if depth == 0 => self.fail(NOT_FOUND, &format!("exec: \"{name}\": executable file not found in $PATH")),
                _ => self.fail(NOT_FOUND, &format!("sh: {name}: not found")),
            }
        })
    }

    fn say(&self, line: &str) -> i32 {
        self.0.log.append(format!("{line}\n").as_bytes());
        0
    }

    fn fail(&self, code: i32, why: &str) -> i32 {
        self.say(why);
        code
    }

    fn refuse(&self, name: &str, word: &str) -> i32 {
        self.fail(USAGE, &format!("{name}: `{word}` is not understood by this stand-in"))
    }

    fn echo(&self, words: &[String]) -> i32 {
        let said = words.iter().skip_while(|word| *word == "-n").map(String::as_str).collect::<Vec<_>>().join(" ");
        let end = if words.first().is_some_and(|first| first == "-n") { "" } else { "\n" };
        self.0.log.append(format!("{said}{end}").as_bytes());
        0
    }

    async fn sleep(&self, words: &[String]) -> i32 {
        let mut whole = Duration::ZERO;
        for word in words {
            match duration(word) {
                Some(duration) => whole = whole.saturating_add(duration),
                None => return self.fail(1, &format!("sleep: invalid number '{word}'")),
            }
        }
        if words.is_empty() {
            return self.fail(1, "sleep: missing operand");
        }
        tokio::time::sleep(whole).await;
        0
    }

    fn cat(&self, paths: &[String]) -> i32 {
        let mut code = 0;
        for path in paths {
            match self.0.files.read(path) {
                Ok(content) => self.0.log.append(&content),
                Err(_) => code = self.fail(1, &format!("cat: can't open '{path}': No such file or directory")),
            }
        }
        code
    }

    fn print_env(&self, names: &[String]) -> i32 {
        if names.is_empty() {
            for (name, value) in &self.0.env {
                self.say(&format!("{name}={value}"));
            }
            return 0;
        }
        let found: Vec<_> = names.iter().filter_map(|name| self.0.env.get(name)).collect();
        for value in &found {
            self.say(value);
        }
        i32::from(found.len() != names.len())
    }

    async fn shell(&self, words: &[String], depth: usize) -> i32 {
        let script = match words {
            [] => return 0,
            [flag, script, ..] if flag == "-c" => script,
            _ => return self.fail(USAGE, "sh: only `sh -c SCRIPT` is understood here"),
        };
        let script = match Script::parse(script) {
            Ok(script) => script,
            Err(error) => return self.fail(USAGE, &format!("sh: {error}")),
        };
        let mut code = 0;
        for (join, words) in &script.commands {
            let skipped = match join {
                Join::Always => false,
                Join::IfSuccess => code != 0,
                Join::IfFailure => code == 0,
            };
            // Others have their turn, and it can be told to end, however long the script is.
            tokio::task::yield_now().await;
            if skipped {
                continue;
            }
            let Some(words) = expand(words, &self.0.env, code) else {
                code = self.fail(NOT_RUN, "sh: argument list too long");
                continue;
            };
            match words.split_first() {
                None => code = 0,
                Some((name, rest)) if name == "exit" => {
                    return match not_understood(name, rest) {
                        Some(word) => self.refuse(name, word),
                        None => rest.first().and_then(|word| word.parse().ok()).unwrap_or(code) & 0xff,
                    };
                }
                Some((name, rest)) => code = self.run(name, rest, depth).await,
            }
        }
        code
    }
}

/// The first of a command's words that a real one heeds and this one does not. A command that only ignored it would do something else.
fn not_understood<'w>(name: &str, words: &'w [String]) -> Option<&'w String> {
    let is_option = |word: &&String| word.starts_with('-') && word.len() > 1;
    match name {
        "date" | "hostname" | "env" => words.first(),
        "exit" => words.get(1).or_else(|| words.first().filter(|word| !word.parse::<i32>().is_ok_and(|code| code >= 0))),
        "cat" => words.iter().find(|word| word.starts_with('-')),
        "printenv" => words.iter().find(is_option),
        // Several options may be in one word, and only a word of these letters is one.
        "echo" => {
            let mut options = words.iter().take_while(|word| is_option(word) && word.chars().skip(1).all(|c| "neE".contains(c)));
            options.find(|word| *word != "-n")
        }
        _ => None,
    }
}

/// The command that a path stands for.
fn program(name: &str) -> &str {
    ["/usr/bin/", "/bin/"].iter().find_map(|folder| name.strip_prefix(folder)).unwrap_or(name)
}

/// `1.5`, `10s`, `2m`, `infinity`.
fn duration(text: &str) -> Option<Duration> {
    if text == "infinity" {
        return Some(Duration::MAX);
    }
    let (number, seconds) = match text.char_indices().next_back()? {
        (at, 's') => (&text[..at], 1.0),
        (at, 'm') => (&text[..at], 60.0),
        (at, 'h') => (&text[..at], 3600.0),
        (at, 'd') => (&text[..at], 86400.0),
        _ => (text, 1.0),
    };
    // Rust's numbers may be `nan` or `1e3`, too.
    let number: f64 = number.parse().ok().filter(|_| number.chars().all(|c| c.is_ascii_digit() || c == '.'))?;
    Duration::try_from_secs_f64(number * seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        let cases =
            [("1.5", Some(1500)), ("2m", Some(120_000)), ("1h", Some(3_600_000)), ("x", None), ("", None), ("-1", None), ("1e3s", None)];
        for (text, milliseconds) in cases {
            assert_eq!(duration(text), milliseconds.map(Duration::from_millis), "{text}");
        }
        assert_eq!(duration("infinity"), Some(Duration::MAX));
    }

    #[test]
    fn words_that_would_be_ignored_are_refused() {
        let refused = |command: &str| {
            let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
            not_understood(&words[0], &words[1..]).cloned()
        };
        for command in
            ["echo -n -n a", "echo a -e", "echo - -e", "echo -x -e", "cat /a /b", "printenv A", "env", "date", "exit 3", "exit", "sleep 1"]
        {
            assert_eq!(refused(command), None, "{command}");
        }
        let cases = [
            ("echo -e a", "-e"),
            ("echo -n -ne a", "-ne"),
            ("cat -n /a", "-n"),
            ("cat -", "-"),
            ("printenv -0", "-0"),
            ("env A=b echo", "A=b"),
            ("date +%s", "+%s"),
            ("hostname -i", "-i"),
            ("exit x", "x"),
            ("exit 1 2", "2"),
        ];
        for (command, word) in cases {
            assert_eq!(refused(command).as_deref(), Some(word), "{command}");
        }
    }

    #[test]
    fn programs_are_found_by_path() {
        assert_eq!((program("/bin/sh"), program("/usr/bin/env"), program("/sbin/init")), ("sh", "env", "/sbin/init"));
    }
}

//! Following a page of the documents: every command in its `sh` blocks, as written, by a shell.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::bench::{Bench, Ran, fed, run, tandem};

/// Commands that stay until they are stopped, with what each says once it is there.
const STAYING: [(&str, &str); 2] = [("serve", "tandem listening on "), ("demo", "logs")];

/// A page that is being followed in a bench's directory.
pub struct Guide<'b> {
    bench: &'b Bench,
    text: String,
    left: VecDeque<String>,
    placeholders: Vec<(String, String)>,
    variables: Vec<(String, String)>,
    stdin: Option<String>,
    staying: Vec<Child>,
    codes: Vec<(String, i32)>,
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The contents of a text's fenced blocks in this language, in order.
pub fn blocks(text: &str, language: &str) -> Vec<String> {
    let begin = format!("```{language}");
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines() {
        match &mut block {
            None if line.trim() == begin => block = Some(String::new()),
            None => {}
            Some(_) if line.trim() == "```" => blocks.extend(block.take()),
            Some(block) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    blocks
}

/// The commands of a text's `sh` blocks, a continued one in one piece.
pub fn commands(text: &str) -> Vec<String> {
    let joined = blocks(text, "sh").concat().replace("\\\n", " ");
    let lines = joined.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

impl<'b> Guide<'b> {
    /// Opens a page by its path in the repository. Of a command, only these placeholders are replaced.
    pub fn open(bench: &'b Bench, page: &str, placeholders: &[(&str, &str)]) -> Self {
        let text = std::fs::read_to_string(root().join(page)).unwrap();
        let left: VecDeque<String> = commands(&text).into();
        assert!(!left.is_empty(), "{page} has no command to follow");
        let mut guide = Self {
            bench,
            text,
            left,
            placeholders: Vec::new(),
            variables: Vec::new(),
            stdin: None,
            staying: Vec::new(),
            codes: Vec::new(),
        };
        for (placeholder, value) in placeholders {
            guide.fill(placeholder, value);
        }
        guide
    }

    /// Says what stands for a placeholder, which has to be somewhere on the page.
    pub fn fill(&mut self, placeholder: &str, value: &str) {
        assert!(self.text.contains(placeholder), "no `{placeholder}` on the page");
        self.placeholders.push((placeholder.to_owned(), value.to_owned()));
    }

    /// Gives all further commands a variable.
    pub fn variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Types this into the next command.
    pub fn feed(&mut self, text: String) {
        self.stdin = Some(text);
    }

    /// Starts something that the page takes for granted, and returns what it says once it is there.
    pub fn beside(&mut self, line: &str, sign: &str) -> String {
        let line = self.filled(line);
        self.stay(&line, sign).out
    }

    /// The page's only block in this language, with its placeholders replaced.
    pub fn block(&self, language: &str) -> String {
        let mut blocks = blocks(&self.text, language);
        assert_eq!(blocks.len(), 1, "blocks of {language}");
        self.filled(&blocks.remove(0))
    }

    fn filled(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (placeholder, value) in &self.placeholders {
            text = text.replace(placeholder, value);
        }
        text
    }

    /// Follows the page up to the first command that begins so, and not that one.
    pub fn up_to(&mut self, begin: &str) {
        while let Some(next) = self.left.front() {
            if next.starts_with(begin) {
                return;
            }
            self.one();
        }
        panic!("no further command on the page begins with `{begin}`");
    }

    /// Follows the rest of the page, and returns the commands that ended otherwise than with 0.
    pub fn finish(mut self) -> Vec<(String, i32)> {
        while !self.left.is_empty() {
            self.one();
        }
        std::mem::take(&mut self.codes)
    }

    /// Returns the commands so far that ended otherwise than with 0.
    pub fn codes(&self) -> Vec<(String, i32)> {
        self.codes.clone()
    }

    /// Runs the next command.
    #[expect(clippy::print_stdout, reason = "what was done is shown where a test fails")]
    pub fn one(&mut self) -> Ran {
        let written = self.left.pop_front().unwrap();
        let line = self.filled(&written);
        let stays = |(command, _): &&(&str, &str)| line.split_whitespace().any(|word| word == *command);
        if let Some((_, sign)) = STAYING.iter().find(stays) {
            return self.stay(&line, sign);
        }
        let mut shell = self.shell(&line);
        let ran = match self.stdin.take() {
            Some(text) => fed(&mut shell, &text),
            None => run(&mut shell),
        };
        // Shown where a test fails.
        println!("$ {line}\n{}{}=> {}", ran.out, ran.err, ran.code);
        if ran.code != 0 {
            let written = written.split(" #").next().unwrap_or_default().trim();
            self.codes.push((written.to_owned(), ran.code));
        }
        ran
    }

    /// A shell for one command, in which `tandem` is the binary under test.
    fn shell(&self, line: &str) -> Command {
        let binary = tandem();
        let folder = Path::new(binary.get_program()).parent().unwrap().to_owned();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).current_dir(self.bench.directory.path());
        for (variable, value) in binary.get_envs() {
            match value {
                Some(value) => shell.env(variable, value),
                None => shell.env_remove(variable),
            };
        }
        shell
            .env("PATH", format!("{}:{path}", folder.display()))
            .env("TANDEM_ALLOW_LOOPBACK", "1")
            .stdin(Stdio::null());
        for (name, value) in &self.variables {
            shell.env(name, value);
        }
        shell
    }

    /// Starts a command that stays, and waits until it is there.
    fn stay(&mut self, line: &str, sign: &str) -> Ran {
        // The shell makes way for it, so that it is what is stopped.
        let mut shell = self.shell(&format!("exec {line}"));
        let mut child = shell.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while !said.contains(sign) {
            assert_ne!(out.read_line(&mut said).unwrap(), 0, "`{line}` ended: {said:?}");
        }
        // Whatever it says later is for nobody, but it is not to meet a closed pipe.
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        self.staying.push(child);
        Ran {
            code: 0,
            out: said,
            err: String::new(),
        }
    }
}

impl Drop for Guide<'_> {
    fn drop(&mut self) {
        for child in &mut self.staying {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

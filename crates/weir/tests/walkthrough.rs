//! Runs every shell block of `examples/connection-limit/README.md` and of the documents in `docs/`, as written, against the real binary with
//! the real kubectl and curl.
//!
//! A comment before a block says what is expected where it is not plain success: `<!-- exit: 1 -->`, `<!-- expect: TEXT -->`.

mod common;

use std::path::Path;

use common::{Weir, isolated, repository, text};

/// A shell block and what it should do.
#[derive(Debug, Default)]
struct Block {
    line: usize,
    script: String,
    exit: i32,
    expect: Vec<String>,
}

fn blocks(markdown: &str) -> Vec<Block> {
    let (mut found, mut next, mut open) = (Vec::new(), Block::default(), false);
    for (index, line) in markdown.lines().enumerate() {
        let directive = |name: &str| line.strip_prefix("<!-- ").and_then(|it| it.strip_prefix(name)).and_then(|it| it.strip_suffix(" -->"));
        if open && line == "```" {
            found.push(std::mem::take(&mut next));
            open = false;
        } else if open {
            next.script.push_str(line);
            next.script.push('\n');
        } else if line == "```sh" {
            (open, next.line) = (true, index + 1);
        } else if let Some(code) = directive("exit: ") {
            next.exit = code.trim().parse().expect("an exit status");
        } else if let Some(expected) = directive("expect: ") {
            next.expect.push(expected.to_owned());
        }
    }
    found
}

/// Runs the blocks of `file` in `folder`, in one shell as it were: what one block sets, the next one sees.
#[expect(clippy::print_stdout, reason = "what the commands said is what one wants to see of this test")]
fn run_blocks(weir: &Weir, folder: &Path, file: &str, blocks: Vec<Block>) {
    let variables = weir.data.join("variables");
    for block in blocks {
        let script = format!(
            "[ ! -f '{0}' ] || . '{0}'; trap 'code=$?; declare -p GATEWAY_HOST POD ADDRESS > '{0}' 2>/dev/null; exit $code' EXIT\n{1}",
            variables.display(),
            block.script
        );
        let output = weir.bash(folder, &script);
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        println!("--- {file}:{} (exit {:?})\n{}{said}", block.line, output.status.code(), block.script);
        assert_eq!(output.status.code(), Some(block.exit), "{file}:{}: {}{said}", block.line, block.script);
        for expected in &block.expect {
            assert!(said.contains(expected), "{file}:{}: `{expected}` is missing in: {said}", block.line);
        }
    }
}

#[test]
fn every_command_of_the_walkthrough_works_as_written() {
    isolated("every_command_of_the_walkthrough_works_as_written", || {
        let folder = repository().join("examples/connection-limit");
        let markdown = std::fs::read_to_string(folder.join("README.md")).expect("the walkthrough is there");
        let blocks = blocks(&markdown);
        assert!(blocks.len() > 15, "the walkthrough has {} blocks", blocks.len());

        let mut weir = Weir::start(&[]);
        weir.wait_for("export KUBECONFIG=");
        run_blocks(&weir, &folder, "README.md", blocks);
        weir.signal("INT");
        assert_eq!(weir.wait().code(), Some(0), "Ctrl-C ends it well");
    });
}

#[test]
fn every_command_of_the_documents_works_as_written() {
    isolated("every_command_of_the_documents_works_as_written", || {
        let example = repository().join("examples/connection-limit").display().to_string();
        let mut weir = Weir::start(&["-f", &example]);
        weir.wait_for("curl -H");
        let mut count = 0;
        for document in std::fs::read_dir(repository().join("docs")).expect("the documents are there") {
            let path = document.expect("readable").path();
            if path.is_dir() {
                continue;
            }
            let blocks = blocks(&std::fs::read_to_string(&path).expect("readable"));
            count += blocks.len();
            run_blocks(&weir, &repository(), &path.display().to_string(), blocks);
        }
        assert!(count >= 8, "the documents have {count} blocks");
    });
}

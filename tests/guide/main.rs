//! The guides of the README: what they quote is compiled and run here, or in the bank.

mod sweep;
mod wallet;

use std::fs;

/// The blocks of Rust in the README's guides.
fn quotes() -> Vec<String> {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README");
    let blocks = readme.split("```rust,ignore\n").skip(1);
    blocks.filter_map(|block| Some(block.split_once("```")?.0.to_owned())).collect()
}

#[test]
fn the_readme_quotes_what_is_compiled_here() {
    let compiled =
        [include_str!("wallet.rs"), include_str!("sweep.rs"), include_str!("../../src/bin/bank/simulated.rs")];
    let quotes = quotes();
    assert!(quotes.len() >= 4, "{quotes:?}");
    for quote in quotes {
        assert!(compiled.iter().any(|text| text.contains(&quote)), "not compiled:\n{quote}");
    }
}

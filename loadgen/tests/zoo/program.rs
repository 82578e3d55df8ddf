//! The zoo as a program: `cargo run -p authbench --example zoo -- MODE FOLDER` starts the server of
//! a mode, writes `FOLDER/MODE.toml` for `authbench attack --target`, and serves until it is ended.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for people who write rows")]

#[path = "mod.rs"]
mod zoo;

use std::path::Path;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, folder] = arguments.as_slice() else {
        for mode in zoo::MODES {
            let says = match mode.says {
                zoo::Says::Accepted => "ACCEPTED",
                zoo::Says::Failed => "FAILED",
                zoo::Says::Property => "property",
                zoo::Says::Nothing => "sound",
                zoo::Says::Untried => "sound, and hard to test",
            };
            println!("{:28}{:56}{says} {}", mode.name, mode.does, mode.rows.join(" "));
        }
        return;
    };
    let mode = zoo::find(name).unwrap_or_else(|| panic!("no mode `{name}`"));
    let server = zoo::Zoo::start(mode);
    let path = Path::new(folder).join(format!("{name}.toml"));
    std::fs::write(&path, server.target_file(mode, Path::new(folder))).unwrap();
    println!("{}", path.display());
    loop {
        std::thread::park();
    }
}

//! What the SDKs in C and Go take from wit/: wit-bindgen's C, and declarations of the imports for Go. It is committed, so that
//! nobody needs a generator to build a filter; a test holds it against what comes out here.

mod go;

use std::path::{Path, PathBuf};

use anyhow::Context;
use wit_bindgen_c::Opts;
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

/// The world of everything that a filter may import.
const WORLD: &str = "imports";

/// Every generated file: its path in the repository, and what belongs in it.
pub fn files() -> anyhow::Result<Vec<(PathBuf, String)>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(repository().join("wit"))?;
    let world = resolve.select_world(&[package], Some(WORLD))?;
    let [wasm, elsewhere] = go::imports(&resolve, world);

    let mut made = Files::default();
    let options = Opts { no_object_file: true, rename_world: Some("tamis".to_owned()), ..Opts::default() };
    options.build().generate(&mut resolve, world, &mut made)?;
    let go = Path::new("sdk/go/internal/abi");
    let mut files = vec![(go.join("imports.go"), wasm), (go.join("imports_elsewhere.go"), elsewhere)];
    for (name, content) in made.iter() {
        let name = name.replace("tamis.", "imports.");
        let text = String::from_utf8(content.to_vec())?.replace("\"tamis.h\"", "\"imports.h\"");
        files.push((Path::new("sdk/c/generated").join(name), text));
    }
    Ok(files)
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

/// Writes them all.
pub fn write() -> anyhow::Result<()> {
    for (path, text) in files()? {
        let file = repository().join(&path);
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_is_what_comes_out() {
        for (path, text) in files().expect("wit/ can be read") {
            let committed = std::fs::read_to_string(repository().join(&path)).unwrap_or_default();
            assert!(committed == text, "{} is not what wit/ says: run `make bindings`", path.display());
        }
    }
}

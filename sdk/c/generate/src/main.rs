//! Writes the generated files into the repository.

fn main() -> anyhow::Result<()> {
    tamis_sdk_generate::write()
}

//! Configured images: `configure` runs once, and every instance on every worker begins with what it left in memory.
//!
//! An image is a component like the one it was made of, with that memory as its data. Its pages are mapped copy-on-write, so
//! that an instance costs what it writes to, and a new one tens of microseconds, however long `configure` took. It belongs to
//! one filter with one configuration and is dropped with it; the disk cache keeps it for the next start, with what the filter
//! said of itself while it was configured.

mod note;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::abi::component::Prepared;
use super::abi::component::snapshot::{self, Unfit};
use super::abi::{self, Instance};
use super::cache::{Compiled, Key};
use super::host::inputs::Inputs;
use super::{Fault, Identity, LoadError, Module, Setup, block_on, progress};

/// CPU time of `configure` from which an image is made of a small module. Below it, configuring instances one by one costs less
/// in a day than compiling once more.
pub const WORTH: Duration = Duration::from_millis(1);
/// Bytes of a module that make it worth so much more: a language runtime takes 15 s to compile, and an image does it twice.
const WORTH_BYTES: usize = 4 << 20;

/// The same for this module.
pub fn worth(module: &Module) -> Duration {
    WORTH.saturating_mul(u32::try_from(module.length / WORTH_BYTES).unwrap_or(u32::MAX).saturating_add(1))
}

/// How the instances of a filter come to be configured.
#[derive(Debug)]
pub enum Configured {
    /// They are copies.
    Image(Image),
    /// Each runs `configure`.
    EachInstance { why: String },
}

impl Default for Configured {
    fn default() -> Self {
        Configured::EachInstance { why: "it is not configured yet".to_owned() }
    }
}

/// See the module.
pub struct Image {
    prepared: Box<Prepared>,
    /// Bytes that all instances share: compiled code, and the memory they begin with.
    pub bytes: usize,
    /// How long it took to make it, or to find it.
    pub took: Duration,
    pub compiled: Compiled,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({} bytes, {}, {:?})", self.bytes, self.compiled.word(), self.took)
    }
}

/// An image, one of its instances, and what the filter said of itself.
type Made = (Image, Instance, Setup);

impl Image {
    /// The one that the disk cache has of this configuration, if what was said then still holds.
    pub fn kept(module: &Module, identity: &Arc<Identity>, config: &str, inputs: &Inputs) -> Option<Made> {
        let began = Instant::now();
        let key = key(module, identity, config, inputs)?;
        let (prepared, note) = ours(module)?.kept_image(&module.engine, &module.cache, key)?;
        let mut setup = note::read(&note, &identity.taken)?;
        setup.settle(&module.prepared.hooks()).ok()?;
        let (image, spare) = Self::begin(prepared, identity, began, Compiled::Cache).ok()?;
        Some((image, spare, setup))
    }

    /// Configures an instance and makes an image of it, for which the module and its memory are compiled: 100 ms to seconds.
    pub fn make(module: &Module, identity: &Arc<Identity>, config: &str, inputs: &Inputs) -> Result<Made, Unfit> {
        if let Some(interface) = module.prepared.foreign() {
            return Err(Unfit::Foreign(interface));
        }
        let began = Instant::now();
        let prepared = ours(module).ok_or_else(|| Unfit::Foreign("what is not of wit/".to_owned()))?;
        let made = snapshot::configured((prepared, &module.bytes), (&module.engine, &module.cache), identity, config, inputs);
        let (bytes, mut setup) = made?;
        setup.settle(&module.prepared.hooks()).map_err(|why| LoadError::Refused(vec![why]))?;
        let made = || prepared.compile_image(&module.engine, &bytes);
        let (prepared, code) = progress::told(bytes.len(), "an image", made)?;
        drop(bytes);
        let (image, spare) = Self::begin(prepared, identity, began, Compiled::Now)?;
        if let Some(key) = key(module, identity, config, inputs) {
            module.cache.keep_image(module.engine.wasmtime(), key, &code, &note::write(&setup));
        }
        Ok((image, spare, setup))
    }

    /// Makes the first instance, so that no worker has to wait until the image is mapped.
    fn begin(
        prepared: Prepared,
        identity: &Arc<Identity>,
        began: Instant,
        compiled: Compiled,
    ) -> Result<(Self, Instance), LoadError> {
        let spare = Instance::Component(block_on(prepared.waits(identity), prepared.instantiate(identity))??);
        let bytes = prepared.shared_bytes();
        Ok((Self { prepared: Box::new(prepared), bytes, took: began.elapsed(), compiled }, spare))
    }

    /// A new instance, configured like every other.
    pub async fn instantiate(&self, identity: &Arc<Identity>) -> Result<Instance, Fault> {
        self.prepared.instantiate(identity).await.map(Instance::Component)
    }
}

/// What images are made of.
fn ours(module: &Module) -> Option<&Prepared> {
    match &module.prepared {
        abi::Prepared::Component(prepared) => Some(prepared),
        abi::Prepared::ProxyWasm(_) => None,
    }
}

/// Everything that can make `configure` leave another memory: besides its arguments, what it may reach and may use. `None`
/// for a filter with stores: it may find something in them and leave something there, which the next start has not.
fn key(module: &Module, identity: &Identity, config: &str, inputs: &Inputs) -> Option<Key> {
    if !identity.config.allow.stores.is_empty() {
        return None;
    }
    let allow = format!("{:?}", identity.config.allow);
    let memory = (identity.config.memory as u64).to_le_bytes();
    let kind = if ours(module)?.is_direct() { b"module image".as_slice() } else { b"image" };
    let mut parts = vec![kind, module.hash.as_bytes(), config.as_bytes(), allow.as_bytes(), &memory];
    for input in &**inputs {
        parts.extend([input.name.as_bytes(), &input.content]);
    }
    Some(Key::of(&parts))
}

#[cfg(test)]
mod tests;

//! Functions of the host as core modules call them: what they are called with is read out of the guest's memory, and what they answer
//! is written into it.

use std::collections::VecDeque;

use wasmtime::{Caller, Linker, Memory, Result, Val, ValRaw, bail};

use super::border::Border;
use super::contract::{self, Function, Number};
use super::lower::{Asking, Filling, Lower};
use super::raw;
use super::value::{Flat, Params, Source};
use crate::filter::Guest;

/// The function of wit/ of this name, if `P` and `R` are its types.
pub fn agreed<P: Params, R: Lower>(interface: &str, name: &str) -> Result<&'static Function> {
    let Some(function) = contract::import(interface, name) else { bail!("wit/ has no function `{interface}#{name}`") };
    let words = words::<P, R>();
    if function.words != words {
        bail!("`{interface}#{name}` is `{}` in wit/ and `{words}` in the host", function.words);
    }
    let flat = P::FLAT + usize::from(R::FLAT > 1);
    if function.params.len() != flat || flat > NUMBERS_MAX || function.results.len() != usize::from(R::FLAT == 1) {
        bail!("`{interface}#{name}` is called with other numbers than the host takes");
    }
    Ok(function)
}

/// A function of these types, as `words` writes it.
pub fn words<P: Params, R: Lower>() -> String {
    let result = if R::FLAT == 0 { String::new() } else { format!(" -> {}", R::words()) };
    format!("func({}){result}", P::words())
}

/// A function that answers at once, for guests that never wait.
pub fn add<P: Params, R: Lower + 'static>(
    linker: &mut Linker<Guest>,
    module: &str,
    function: &'static Function,
    job: impl for<'a> Fn(&mut Guest, P::Value<'a>) -> Result<R> + Send + Sync + 'static,
) -> Result<()> {
    raw::add(linker, module, function, move |mut caller, numbers| {
        let (memory, answer) = asked::<P, _>(&mut caller, numbers, &job)?;
        match R::FLAT {
            0 => Ok(None),
            1 => Ok(Some(answer.flat())),
            _ => {
                let at = place::<R>(memory.data(&caller), numbers[P::FLAT].get_u32())?;
                answer.store(&mut Asking { context: caller, memory }, at)?;
                Ok(None)
            }
        }
    })
}

/// The same for guests that run on a fiber. What takes no memory of theirs is as above.
pub fn add_on_fibers<P: Params, R: Lower + Send + Sync + 'static>(
    linker: &mut Linker<Guest>,
    module: &str,
    function: &'static Function,
    job: impl for<'a> Fn(&mut Guest, P::Value<'a>) -> Result<R> + Send + Sync + 'static,
) -> Result<()> {
    if !R::ALLOCATES {
        return add::<P, R>(linker, module, function, job);
    }
    let ty = raw::ty(linker.engine(), function);
    linker.func_new_async(module, function.name, ty, move |mut caller, params, results| {
        let numbers = Numbers::of(params);
        let asked = asked::<P, _>(&mut caller, numbers.all(), &job);
        Box::new(async move {
            let (memory, answer) = asked?;
            give(caller, memory, answer, function, numbers, results).await
        })
    })?;
    Ok(())
}

/// A function that may wait. What it needs of the guest it takes at once.
pub fn add_waiting<P: Params, R: Lower + Send + Sync + 'static, F: Future<Output = Result<R>> + Send + 'static>(
    linker: &mut Linker<Guest>,
    module: &str,
    function: &'static Function,
    job: impl for<'a> Fn(&Guest, P::Value<'a>) -> F + Send + Sync + 'static,
) -> Result<()> {
    let ty = raw::ty(linker.engine(), function);
    linker.func_new_async(module, function.name, ty, move |mut caller, params, results| {
        let numbers = Numbers::of(params);
        let asked = asked::<P, _>(&mut caller, numbers.all(), &|guest: &mut Guest, params: P::Value<'_>| Ok(job(guest, params)));
        Box::new(async move {
            let (memory, answer) = asked?;
            give(caller, memory, answer.await?, function, numbers, results).await
        })
    })?;
    Ok(())
}

/// Reads what the guest hands over, and does what it asks for.
#[inline]
fn asked<P: Params, R>(
    caller: &mut Caller<'_, Guest>,
    numbers: &[ValRaw],
    job: &impl for<'a> Fn(&mut Guest, P::Value<'a>) -> Result<R>,
) -> Result<(Memory, R)> {
    let (memory, fuel) = caller.data().border.leave()?;
    let (bytes, guest) = memory.data_and_store_mut(caller);
    let params = P::lift(&mut Flat::new(numbers), &mut Source::new(bytes, fuel))?;
    Ok((memory, job(guest, params)?))
}

/// Where the guest wants the answer.
fn place<R: Lower>(memory: &[u8], at: u32) -> Result<usize> {
    Source::new(memory, 0).place(at, R::SIZE, R::ALIGN)
}

/// Gives an answer to a guest on a fiber: first all memory that it takes, because the guest may make way for others there.
async fn give<R: Lower>(
    mut caller: Caller<'_, Guest>,
    memory: Memory,
    answer: R,
    function: &Function,
    numbers: Numbers,
    results: &mut [Val],
) -> Result<()> {
    if R::FLAT > 1 {
        let at = place::<R>(memory.data(&caller), numbers.last())?;
        let mut wants = Vec::new();
        answer.wants(&mut wants);
        let mut pieces = VecDeque::with_capacity(wants.len());
        for piece in wants {
            pieces.push_back(Border::piece_async(&mut caller, memory, piece).await?);
        }
        return answer.store(&mut Filling { memory: memory.data_mut(&mut caller), pieces }, at);
    }
    if let (Some(result), Some(number)) = (results.first_mut(), function.results.first()) {
        let flat = answer.flat();
        *result = match number {
            Number::I32 => Val::I32(flat.get_i32()),
            Number::I64 => Val::I64(flat.get_i64()),
            Number::F32 => Val::F32(flat.get_f32()),
            Number::F64 => Val::F64(flat.get_f64()),
        };
    }
    Ok(())
}

/// What a function is called with, at most: sixteen numbers, and where its answer goes.
const NUMBERS_MAX: usize = 17;

/// The numbers of a call that goes on after others have run.
#[derive(Clone, Copy)]
struct Numbers([ValRaw; NUMBERS_MAX], usize);

impl Numbers {
    fn of(values: &[Val]) -> Self {
        let mut numbers = [ValRaw::u32(0); NUMBERS_MAX];
        for (number, value) in numbers.iter_mut().zip(values) {
            *number = match value {
                Val::I32(value) => ValRaw::i32(*value),
                Val::I64(value) => ValRaw::i64(*value),
                Val::F32(bits) => ValRaw::f32(*bits),
                Val::F64(bits) => ValRaw::f64(*bits),
                _ => ValRaw::u32(0),
            };
        }
        Self(numbers, values.len().min(NUMBERS_MAX))
    }

    fn all(&self) -> &[ValRaw] {
        &self.0[..self.1]
    }

    /// Where the answer goes comes last.
    fn last(&self) -> u32 {
        self.all().last().map_or(0, ValRaw::get_u32)
    }
}

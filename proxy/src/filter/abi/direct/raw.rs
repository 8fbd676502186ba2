//! The one place where functions of the host are given to core modules without wasmtime's checks of each number: the type of each is
//! known before anything runs, and converting what it is called with into another form, number by number, is what the direct way is
//! there to save.

use wasmtime::{Caller, Engine, FuncType, Linker, Result, ValRaw, ValType, bail};

use super::contract::{Function, Number};
use crate::filter::Guest;

/// Adds a function, which is given the numbers that it is called with and gives back the one that it returns, if it returns one.
#[allow(unsafe_code)]
pub fn add(
    linker: &mut Linker<Guest>,
    module: &str,
    function: &Function,
    job: impl Fn(Caller<'_, Guest>, &[ValRaw]) -> Result<Option<ValRaw>> + Send + Sync + 'static,
) -> Result<()> {
    let (ty, params, returns) = (ty(linker.engine(), function), function.params.len(), !function.results.is_empty());
    // SAFETY: the closure has to treat the numbers as `ty` has them. wasmtime calls it with as many as the type has parameters, all
    // of them written, and looks at the first place for the result if there is one, which is written in every way out of here that
    // is not an error. All are numbers (there is nothing else in `Number`), for which any bits are a value, so that a job that takes
    // an i64 for an i32 is wrong and no more than that.
    unsafe {
        linker.func_new_unchecked(module, function.name, ty, move |caller, numbers| {
            let answer = job(caller, numbers[..params].assume_init_ref())?;
            match (answer, returns) {
                (Some(number), true) => drop(numbers[0].write(number)),
                (None, false) => {}
                _ => bail!("the host has no answer where there has to be one"),
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// The type of a function as wasmtime has it.
pub fn ty(engine: &Engine, function: &Function) -> FuncType {
    let types = |numbers: &'static [Number]| numbers.iter().map(|number| number.ty());
    FuncType::new(engine, types(function.params), types(function.results))
}

impl Number {
    pub fn ty(self) -> ValType {
        match self {
            Number::I32 => ValType::I32,
            Number::I64 => ValType::I64,
            Number::F32 => ValType::F32,
            Number::F64 => ValType::F64,
        }
    }
}

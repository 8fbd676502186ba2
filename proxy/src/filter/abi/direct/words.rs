//! Functions of wit/ in words, so that two of them can be compared: the one that a module was built for, and the one that the host
//! offers. The build script writes the contract with it, and a module that is loaded is held against that.

use wit_parser::{Function, FunctionKind, Resolve, Type, TypeDefKind};

/// What counts of a function for who calls it: the types, whatever its parameters are called.
pub fn function(resolve: &Resolve, function: &Function) -> String {
    let params: Vec<_> = function.params.iter().map(|param| named(resolve, &param.ty)).collect();
    let result = function.result.as_ref().map(|ty| format!(" -> {}", named(resolve, ty))).unwrap_or_default();
    let kind = if function.kind == FunctionKind::Freestanding { "func" } else { "other func" };
    format!("{kind}({}){result}", params.join(", "))
}

fn named(resolve: &Resolve, ty: &Type) -> String {
    let word = match ty {
        Type::Bool => "bool",
        Type::U8 => "u8",
        Type::U16 => "u16",
        Type::U32 => "u32",
        Type::U64 => "u64",
        Type::S8 => "s8",
        Type::S16 => "s16",
        Type::S32 => "s32",
        Type::S64 => "s64",
        Type::F32 => "f32",
        Type::F64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::ErrorContext => "error-context",
        Type::Id(id) => return defined(resolve, &resolve.types[*id].kind),
    };
    word.to_owned()
}

fn defined(resolve: &Resolve, kind: &TypeDefKind) -> String {
    let or_none = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), |ty| named(resolve, ty));
    match kind {
        TypeDefKind::Type(ty) => named(resolve, ty),
        TypeDefKind::List(ty) => format!("list<{}>", named(resolve, ty)),
        TypeDefKind::Option(ty) => format!("option<{}>", named(resolve, ty)),
        TypeDefKind::Result(result) => format!("result<{}, {}>", or_none(&result.ok), or_none(&result.err)),
        TypeDefKind::Tuple(tuple) => {
            let types: Vec<_> = tuple.types.iter().map(|ty| named(resolve, ty)).collect();
            format!("tuple<{}>", types.join(", "))
        }
        TypeDefKind::Record(record) => {
            let fields: Vec<_> =
                record.fields.iter().map(|field| format!("{}: {}", field.name, named(resolve, &field.ty))).collect();
            format!("record{{{}}}", fields.join(", "))
        }
        TypeDefKind::Enum(cases) => {
            let cases: Vec<_> = cases.cases.iter().map(|case| case.name.as_str()).collect();
            format!("enum{{{}}}", cases.join(", "))
        }
        // Nothing of wit/ uses these.
        other => other.as_str().to_owned(),
    }
}

//! Who a running guest is on this worker: its instance, and the exchange that its calls speak of.

use std::cell::RefCell;
use std::rc::Rc;

use super::stream::Stream;
use super::vm::Vm;

#[derive(Default)]
struct Here {
    vm: Option<Rc<Vm>>,
    stream: Option<Rc<Stream>>,
}

thread_local! {
    static HERE: RefCell<Here> = const { RefCell::new(Here { vm: None, stream: None }) };
}

/// Runs `job`, which runs a guest, as this one.
pub fn as_of<T>(vm: &Rc<Vm>, stream: Option<&Rc<Stream>>, job: impl FnOnce() -> T) -> T {
    struct Back(Here);
    impl Drop for Back {
        fn drop(&mut self) {
            let here = std::mem::take(&mut self.0);
            let _ = HERE.try_with(|place| place.replace(here));
        }
    }
    let here = Here { vm: Some(Rc::clone(vm)), stream: stream.cloned() };
    let _back = Back(HERE.replace(here));
    job()
}

/// Its instance; `None` while it is configured, off the workers.
pub fn vm() -> Option<Rc<Vm>> {
    HERE.with_borrow(|here| here.vm.clone())
}

/// The exchange that its calls speak of.
pub fn stream() -> Option<Rc<Stream>> {
    HERE.with_borrow(|here| here.stream.clone())
}

/// Another one from now on.
pub fn turn_to(stream: Option<Rc<Stream>>) {
    HERE.with_borrow_mut(|here| here.stream = stream);
}

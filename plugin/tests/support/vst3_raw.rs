//! A VST3 without a host: its objects, called one by one.
#![allow(
    unreachable_pub,
    dead_code,
    reason = "shared by tests that use different parts of it"
)]
#![expect(unsafe_code, reason = "VST3 is a C++ interface")]

use std::{
    env,
    ffi::c_void,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use libloading::Library;
use vst3::{
    Class, ComPtr, ComRef, Interface,
    Steinberg::{
        FIDString, IPlugFrame, IPlugFrameTrait, IPlugView, IPlugViewTrait, IPluginBaseTrait,
        IPluginFactory, IPluginFactoryTrait,
        Linux::{IEventHandler, IEventHandlerTrait, IRunLoop, IRunLoopTrait, ITimerHandler},
        PClassInfo, ViewRect,
        Vst::{IComponent, ProcessSetup},
        kResultFalse, kResultOk, tresult,
    },
};

use super::bundle;

/// The loaded library.
pub struct Module {
    factory: ComPtr<IPluginFactory>,
    _library: Library,
    _folder: tempfile::TempDir,
}

impl Module {
    pub fn load() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bundle = bundle::vst3(folder.path());
        let place = format!("Contents/{}-linux/genrescope.so", env::consts::ARCH);
        // SAFETY: it is this package's own library, with the functions that VST3 names.
        unsafe {
            let library = Library::new(bundle.join(place)).unwrap();
            let enter = library
                .get::<extern "C" fn(*mut c_void) -> bool>(b"ModuleEntry")
                .unwrap();
            assert!(enter(std::ptr::null_mut()));
            let factory = library
                .get::<extern "system" fn() -> *mut IPluginFactory>(b"GetPluginFactory")
                .unwrap();
            Self {
                factory: ComPtr::from_raw(factory()).unwrap(),
                _library: library,
                _folder: folder,
            }
        }
    }

    /// A new instance.
    pub fn component(&self) -> ComPtr<IComponent> {
        // SAFETY: the factory's own number of the class; the object comes with a reference.
        unsafe {
            let mut class: PClassInfo = std::mem::zeroed();
            assert_eq!(self.factory.getClassInfo(0, &raw mut class), kResultOk);
            let mut object = std::ptr::null_mut();
            let wanted: FIDString = IComponent::IID.as_ptr().cast();
            let result = self
                .factory
                .createInstance(class.cid.as_ptr(), wanted, &raw mut object);
            assert_eq!(result, kResultOk);
            let component = ComPtr::<IComponent>::from_raw(object.cast()).unwrap();
            assert_eq!(component.initialize(std::ptr::null_mut()), kResultOk);
            component
        }
    }
}

/// For samples of 32 bits (`double`: of 64).
pub fn setup(double: bool) -> ProcessSetup {
    ProcessSetup {
        processMode: 0,
        symbolicSampleSize: i32::from(double),
        maxSamplesPerBlock: 512,
        sampleRate: 48_000.0,
    }
}

/// A VST3 host's frame and run loop.
#[derive(Default)]
pub struct Frame {
    /// Whoever waits for a descriptor, as numbers.
    handlers: Mutex<Vec<(usize, i32)>>,
    /// The view as the host knows it, and those that asked for another size.
    pub view: AtomicUsize,
    pub strangers: AtomicUsize,
}

impl Class for Frame {
    type Interfaces = (IPlugFrame, IRunLoop);
}

impl IPlugFrameTrait for Frame {
    unsafe fn resizeView(&self, view: *mut IPlugView, size: *mut ViewRect) -> tresult {
        if view as usize != self.view.load(Ordering::SeqCst) {
            self.strangers.fetch_add(1, Ordering::SeqCst);
            return kResultFalse;
        }
        // SAFETY: the host's own view, which lives; and the size is the caller's.
        unsafe { ComRef::from_raw(view).unwrap().onSize(size) }
    }
}

impl IRunLoopTrait for Frame {
    unsafe fn registerEventHandler(&self, handler: *mut IEventHandler, fd: i32) -> tresult {
        self.handlers.lock().unwrap().push((handler as usize, fd));
        kResultOk
    }
    unsafe fn unregisterEventHandler(&self, handler: *mut IEventHandler) -> tresult {
        let mut handlers = self.handlers.lock().unwrap();
        handlers.retain(|(known, _)| *known != handler as usize);
        kResultOk
    }
    unsafe fn registerTimer(&self, _handler: *mut ITimerHandler, _every: u64) -> tresult {
        kResultFalse
    }
    unsafe fn unregisterTimer(&self, _handler: *mut ITimerHandler) -> tresult {
        kResultFalse
    }
}

impl Frame {
    /// What a host's own loop does now and then.
    pub fn turn(&self) {
        let handlers = self.handlers.lock().unwrap().clone();
        for (handler, fd) in handlers {
            // SAFETY: it is registered, so it lives.
            unsafe {
                ComRef::from_raw(handler as *mut IEventHandler)
                    .unwrap()
                    .onFDIsSet(fd);
            }
        }
    }
}

//! A VST3 without a host: its objects, called one by one.
#![allow(
    unreachable_pub,
    dead_code,
    reason = "shared by tests that use different parts of it"
)]
#![expect(unsafe_code, reason = "VST3 is a C++ interface")]

use std::{env, ffi::c_void};

use libloading::Library;
use vst3::{
    ComPtr, Interface,
    Steinberg::{
        FIDString, IPluginBaseTrait, IPluginFactory, IPluginFactoryTrait, PClassInfo,
        Vst::{IComponent, ProcessSetup},
        kResultOk,
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

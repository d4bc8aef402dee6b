//! The editor's view, which keeps the scale that it is told before it opens.
//!
//! The framework's view names itself when it asks the host for another size. Hosts compare that
//! with the view they hold, which is this one: so the host's frame is wrapped, too.

use std::{
    ffi::c_void,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicPtr, Ordering},
    },
};

#[cfg(all(target_family = "unix", not(target_os = "macos")))]
use nice_plug::wrapper::vst3::vst3::Steinberg::Linux::{
    FileDescriptor, IEventHandler, IRunLoop, IRunLoopTrait, ITimerHandler, TimerInterval,
};
use nice_plug::wrapper::vst3::vst3::{
    Class, ComPtr, ComRef, ComWrapper,
    Steinberg::{
        FIDString, IPlugFrame, IPlugFrameTrait, IPlugView, IPlugViewContentScaleSupport,
        IPlugViewContentScaleSupport_::ScaleFactor, IPlugViewContentScaleSupportTrait,
        IPlugViewTrait, TBool, ViewRect, char16, int16, kResultFalse, kResultOk, tresult,
    },
};

use super::hand_on;
use crate::desk::Shared;

/// Scales that a screen may have.
const SCALES: std::ops::RangeInclusive<ScaleFactor> = 0.1..=10.0;

struct View {
    inner: ComPtr<IPlugView>,
    shared: Weak<Shared>,
    open: AtomicBool,
    /// This one, as the host holds it.
    own: Arc<AtomicPtr<IPlugView>>,
}

/// A view of ours around the framework's; null for null.
///
/// # Safety
/// `inner` is null or comes with a reference of its own, which is taken over.
pub(super) unsafe fn wrap(inner: *mut IPlugView, shared: &Weak<Shared>) -> *mut IPlugView {
    // SAFETY: as promised.
    let Some(inner) = (unsafe { ComPtr::from_raw(inner) }) else {
        return std::ptr::null_mut();
    };
    let own = Arc::new(AtomicPtr::default());
    let view = ComWrapper::new(View {
        inner,
        shared: Weak::clone(shared),
        open: AtomicBool::new(false),
        own: Arc::clone(&own),
    });
    let Some(view) = view.to_com_ptr::<IPlugView>() else {
        return std::ptr::null_mut();
    };
    own.store(view.as_ptr(), Ordering::Relaxed);
    view.into_raw()
}

impl Drop for View {
    fn drop(&mut self) {
        self.own.store(std::ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: null is allowed: the framework's view, which may live on, lets go of the host's
        // frame.
        unsafe { self.inner.setFrame(std::ptr::null_mut()) };
    }
}

impl Class for View {
    type Interfaces = (IPlugView, IPlugViewContentScaleSupport);
}

impl IPlugViewTrait for View {
    unsafe fn attached(&self, parent: *mut c_void, kind: FIDString) -> tresult {
        // SAFETY: handed on.
        let result = unsafe { self.inner.attached(parent, kind) };
        if result == kResultOk {
            self.open.store(true, Ordering::Relaxed);
        }
        result
    }

    unsafe fn removed(&self) -> tresult {
        self.open.store(false, Ordering::Relaxed);
        // SAFETY: handed on.
        unsafe { self.inner.removed() }
    }

    unsafe fn setFrame(&self, frame: *mut IPlugFrame) -> tresult {
        // SAFETY: the host's own, or null.
        let Some(host) = (unsafe { ComRef::from_raw(frame) }) else {
            // SAFETY: handed on.
            return unsafe { self.inner.setFrame(frame) };
        };
        let ours = Frame::around(host.to_com_ptr(), Arc::clone(&self.own));
        // SAFETY: the framework's view takes a reference of its own.
        ours.map_or(kResultFalse, |ours| unsafe {
            self.inner.setFrame(ours.as_ptr())
        })
    }

    hand_on! { IPlugViewTrait {
        isPlatformTypeSupported(kind: FIDString) -> tresult;
        onWheel(distance: f32) -> tresult;
        onKeyDown(key: char16, code: int16, modifiers: int16) -> tresult;
        onKeyUp(key: char16, code: int16, modifiers: int16) -> tresult;
        getSize(size: *mut ViewRect) -> tresult;
        onSize(size: *mut ViewRect) -> tresult;
        onFocus(state: TBool) -> tresult;
        canResize() -> tresult;
        checkSizeConstraint(rect: *mut ViewRect) -> tresult;
    } }
}

impl IPlugViewContentScaleSupportTrait for View {
    unsafe fn setContentScaleFactor(&self, factor: ScaleFactor) -> tresult {
        if !SCALES.contains(&factor) {
            return kResultFalse;
        }
        if !self.open.load(Ordering::Relaxed) {
            let Some(shared) = self.shared.upgrade() else {
                return kResultFalse;
            };
            shared.geometry.say_scale(f64::from(factor));
            return kResultOk;
        }
        let inner = self.inner.cast::<IPlugViewContentScaleSupport>();
        // SAFETY: no pointers.
        inner.map_or(kResultFalse, |inner| unsafe {
            inner.setContentScaleFactor(factor)
        })
    }
}

/// The host's frame, to which every request comes from the view that the host knows.
struct Frame {
    host: ComPtr<IPlugFrame>,
    view: Arc<AtomicPtr<IPlugView>>,
}

impl Frame {
    /// On Linux with the run loop of a host that has one.
    fn around(
        host: ComPtr<IPlugFrame>,
        view: Arc<AtomicPtr<IPlugView>>,
    ) -> Option<ComPtr<IPlugFrame>> {
        #[cfg(all(target_family = "unix", not(target_os = "macos")))]
        if let Some(run_loop) = host.cast::<IRunLoop>() {
            let frame = Self { host, view };
            let inner = run_loop;
            return ComWrapper::new(LoopFrame { frame, inner }).to_com_ptr();
        }
        ComWrapper::new(Self { host, view }).to_com_ptr()
    }
}

impl Class for Frame {
    type Interfaces = (IPlugFrame,);
}

impl IPlugFrameTrait for Frame {
    unsafe fn resizeView(&self, _view: *mut IPlugView, size: *mut ViewRect) -> tresult {
        let view = self.view.load(Ordering::Relaxed);
        if view.is_null() {
            return kResultFalse;
        }
        // SAFETY: the host closes a view on the thread that this is called on, so the view lives.
        unsafe { self.host.resizeView(view, size) }
    }
}

#[cfg(all(target_family = "unix", not(target_os = "macos")))]
struct LoopFrame {
    frame: Frame,
    inner: ComPtr<IRunLoop>,
}

#[cfg(all(target_family = "unix", not(target_os = "macos")))]
impl Class for LoopFrame {
    type Interfaces = (IPlugFrame, IRunLoop);
}

#[cfg(all(target_family = "unix", not(target_os = "macos")))]
impl IPlugFrameTrait for LoopFrame {
    unsafe fn resizeView(&self, view: *mut IPlugView, size: *mut ViewRect) -> tresult {
        // SAFETY: handed on.
        unsafe { self.frame.resizeView(view, size) }
    }
}

#[cfg(all(target_family = "unix", not(target_os = "macos")))]
impl IRunLoopTrait for LoopFrame {
    hand_on! { IRunLoopTrait {
        registerEventHandler(handler: *mut IEventHandler, descriptor: FileDescriptor) -> tresult;
        unregisterEventHandler(handler: *mut IEventHandler) -> tresult;
        registerTimer(handler: *mut ITimerHandler, interval: TimerInterval) -> tresult;
        unregisterTimer(handler: *mut ITimerHandler) -> tresult;
    } }
}

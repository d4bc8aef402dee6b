//! The VST3 objects that a host holds: the framework's own, with what it leaves undone put right on
//! the way.
//!
//! | what the framework (nice-plug 0.4.2) does | here |
//! |---|---|
//! | keeps only the number of channels of a speaker arrangement | what was accepted is kept |
//! | takes `kSample64`, which it denies elsewhere | refused |
//! | hands on the process mode of the call before | the mode is the one that was set |
//! | panics when it is to process before it was set up | refused |
//! | forgets a scale that is told before the editor opens | it opens at that scale |
//! | reads a parameter back as it was, while it processes | as it was set |
//!
//! Everything else is handed on as it comes. docs/upstream.md says what the framework should do
//! itself.
#![expect(
    unsafe_code,
    reason = "VST3 is a C++ interface: hosts hand over pointers and promise what they point to"
)]

mod view;

use std::{
    ffi::c_void,
    sync::{
        Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use nice_plug::wrapper::vst3::{
    PluginInfo, Vst3Plugin, Wrapper,
    vst3::{
        Class, ComWrapper,
        Steinberg::{
            FIDString, FUnknown, IBStream, IPlugView, IPluginBaseTrait, IPluginFactory,
            IPluginFactory2, IPluginFactory2Trait, IPluginFactory3, IPluginFactory3Trait,
            IPluginFactoryTrait, PClassInfo, PClassInfo2, PClassInfoW, PFactoryInfo, TBool, TUID,
            Vst::{
                BusDirection, BusInfo, CString,
                ChannelContext::{IInfoListener, IInfoListenerTrait},
                CtrlNumber, IAttributeList, IAudioProcessor, IAudioProcessorTrait, IComponent,
                IComponentHandler, IComponentTrait, IEditController, IEditControllerTrait,
                IMidiMapping, IMidiMappingTrait, INoteExpressionController,
                INoteExpressionControllerTrait, IProcessContextRequirements,
                IProcessContextRequirementsTrait, IUnitInfo, IUnitInfoTrait, IoMode, MediaType,
                NoteExpressionTypeID, NoteExpressionTypeInfo, NoteExpressionValue, ParamID,
                ParamValue, ParameterInfo, ProcessData, ProcessSetup, ProgramListID,
                ProgramListInfo, RoutingInfo, SpeakerArrangement, String128, TChar, UnitID,
                UnitInfo,
            },
            int16, int32, kInvalidArgument, kNotInitialized, kResultFalse, kResultOk, tresult,
            uint32,
        },
    },
};
use parking_lot::Mutex;

use crate::{Genrescope, desk::Shared};

/// What the newest instance shares: the framework makes the instance, and shows it to nobody.
static NEWEST: Mutex<Weak<Shared>> = Mutex::new(Weak::new());

/// Held while one is made.
static MAKING: Mutex<()> = Mutex::new(());

/// An instance was made.
pub(crate) fn made(shared: Weak<Shared>) {
    *NEWEST.lock() = shared;
}

/// For `GetPluginFactory`: a new reference to a factory.
pub fn factory() -> *mut c_void {
    ComWrapper::new(Factory(PluginInfo::for_plugin::<Genrescope>()))
        .to_com_ptr::<IPluginFactory>()
        .map_or(std::ptr::null_mut(), |factory| factory.into_raw().cast())
}

/// Hands methods of `$interface` on to `self.inner`.
macro_rules! hand_on {
    ($interface:ident { $($name:ident($($argument:ident: $kind:ty),*) -> $out:ty;)* }) => {
        $(unsafe fn $name(&self, $($argument: $kind),*) -> $out {
            // SAFETY: what the host promises is handed on with its call.
            unsafe { $interface::$name(&self.inner, $($argument),*) }
        })*
    };
}
use hand_on;

/// Writes `value` where the host wants it.
///
/// # Safety
/// `to` is null or may be written to.
unsafe fn put<T>(to: *mut T, value: T) -> tresult {
    if to.is_null() {
        return kInvalidArgument;
    }
    // SAFETY: as promised.
    unsafe { to.write(value) };
    kResultOk
}

/// What a host finds in the library.
struct Factory(PluginInfo);

impl Class for Factory {
    type Interfaces = (IPluginFactory, IPluginFactory2, IPluginFactory3);
}

impl IPluginFactoryTrait for Factory {
    unsafe fn getFactoryInfo(&self, info: *mut PFactoryInfo) -> tresult {
        // SAFETY: the host's own.
        unsafe { put(info, self.0.create_factory_info()) }
    }

    unsafe fn countClasses(&self) -> int32 {
        1
    }

    unsafe fn getClassInfo(&self, index: int32, info: *mut PClassInfo) -> tresult {
        if index != 0 {
            return kInvalidArgument;
        }
        // SAFETY: the host's own.
        unsafe { put(info, self.0.create_class_info()) }
    }

    unsafe fn createInstance(
        &self,
        class: FIDString,
        interface: FIDString,
        object: *mut *mut c_void,
    ) -> tresult {
        if class.is_null() || interface.is_null() || object.is_null() {
            return kInvalidArgument;
        }
        // SAFETY: a class's number has 16 bytes, and so has an interface's.
        let wanted = unsafe { *class.cast::<[u8; 16]>() };
        if wanted != Genrescope::PLATFORM_VST3_CLASS_ID {
            return kInvalidArgument;
        }
        let new = ComWrapper::new(Component::new());
        let Some(unknown) = new.as_com_ref::<FUnknown>() else {
            return kResultFalse;
        };
        let unknown = unknown.as_ptr();
        // SAFETY: the object lives, and takes a reference of its own for the host.
        unsafe { ((*(*unknown).vtbl).queryInterface)(unknown, interface.cast::<TUID>(), object) }
    }
}

impl IPluginFactory2Trait for Factory {
    unsafe fn getClassInfo2(&self, index: int32, info: *mut PClassInfo2) -> tresult {
        if index != 0 {
            return kInvalidArgument;
        }
        // SAFETY: the host's own.
        unsafe { put(info, self.0.create_class_info_2()) }
    }
}

impl IPluginFactory3Trait for Factory {
    unsafe fn getClassInfoUnicode(&self, index: int32, info: *mut PClassInfoW) -> tresult {
        if index != 0 {
            return kInvalidArgument;
        }
        // SAFETY: the host's own.
        unsafe { put(info, self.0.create_class_info_unicode()) }
    }

    unsafe fn setHostContext(&self, _context: *mut FUnknown) -> tresult {
        kResultOk
    }
}

/// One instance, component and controller in one.
struct Component {
    inner: Wrapper<Genrescope>,
    shared: Weak<Shared>,
    /// The arrangement of both buses that was accepted last; 0 for none.
    arrangement: AtomicU64,
    set_up: AtomicBool,
    /// Parameters that the processor has yet to take: what was set, and what the processor had
    /// then.
    awaited: Mutex<Vec<Awaited>>,
}

#[derive(Clone, Copy, Debug)]
struct Awaited {
    id: ParamID,
    value: ParamValue,
    before: ParamValue,
}

impl Component {
    fn new() -> Self {
        let making = MAKING.lock();
        let inner = Wrapper::new();
        let shared = std::mem::take(&mut *NEWEST.lock());
        drop(making);
        Self {
            inner,
            shared,
            arrangement: AtomicU64::new(0),
            set_up: AtomicBool::new(false),
            awaited: Mutex::default(),
        }
    }
}

impl Class for Component {
    type Interfaces = (
        IComponent,
        IEditController,
        IAudioProcessor,
        IMidiMapping,
        INoteExpressionController,
        IProcessContextRequirements,
        IUnitInfo,
        IInfoListener,
    );
}

impl IPluginBaseTrait for Component {
    hand_on! { IPluginBaseTrait {
        initialize(context: *mut FUnknown) -> tresult;
        terminate() -> tresult;
    } }
}

impl IComponentTrait for Component {
    hand_on! { IComponentTrait {
        getControllerClassId(class: *mut TUID) -> tresult;
        setIoMode(mode: IoMode) -> tresult;
        getBusCount(media: MediaType, direction: BusDirection) -> int32;
        getBusInfo(media: MediaType, direction: BusDirection, index: int32, bus: *mut BusInfo) -> tresult;
        getRoutingInfo(input: *mut RoutingInfo, output: *mut RoutingInfo) -> tresult;
        activateBus(media: MediaType, direction: BusDirection, index: int32, state: TBool) -> tresult;
        setActive(state: TBool) -> tresult;
        setState(state: *mut IBStream) -> tresult;
        getState(state: *mut IBStream) -> tresult;
    } }
}

impl IAudioProcessorTrait for Component {
    unsafe fn setBusArrangements(
        &self,
        inputs: *mut SpeakerArrangement,
        n_inputs: int32,
        outputs: *mut SpeakerArrangement,
        n_outputs: int32,
    ) -> tresult {
        if inputs.is_null() || outputs.is_null() || n_inputs != 1 || n_outputs != 1 {
            return kInvalidArgument;
        }
        // SAFETY: one each, as the host says.
        let (input, output) = unsafe { (*inputs, *outputs) };
        // What comes in goes out: no speaker takes another's place.
        if input != output {
            return kResultFalse;
        }
        // SAFETY: handed on.
        let result = unsafe {
            self.inner
                .setBusArrangements(inputs, n_inputs, outputs, n_outputs)
        };
        if result == kResultOk {
            self.arrangement.store(output, Ordering::Relaxed);
        }
        result
    }

    unsafe fn getBusArrangement(
        &self,
        direction: BusDirection,
        index: int32,
        arrangement: *mut SpeakerArrangement,
    ) -> tresult {
        let accepted = self.arrangement.load(Ordering::Relaxed);
        if accepted != 0 && index == 0 && (0..=1).contains(&direction) {
            // SAFETY: the host's own.
            return unsafe { put(arrangement, accepted) };
        }
        // SAFETY: handed on.
        unsafe { self.inner.getBusArrangement(direction, index, arrangement) }
    }

    unsafe fn setupProcessing(&self, setup: *mut ProcessSetup) -> tresult {
        // SAFETY: the host's own, or null.
        let Some(wanted) = (unsafe { setup.as_ref() }) else {
            return kInvalidArgument;
        };
        // SAFETY: no pointers.
        if unsafe { self.canProcessSampleSize(wanted.symbolicSampleSize) } != kResultOk {
            return kResultFalse;
        }
        // Each call uses the mode of the one before.
        for _ in 0..2 {
            // SAFETY: handed on.
            let result = unsafe { self.inner.setupProcessing(setup) };
            if result != kResultOk {
                return result;
            }
        }
        self.set_up.store(true, Ordering::Release);
        kResultOk
    }

    unsafe fn process(&self, data: *mut ProcessData) -> tresult {
        if !self.set_up.load(Ordering::Acquire) {
            return kNotInitialized;
        }
        // SAFETY: handed on.
        unsafe { self.inner.process(data) }
    }

    hand_on! { IAudioProcessorTrait {
        canProcessSampleSize(size: int32) -> tresult;
        getLatencySamples() -> uint32;
        setProcessing(state: TBool) -> tresult;
        getTailSamples() -> uint32;
    } }
}

impl IEditControllerTrait for Component {
    unsafe fn getParamNormalized(&self, id: ParamID) -> ParamValue {
        // SAFETY: no pointers.
        let now = unsafe { self.inner.getParamNormalized(id) };
        let mut awaited = self.awaited.lock();
        awaited.retain(|one| one.id != id || one.before == now);
        let set = awaited.iter().find(|one| one.id == id);
        set.map_or(now, |one| one.value)
    }

    unsafe fn setParamNormalized(&self, id: ParamID, value: ParamValue) -> tresult {
        // SAFETY: no pointers. A switch or a step has fewer values than a number.
        let (result, before, value) = unsafe {
            let plain = self.inner.normalizedParamToPlain(id, value);
            (
                self.inner.setParamNormalized(id, value),
                self.inner.getParamNormalized(id),
                self.inner.plainParamToNormalized(id, plain),
            )
        };
        let mut awaited = self.awaited.lock();
        awaited.retain(|one| one.id != id);
        if result == kResultOk && before != value {
            awaited.push(Awaited { id, value, before });
        }
        result
    }

    unsafe fn createView(&self, name: FIDString) -> *mut IPlugView {
        // SAFETY: handed on; the view comes with a reference of its own.
        unsafe { view::wrap(self.inner.createView(name), &self.shared) }
    }

    hand_on! { IEditControllerTrait {
        setComponentState(state: *mut IBStream) -> tresult;
        setState(state: *mut IBStream) -> tresult;
        getState(state: *mut IBStream) -> tresult;
        getParameterCount() -> int32;
        getParameterInfo(index: int32, info: *mut ParameterInfo) -> tresult;
        getParamStringByValue(id: ParamID, value: ParamValue, string: *mut String128) -> tresult;
        getParamValueByString(id: ParamID, string: *mut TChar, value: *mut ParamValue) -> tresult;
        normalizedParamToPlain(id: ParamID, value: ParamValue) -> ParamValue;
        plainParamToNormalized(id: ParamID, value: ParamValue) -> ParamValue;
        setComponentHandler(handler: *mut IComponentHandler) -> tresult;
    } }
}

impl IMidiMappingTrait for Component {
    hand_on! { IMidiMappingTrait {
        getMidiControllerAssignment(bus: int32, channel: int16, controller: CtrlNumber, id: *mut ParamID) -> tresult;
    } }
}

impl INoteExpressionControllerTrait for Component {
    hand_on! { INoteExpressionControllerTrait {
        getNoteExpressionCount(bus: int32, channel: int16) -> int32;
        getNoteExpressionInfo(bus: int32, channel: int16, index: int32, info: *mut NoteExpressionTypeInfo) -> tresult;
        getNoteExpressionStringByValue(bus: int32, channel: int16, id: NoteExpressionTypeID, value: NoteExpressionValue, string: *mut String128) -> tresult;
        getNoteExpressionValueByString(bus: int32, channel: int16, id: NoteExpressionTypeID, string: *const TChar, value: *mut NoteExpressionValue) -> tresult;
    } }
}

impl IProcessContextRequirementsTrait for Component {
    hand_on! { IProcessContextRequirementsTrait {
        getProcessContextRequirements() -> uint32;
    } }
}

impl IUnitInfoTrait for Component {
    hand_on! { IUnitInfoTrait {
        getUnitCount() -> int32;
        getUnitInfo(index: int32, info: *mut UnitInfo) -> tresult;
        getProgramListCount() -> int32;
        getProgramListInfo(index: int32, info: *mut ProgramListInfo) -> tresult;
        getProgramName(list: ProgramListID, program: int32, name: *mut String128) -> tresult;
        getProgramInfo(list: ProgramListID, program: int32, attribute: CString, value: *mut String128) -> tresult;
        hasProgramPitchNames(list: ProgramListID, program: int32) -> tresult;
        getProgramPitchName(list: ProgramListID, program: int32, pitch: int16, name: *mut String128) -> tresult;
        getSelectedUnit() -> UnitID;
        selectUnit(unit: UnitID) -> tresult;
        getUnitByBus(media: MediaType, direction: BusDirection, bus: int32, channel: int32, unit: *mut UnitID) -> tresult;
        setUnitProgramData(list: int32, program: int32, data: *mut IBStream) -> tresult;
    } }
}

impl IInfoListenerTrait for Component {
    hand_on! { IInfoListenerTrait {
        setChannelContextInfos(list: *mut IAttributeList) -> tresult;
    } }
}

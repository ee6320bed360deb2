"""The kinds of component that a twin.toml may name."""

from collections.abc import Mapping
from typing import Any

from sim_devices.twin.component import Component
from sim_devices.twin.components.amplifier import Amplifier
from sim_devices.twin.components.clocks import (
    CoaxialCable,
    FrequencyDivider,
    OscilloscopeInput,
    ReferenceOscillator,
)
from sim_devices.twin.components.coherent_one_way import CowDecoder, PulseCarver
from sim_devices.twin.components.coherent_receiver import CoherentReceiver
from sim_devices.twin.components.delay_line import DelayLine
from sim_devices.twin.components.deployed_fibre import DeployedFibre
from sim_devices.twin.components.detection import PulseCombiner, SinglePhotonDetectors, TimeTagger
from sim_devices.twin.components.gated_detection import GatedDetectors
from sim_devices.twin.components.incoherent import Led, Transceiver
from sim_devices.twin.components.iq_modulator import IqModulator
from sim_devices.twin.components.modulators import IntensityModulator, PolarizationModulator
from sim_devices.twin.components.multicore_fibre import MulticoreFibre
from sim_devices.twin.components.optical_clock import ClockModulator, ClockReceiver, InjectionLockedLaser
from sim_devices.twin.components.optical_switch import OpticalSwitch
from sim_devices.twin.components.paddles import PaddleController
from sim_devices.twin.components.passive import (
    Attenuator,
    BandStopFilter,
    Coupler,
    OpticalFilter,
    PowerSensor,
    Splitter,
)
from sim_devices.twin.components.polarization_optics import PolarizationController, PolarizationDecoder
from sim_devices.twin.components.polarization_synthesizer import PolarizationSynthesizer
from sim_devices.twin.components.snspd import Snspd
from sim_devices.twin.components.sources import CwLaser, PulsedLaser, WaveformSource
from sim_devices.twin.components.three_state import ThreeStateDecoder

COMPONENTS: Mapping[str, type[Component[Any]]] = {
    "amplifier": Amplifier,
    "attenuator": Attenuator,
    "band_stop_filter": BandStopFilter,
    "clock_modulator": ClockModulator,
    "clock_receiver": ClockReceiver,
    "coaxial_cable": CoaxialCable,
    "coherent_receiver": CoherentReceiver,
    "coupler": Coupler,
    "cow_decoder": CowDecoder,
    "cw_laser": CwLaser,
    "delay_line": DelayLine,
    "deployed_fibre": DeployedFibre,
    "frequency_divider": FrequencyDivider,
    "injection_locked_laser": InjectionLockedLaser,
    "gated_detectors": GatedDetectors,
    "intensity_modulator": IntensityModulator,
    "iq_modulator": IqModulator,
    "led": Led,
    "multicore_fibre": MulticoreFibre,
    "optical_filter": OpticalFilter,
    "optical_switch": OpticalSwitch,
    "oscilloscope_input": OscilloscopeInput,
    "paddle_controller": PaddleController,
    "polarization_controller": PolarizationController,
    "polarization_decoder": PolarizationDecoder,
    "polarization_modulator": PolarizationModulator,
    "polarization_synthesizer": PolarizationSynthesizer,
    "power_sensor": PowerSensor,
    "pulse_carver": PulseCarver,
    "pulse_combiner": PulseCombiner,
    "pulsed_laser": PulsedLaser,
    "reference_oscillator": ReferenceOscillator,
    "single_photon_detectors": SinglePhotonDetectors,
    "snspd": Snspd,
    "splitter": Splitter,
    "three_state_decoder": ThreeStateDecoder,
    "time_tagger": TimeTagger,
    "transceiver": Transceiver,
    "waveform_source": WaveformSource,
}
"""Type name in twin.toml -> class."""

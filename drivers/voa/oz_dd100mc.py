"""OZ Optics DD-100-MC: motor-driven variable attenuator on a serial line, 9600 baud.

Reference: the command list of OZ Optics' DD-100-MC manual, as public drivers have it. Assumed: the blocking filter
stands within 0.05 dB of what it is sent to, and is there within 15 s.
"""

from drivers.oz_motor import HOMING_S, OzMotorInstrument
from drivers.voa import oz_dd100mc_codec as codec
from drivers.voa.attenuator import Settings
from qdci_lab.signals import Bounds, TaskStatus, controlled, measured

RESOLUTION_DB = 0.1


class OzDd100mc(OzMotorInstrument):
    """An attenuator without a shutter: its safe state is the highest attenuation.

    There is no command for its identity, so its configuration must do for one.
    """

    MODEL = "OZ Optics DD-100-MC"
    TERMINATOR = b"\r"
    MOTION_S = 15.0

    attenuation = controlled(
        lambda device: device.ask_position().attenuation_db,
        lambda device, attenuation_db: device.move(attenuation_db),
        "dB",
        precision=codec.DIGITS,
        limits=lambda device: device.attenuation_range_db,
        resolution=RESOLUTION_DB,
        kind="hinted",
    )
    motor_position = measured(None, "1", precision=0)
    insertion_loss = measured(lambda device: device.ask_insertion_loss(), "dB", precision=2, kind="config")

    attenuation_range_db: Bounds | None = None

    def identify(self) -> str:
        """The model, if the instrument has an attenuator's configuration."""
        self._note(self.ask(codec.configuration()))
        return self.MODEL

    def passing(self) -> Settings:
        """Nothing: light passes whatever the attenuation."""
        return ()

    def blocking(self) -> Settings:
        """The highest attenuation; another has to be set before light is to pass."""
        return ((self.attenuation, self.attenuation.limits[1]),)

    def home(self) -> TaskStatus:
        """Find the home sensor anew; the filter is then where the instrument leaves it after homing."""
        return self.submit(lambda _status: self._home(), name=f"{self.name}_home")

    def move(self, attenuation_db: float) -> None:
        """Move and wait until the motor has stopped; only the worker calls this."""
        self.ask(codec.set_attenuation(attenuation_db), within_s=self.MOTION_S)

    def ask_position(self) -> codec.Position:
        """Steps and attenuation; only the worker calls this."""
        position = self.ask(codec.position())
        self.motor_position.store(position.steps)
        return position

    def ask_insertion_loss(self) -> float:
        """The insertion loss in dB, which is also the lowest attenuation; only the worker calls this."""
        configuration = self.ask(codec.configuration())
        self._note(configuration)
        return configuration.insertion_loss_db

    def enter_safe_state(self) -> None:
        """The highest attenuation."""
        configuration = self.ask(codec.configuration())
        self._note(configuration)
        self.move(configuration.max_attenuation_db)
        self.attenuation.refresh()

    def _note(self, configuration: codec.Configuration) -> None:
        self.attenuation_range_db = (configuration.insertion_loss_db, configuration.max_attenuation_db)

    def _home(self) -> None:
        self.ask(codec.home(), within_s=HOMING_S)
        self.attenuation.refresh()

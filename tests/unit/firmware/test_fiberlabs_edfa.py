import pytest

from sim_devices.firmware.fiberlabs_edfa import FiberlabsEdfa
from sim_devices.twin.layout import ComponentSpec, Layout, Link, PortAddress
from sim_devices.twin.twin import Twin

AMPLIFIER = {"maximum_output_dbm": 23.0, "maximum_gain_db": 35.0, "noise_figure_db": 5.0}


@pytest.fixture
def twin():
    components = {
        "laser": ComponentSpec("cw_laser", {"maximum_power_dbm": 16.0}),
        "amplifier": ComponentSpec("amplifier", AMPLIFIER),
    }
    twin = Twin(Layout(1, components, (Link(PortAddress("laser", "out"), PortAddress("amplifier", "in")),)))
    twin.handle("laser").apply(emission_on=True, power_dbm=3.0)
    return twin


@pytest.fixture
def amplifier(twin):
    return twin.handle("amplifier")


@pytest.fixture
def line(amplifier):
    return FiberlabsEdfa({"amplifier": amplifier}, serial_number="E-1", max_output_power_dbm=20.0).session()


def ask(line, message: str) -> str:
    reply = line.feed(message.encode() + b"\r").decode()
    assert reply.endswith("\r")
    return reply[:-1]


def levels(line, monitor: str) -> list[str]:
    return ask(line, monitor).split(",")


def test_it_is_off_at_power_on(line, amplifier):
    assert ask(line, "ACTIVE") == "ACTIVE,0"
    assert amplifier.setting("emission_on") is False
    assert float(levels(line, "MONOUT")[0]) == -60.0
    assert float(levels(line, "MONIN")[0]) == pytest.approx(3.0, abs=0.02)


def test_constant_output_power(line):
    assert ask(line, "SETALC,1,17.5") == "SETALC,1,17.50"
    assert ask(line, "ACTIVE,1") == "ACTIVE,1"
    assert float(levels(line, "MONOUT")[0]) == pytest.approx(17.5, abs=0.02)
    assert levels(line, "MONOUT")[1:] == ["N/A"] * 3
    assert set(levels(line, "MONRET")) == {"N/A"}
    assert float(ask(line, "MONLDC,1")) > 100.0
    assert ask(line, "MONLDC") == ask(line, "MONLDC,1")


def test_constant_current_and_that_the_mode_switches_the_output_off(line, amplifier):
    ask(line, "ACTIVE,1")
    assert ask(line, "SETMOD,1,1") == "SETMOD,1,1"
    assert ask(line, "ACTIVE") == "ACTIVE,0"
    assert ask(line, "SETACC,1,300") == "SETACC,1,300"
    ask(line, "ACTIVE,1")
    assert ask(line, "MONLDC,1") == "300.0"
    assert (amplifier.setting("control"), amplifier.setting("pump_current_ma")) == ("ACC", 300.0)
    assert float(levels(line, "MONOUT")[0]) == pytest.approx(
        20.0, abs=0.05
    )  # 250 mA above threshold, 0.4 W/A


def test_settings_are_read_back_with_their_names(line):
    ask(line, "SETALC,1,12")
    assert ask(line, "SETALC,1") == "SETALC,1,12.00"
    assert ask(line, "setmod,1") == "SETMOD,1,0"
    assert ask(line, "SETACC , 1") == "SETACC,1,0"
    assert ask(line, "SAVEREF") == "SAVEREF"
    assert ask(line, "PRMACTV,1,0") == "PRMACTV,1,0"
    assert ask(line, "PRMACTV") == "PRMACTV,1,0"


@pytest.mark.parametrize(
    ("error", "messages"),
    [
        (
            "??ARG",
            [
                "SETALC,1,20.01",
                "SETALC,1,-11",
                "SETALC",
                "SETALC,1,x",
                "SETALC,1,nan",
                "SETALC,5,3",
                "SETALC,1,3,4",
            ],
        ),
        (
            "??ARG",
            ["SETACC,1,1001", "SETACC,1,-1", "SETMOD,1,2", "ACTIVE,2", "ACTIVE,True", "MONOUT,1", "MONLDC,0"],
        ),
        ("??ARG", ["ALMOUT", "ALMOUT,1,3", "ALMCTMP,1,2", "SETIL,7", "PRMACTV,1"]),
        ("??NODTCT", ["SETALC,2,3", "MONLDC,4", "ALMOUT,2", "SETMOD,3"]),
        ("??CMD", ["HELLO", "MONFOO,1", "*RST", "SETMODE,1"]),
        ("!!BUFOVFL", ["MONOUT" * 500]),
    ],
)
def test_errors_change_nothing(line, amplifier, error, messages):
    assert {ask(line, message) for message in messages} == {error}
    assert amplifier.setting("output_power_dbm") == 0.0
    assert ask(line, "ALMOUT,1") == "ALMOUT,1,-10.0,0,0.5"


def test_alarms_are_reported_while_enabled(line, twin):
    assert ask(line, "ALMSTAT") == "ALMSTAT,00"
    assert ask(line, "ALMIN,1,-5,1,0.5") == "ALMIN,1,-5.0,1,0.5"
    assert ask(line, "ALMCTMP,20,1,0.5") == "ALMCTMP,20.0,1,0.5"
    assert ask(line, "ALMSTAT") == "ALMSTAT,08"
    twin.handle("laser").apply(power_dbm=-6.0)
    assert ask(line, "ALMSTAT") == "ALMSTAT,0C"
    twin.handle("laser").apply(power_dbm=-4.8)
    assert ask(line, "ALMSTAT") == "ALMSTAT,0C"  # within the hysteresis
    twin.handle("laser").apply(power_dbm=-4.0)
    assert ask(line, "ALMSTAT") == "ALMSTAT,08"
    ask(line, "ALMCTMP,20,0,0.5")
    assert ask(line, "ALMSTAT") == "ALMSTAT,00"


def test_the_interlock_takes_the_output_away_with_the_input(line, twin, amplifier):
    for message in ("ALMIN,1,-5,1,0.5", "SETIL,1", "ACTIVE,1"):
        ask(line, message)
    twin.handle("laser").apply(emission_on=False)
    assert ask(line, "ACTIVE") == "ACTIVE,0"
    assert amplifier.setting("emission_on") is False
    assert ask(line, "ACTIVE,1") == "ACTIVE,0"
    ask(line, "PRMACTV,1,0")
    twin.handle("laser").apply(emission_on=True)
    assert ask(line, "ACTIVE") == "ACTIVE,1"


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_either_end_of_message(line, end):
    assert line.feed(b"MONCTMP" + end) == b"30.0" + end
    assert line.feed(b"MONLDT,1" + end + b"MONTEC" + end) == b"25.0" + end + b"150.0" + end


def test_identity(line):
    assert "E-1" in ask(line, "*IDN?")

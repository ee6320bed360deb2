"""The clock of the twin."""

import threading

from sim_devices.twin.lab_time import LabTime


def test_advances_and_never_goes_back():
    lab_time = LabTime()
    assert lab_time.advance_to(500) == 500
    assert lab_time.advance_to(100) == 500
    assert lab_time.advance_by(-7) == 500
    assert lab_time.advance_by(250) == 750
    assert lab_time.now_ps() == 750


def test_no_advance_is_lost_between_threads():
    lab_time = LabTime()

    def step() -> None:
        for _ in range(2000):
            lab_time.advance_by(3)

    threads = [threading.Thread(target=step) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lab_time.now_ps() == 4 * 2000 * 3

"""What Qiu et al. print of their link, for figures that show measured values beside published ones."""

from typing import NamedTuple

TESTBED = "qiu_cow_dci"


class Published(NamedTuple):
    """A mean and a standard deviation as printed."""

    mean: float
    deviation: float


class AttenuationPoint(NamedTuple):
    """One row of Table 3; the first is Table 2's, at no added loss, the last what section 3.2 says in words."""

    added_loss_db: float
    added_loss_error_db: float
    skr_bps: Published
    qber: Published | None


KEY_RATE_BPS = Published(2392.0, 126.0)
QBER = Published(0.0190, 0.0050)
VISIBILITY = Published(0.9912, 0.0016)
DETECTIONS = Published(18_199.0, 65.0)
"""Table 2; detections are taken as per second, the paper gives no unit."""

ATTENUATION_TEST = (
    AttenuationPoint(0.0, 0.0, KEY_RATE_BPS, QBER),
    AttenuationPoint(3.0, 0.2, Published(2303.0, 135.0), Published(0.0162, 0.0084)),
    AttenuationPoint(5.0, 0.2, Published(1730.0, 126.0), Published(0.0113, 0.0048)),
    AttenuationPoint(7.0, 0.2, Published(1473.0, 141.0), Published(0.0130, 0.0047)),
    AttenuationPoint(8.0, 0.4, Published(1016.0, 164.0), Published(0.0113, 0.0059)),
    AttenuationPoint(10.0, 0.4, Published(746.0, 110.0), Published(0.0119, 0.0066)),
    AttenuationPoint(12.0, 0.4, Published(0.0, 0.0), None),
)

"""What a Querier's codes mean to a host (RFC 9777 sections 5.1.8 and 5.1.9), for columns of them. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastmld.constants import LEAST_ROBUSTNESS, QUERY_INTERVAL_S


def query_intervals_s(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """(N,) Querier's Query Interval Codes as seconds; 0 is the default."""
    code = codes.astype(np.int64)
    return np.where(code < 0x80, np.where(code, code, QUERY_INTERVAL_S), (code & 0x0F | 0x10) << ((code >> 4 & 7) + 3))


def robustness_variables(flags: npt.NDArray[np.uint8], default: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(N,) of the octets that hold S and QRV: 0 leaves it to the host's default, and 1 is too little (section 9.1)."""
    robustness = flags & 7
    return np.maximum(LEAST_ROBUSTNESS, np.where(robustness, robustness, default)).astype(np.uint8)

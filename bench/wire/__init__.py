"""The wire: a veth pair between network namespaces, a generator at one end, and who is measured at the other."""

from fastmld_bench.wire.goals import measure as measure
from fastmld_bench.wire.namespace import Refused as Refused

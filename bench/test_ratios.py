"""What has to hold whatever the machine: the goals that are measured in memory, as `fastmld bench` measures them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastmld_bench import footprint, ratios, version2
from fastmld_bench.goals import BY_ID
from fastmld_bench.judgement import behind
from fastmld_bench.turns import Effort, Row, pinned

MEASURES = (
    ratios.engine_and_memcpy, ratios.classify_and_memcpy, ratios.query_that_finds_all_timers_running,
    ratios.worst_order, ratios.reports_built, ratios.peers, footprint.joining_a_million,
    version2.query_that_finds_an_answer_pending, version2.mix_and_source_queries, version2.memory_of_source_queries,
    version2.records_built, footprint.joining_a_million_in_mldv2,
)  # fmt: skip


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.__name__)
def test_what_must_be(measure: Callable[[Effort], list[Row]], capsys: pytest.CaptureFixture[str]) -> None:
    with pinned():
        rows = measure(Effort())
    with capsys.disabled():
        print("", *("; ".join(cell for cell in behind(row) if cell) for row in rows), sep="\n", end="")
    assert all(row["valid"] for row in rows)
    assert [row["id"] for row in rows if not BY_ID[row["id"]].holds(row["value"])] == []

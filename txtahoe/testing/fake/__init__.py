"""A gateway in memory, verified against a real one by the project's contract tests."""

from txtahoe.testing.fake.faults import (
    CutBody,
    Delay,
    EndMarker,
    ExceptionPage,
    Fault,
    LostAnswer,
    Silence,
    Status,
)
from txtahoe.testing.fake.gateway import FakeGateway, start_fake_gateway

__all__ = [
    "CutBody",
    "Delay",
    "EndMarker",
    "ExceptionPage",
    "FakeGateway",
    "Fault",
    "LostAnswer",
    "Silence",
    "Status",
    "start_fake_gateway",
]

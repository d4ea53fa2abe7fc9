"""Where Celery's messages are, for those who send them and those who take them."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def inbox(folder: Path) -> Path:
    """Where a message is taken from, perhaps before it is written to its end."""
    return folder / "inbox"


def outbox(folder: Path) -> Path:
    return folder / "outbox"


def configuration(folder: Path, messages: Path) -> dict[str, Any]:
    """That of an application which writes its `messages` there."""
    folders = {
        "data_folder_in": inbox(folder),
        "data_folder_out": messages,
        "control_folder": folder / "control",
    }
    results = folder / "results"
    for each in (*folders.values(), results):
        each.mkdir(parents=True, exist_ok=True)
    return {
        "broker_url": "filesystem://",
        "broker_transport_options": {
            **{name: str(each) for name, each in folders.items()},
            "polling_interval": 0.02,
        },
        "result_backend": results.as_uri(),
        # Seconds after which a task is said to be lost together with its process.
        "worker_lost_wait": 0.2,
    }

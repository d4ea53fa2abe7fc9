"""All cases."""

from __future__ import annotations

from tests.bench.carrying import (
    anchors,
    cap_urls,
    concurrent_cap_saves,
    more_anchors,
    sequential_cap_saves,
)
from tests.bench.case import Case
from tests.bench.keeping import (
    first_reads,
    saves,
    warm_answers,
    warm_large,
    warm_reads,
    warm_reads_of_tasks,
)
from tests.bench.large import download_of_large, upload_of_large
from tests.bench.maintaining import snapshot
from tests.bench.reading import (
    prefetch,
    questions_about_listed,
    questions_about_missing,
    reads_in_new_process,
    reads_of_listed,
    reads_of_saved,
    warm_url,
)
from tests.bench.saving import (
    batch,
    batch_into_new_directories,
    concurrent_saves,
    concurrent_saves_into_new_directories,
    sequential_saves,
)
from tests.bench.spooling import (
    concurrent_spooled_saves,
    large_spooled_saves,
    spooled_saves,
    upload_of_pending,
)
from tests.bench.statics import first_collectstatic, unchanged_collectstatic


def every_case(large_megabytes: int = 300) -> list[Case]:
    """All cases, with the sizes that the targets are for, in the order of the table."""
    return [
        sequential_saves(),
        concurrent_saves(),
        batch(),
        batch_into_new_directories(),
        concurrent_saves_into_new_directories(),
        reads_of_saved(),
        reads_of_listed(),
        reads_in_new_process(),
        questions_about_listed(),
        questions_about_missing(),
        prefetch(),
        warm_url(),
        first_collectstatic(),
        unchanged_collectstatic(),
        snapshot(),
        sequential_cap_saves(),
        concurrent_cap_saves(),
        cap_urls(),
        anchors(),
        more_anchors(),
        warm_reads(),
        warm_reads_of_tasks(),
        warm_answers(),
        warm_large(),
        first_reads(),
        saves(),
        saves(5, size=1000),
        spooled_saves(),
        large_spooled_saves(),
        concurrent_spooled_saves(),
        upload_of_pending(),
        upload_of_large(large_megabytes),
        download_of_large(large_megabytes),
    ]

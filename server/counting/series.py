"""Series: every family a server tells, where its numbers lie in a block, and their text.

Those of a version are told in our names and in Triton's, from the same numbers.

docs/metrics.md explains each of them; a test compares the two.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from server.counting import cache_counts
from server.counting.cells import Name
from server.counting.exposition import Count, Family, Histogram, Reckoned, Single, gently, labelled

SECONDS = (
    *(0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01),
    *(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
AGES = (1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400, 604_800, 2_592_000)  # a second to thirty days
DIFFERENCES = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 10)

ANSWERED, FILLED, MISSING, SHADOWED, DIFFERENT, SKIPPED, OF_JOBS = range(7)
REQUEST = Histogram("insitu_request_seconds", "A request, from its arrival to its answer", SECONDS, 7)
READ = Histogram("insitu_feature_read_seconds", "Reading the features of a request", SECONDS, REQUEST.end)
QUEUE = Histogram("insitu_queue_seconds", "Waiting of a request for its run", SECONDS, READ.end)
RUN = Histogram("insitu_run_seconds", "One run of a batch", SECONDS, QUEUE.end)
BATCH = Histogram("insitu_batch_rows", "Rows of one run", ROWS, RUN.end)
AGE = Histogram("insitu_feature_age_seconds", "Age of a feature that carries a time", AGES, BATCH.end)
DIFFERENCE = Histogram(
    "insitu_shadow_largest_difference", "Largest difference in a shadowed request", DIFFERENCES, AGE.end
)
TRIP = Histogram("insitu_redis_round_trip_seconds", "One round trip to Redis", SECONDS, 1)

# Requests that failed whole, and those that were answered without one good row. Then what batches took, for each
# request in them: making them, running them (for all but the first request: RUN has that), handing their answers
# out. When the last one was done, by time.monotonic, which is one clock for the whole machine.
FAILED, FAILED_SECONDS, UNANSWERED, UNANSWERED_SECONDS, MADE, SHARED, HANDED, LAST, END = range(
    DIFFERENCE.end, DIFFERENCE.end + 9
)
OF_SIZE, SIZE_MADE, SIZE_RAN, SIZE_HANDED, SIZE_END = range(
    5
)  # batches of one size, and what was spent on them

VERSION, BATCHES, FAULT, REDIS, LOADED, MEMORY = "version", "batches", "fault", "redis", "loaded", "memory"
RESET = "reset"  # what a version had counted when somebody began to count it anew, in parts a worker; no text tells it
USED = 4  # the numbers of `usage.Usage`
UP, IN_FLIGHT, JOBS, WORKERS, PENDING = "redis_up", "in_flight", "jobs", "workers", "pending"
CACHE, CACHE_BYTES = "model_cache", "model_cache_bytes"
SIZES = {
    VERSION: END,
    BATCHES: SIZE_END,
    REDIS: TRIP.end,
    RESET: USED,
    CACHE: cache_counts.END,
}  # cells of a block; of the others, one
# They describe a worker, and end with it.
PASSING = frozenset((LOADED, MEMORY, UP, IN_FLIGHT, JOBS, PENDING, CACHE_BYTES))
# Redis is there when it is there for everybody, and all workers look at one directory; the rest adds up.
TOGETHER: dict[str, np.ufunc] = {UP: np.minimum, CACHE_BYTES: np.maximum}

Values = Sequence[float]  # of the block of a version
Reckon = Callable[[Values], float]


def succeeded(values: Values) -> float:
    """Return how many requests were answered with at least one good row."""
    return REQUEST.count(values) - values[UNANSWERED]


def failed(values: Values) -> float:
    """Return how many requests got no good row."""
    return values[FAILED] + values[UNANSWERED]


def request_seconds(values: Values) -> float:
    """Return how long the requests took that succeeded."""
    return values[REQUEST.total] - values[UNANSWERED_SECONDS]


def failed_seconds(values: Values) -> float:
    """Return how long the requests took that failed."""
    return values[FAILED_SECONDS] + values[UNANSWERED_SECONDS]


def input_seconds(values: Values) -> float:
    """Return how long requests waited for their features, and for their batch to be made of them."""
    return values[READ.total] + values[MADE]


def infer_seconds(values: Values) -> float:
    """Return how long the batches ran that requests were part of, for each request."""
    return values[RUN.total] + values[SHARED]


def micro(seconds: Reckon) -> Reckon:
    """Return a time in whole microseconds."""
    return lambda values: round(1e6 * seconds(values))


TRITON: tuple[Family, ...] = (
    Reckoned("nv_inference_request_success", "Requests with at least one good row", succeeded),
    Reckoned("nv_inference_request_failure", "Requests without a good row", failed),
    Reckoned("nv_inference_count", "Rows that were run", lambda values: values[BATCH.total]),
    Reckoned("nv_inference_exec_count", "Batches that were run", RUN.count),
    Reckoned(
        "nv_inference_request_duration_us",
        "Time of requests that succeeded, together",
        micro(request_seconds),
    ),
    Reckoned(
        "nv_inference_queue_duration_us",
        "Waiting of requests for their run, together",
        micro(lambda values: values[QUEUE.total]),
    ),
    Reckoned(
        "nv_inference_compute_input_duration_us",
        "Reading features and making batches, for each request",
        micro(input_seconds),
    ),
    Reckoned(
        "nv_inference_compute_infer_duration_us",
        "Runs of batches, for each request in them",
        micro(infer_seconds),
    ),
    Reckoned(
        "nv_inference_compute_output_duration_us",
        "Handing out the answers of batches, for each request in them",
        micro(lambda values: values[HANDED]),
    ),
)

OF_VERSION = ("model", "version")
LABELS = {
    UP: (),
    IN_FLIGHT: (),
    JOBS: (),
    WORKERS: (),
    VERSION: OF_VERSION,
    FAULT: (*OF_VERSION, "code"),
    LOADED: (*OF_VERSION, "provider"),
    MEMORY: OF_VERSION,
    PENDING: OF_VERSION,
    REDIS: (),
    CACHE: (),
    CACHE_BYTES: (),
}
FAMILIES: dict[str, tuple[Family, ...]] = {
    UP: (Single("insitu_redis_up", "1 when Redis answers every worker", kind="gauge"),),
    IN_FLIGHT: (Single("insitu_requests_in_flight", "Requests without an answer yet", kind="gauge"),),
    JOBS: (
        Single("insitu_jobs_running", "Scoring jobs that a process of this server works on", kind="gauge"),
    ),
    WORKERS: (Single("insitu_workers", "Processes that answer", kind="gauge"),),
    VERSION: (
        Count("insitu_requests_total", "Requests answered", REQUEST),
        Single("insitu_rows_total", "Rows answered", ANSWERED),
        Single("insitu_rows_filled_total", "Rows with a value stood in for", FILLED),
        Single("insitu_rows_missing_total", "Rows refused for an absent key or field", MISSING),
        Single("insitu_shadow_rows_total", "Rows that a shadow answered too", SHADOWED),
        Single("insitu_shadow_different_rows_total", "Rows that a shadow answered otherwise", DIFFERENT),
        Single("insitu_shadow_skipped_rows_total", "Rows that a shadow was not asked for", SKIPPED),
        Single("insitu_job_rows_total", "Rows that scoring jobs looked at", OF_JOBS),
        *(REQUEST, READ, QUEUE, RUN, BATCH, AGE, DIFFERENCE),
        *TRITON,
    ),
    FAULT: (Single("insitu_errors_total", "Failed requests and rows"),),
    LOADED: (Single("insitu_model_loaded", "Workers that have a version loaded", kind="gauge"),),
    MEMORY: (Single("insitu_model_memory_bytes", "Memory of a version, estimated", kind="gauge"),),
    PENDING: (Single("nv_inference_pending_request_count", "Rows that wait for their run", kind="gauge"),),
    REDIS: (
        Count("insitu_redis_round_trips_total", "Pipelines sent to Redis", TRIP),
        Single("insitu_redis_commands_total", "Commands sent to Redis"),
        TRIP,
    ),
    CACHE: (
        Single("insitu_model_cache_hits_total", "Model files taken from the disk", cache_counts.HITS),
        Single("insitu_model_cache_misses_total", "Model files fetched from Redis", cache_counts.MISSES),
        Single(
            "insitu_model_cache_discarded_total",
            "Kept files that were damaged, and thrown away",
            cache_counts.DISCARDED,
        ),
    ),
    CACHE_BYTES: (
        Single("insitu_model_cache_bytes", "Bytes that the cache of models takes on disk", kind="gauge"),
    ),
}

Numbers = Iterable[tuple[Name, NDArray[np.float64]]]
Sums = dict[str, list[tuple[str, list[float]]]]  # kind of block -> labels as text, numbers of all workers


def told(name: Name) -> bool:
    """Whether the text has series of a block."""
    return name[0] in FAMILIES


def summed(numbers: Numbers) -> Sums:
    """Add the blocks of one name up, or put them together as TOGETHER says."""
    whole: dict[Name, NDArray[np.float64]] = {}
    for name, values in gently(numbers):
        if name not in whole:
            whole[name] = values
        else:
            TOGETHER.get(name[0], np.add)(whole[name], values, out=whole[name])
    sums: Sums = defaultdict(list)
    for name in gently(sorted(whole)):
        sums[name[0]].append((labelled(LABELS[name[0]], name[1:]), whole[name].tolist()))
    return sums


def pieces(numbers: Numbers) -> Iterator[str]:
    """Return the text of each family and series, blocks of one name added up."""
    sums = summed(numbers)
    for kind, families in FAMILIES.items():
        for family in families:
            yield family.head()
            for labels, values in sums.get(kind, ()):
                yield family.lines(labels, values)

"""Composition root of the core: every object is built once, for a server, a command or the process of a job.

settings -> Redis client -> store -> catalogue, reader -> predictor -> engine
"""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from models.connecting import connect
from models.keys import Keys
from models.store import ModelStore
from models.trust import Signing, Trust
from server.cores import Threads, again_seconds, busy_poll_seconds, threads_of
from server.inference.batch_limits import BatchLimits
from server.inference.blocks import Blocks
from server.inference.catalogue import Catalogue
from server.inference.engine import Engine, Limits, Parts
from server.inference.explaining.explainer import Bounds, Explainer
from server.inference.keeping.files import KeptFiles
from server.inference.keeping.identity import Identity
from server.inference.keeping.store import KeptStore
from server.inference.loading import Loader, LoadOptions
from server.inference.meanings import LOOK_UP_SECONDS
from server.inference.predictor import Predictor
from server.inference.reading.bulk import BulkReader
from server.inference.reading.reader import Reader
from server.inference.sessions import choose_provider
from server.inference.trials import Trials
from server.metrics import Metrics
from server.settings import ServerSettings

log = logging.getLogger(__name__)


def build_engine(
    settings: ServerSettings,
    shared: Path | None = None,
    trials: Trials | None = None,
    reply_seconds: float | None = None,
) -> Engine:
    """Build the core, counting in `shared` with other workers; nothing is connected or loaded yet.

    Without `trials` versions are tried as the settings say. Somebody waits for what a server asks Redis; a job that
    asks it for much has more time.

    Units:  reply_seconds, in which a reply of Redis to the store has to come; LOOK_UP_SECONDS where none are given.
    Raises: ProviderUnavailable; BadName for a Redis URL or prefix that is none; SigningNotInstalled.
    """
    metrics = Metrics(shared)
    store, kept = stores(settings, metrics, reply_seconds or LOOK_UP_SECONDS)
    threads = threads_of(settings)
    pool = ThreadPoolExecutor(threads.runs, thread_name_prefix="run")
    options = load_options(settings, threads)
    moment = options.moment
    trials = trials or Trials(settings.trial_memory_bytes, settings.trial_seconds)
    catalogue = Catalogue(store, Loader(store, trials, options, pool, metrics), kept)
    patience = settings.redis_timeout_ms / 1000
    reader = Reader(settings.redis_url, patience, metrics.pipeline, moment, busy_poll_seconds(settings))
    rows, timeout = settings.max_request_rows, settings.request_timeout_seconds
    predictor = Predictor(catalogue, reader, metrics, rows, timeout)
    parts = Parts(
        store=store,
        catalogue=catalogue,
        reader=reader,
        predictor=predictor,
        blocks=Blocks(BulkReader(settings.redis_url, patience, reader), rows, timeout),
        explainer=Explainer(catalogue, reader.ask, predictor, metrics, Bounds(rows, timeout)),
        metrics=metrics,
        trial=trials,
        pool=pool,
        moment=moment,
        shared=shared,
    )
    limits = Limits(
        rows,
        settings.max_body_bytes,
        settings.model_limit_bytes,
        timeout,
        options.batch,
        again_seconds(settings),
    )
    return Engine(parts, limits, settings.preload_models, settings.resync_seconds)


def stores(
    settings: ServerSettings, metrics: Metrics, reply_seconds: float
) -> tuple[ModelStore, KeptStore | None]:
    """Return the models in Redis; twice where what is fetched of them is kept.

    Raises: BadName; SigningNotInstalled.
    """
    signing = signing_of(settings)
    redis, keys = connect(settings.redis_url, reply_seconds), Keys(settings.prefix)
    if settings.model_cache is None:
        return ModelStore(redis, keys, signing=signing), None
    identity = Identity.of(settings.redis_url, settings.prefix)
    files = KeptFiles(settings.model_cache, settings.model_cache_bytes, identity)
    kept = KeptStore(redis, keys, files, metrics.model_cache, signing)
    return kept, kept


def signing_of(settings: ServerSettings) -> Signing:
    """Return whose signatures are asked of what is loaded.

    Raises: SigningNotInstalled.
    """
    trust = Trust.of(settings.trusted_keys)
    if trust is not None:
        log.info("loads only versions that are signed by one of the keys %s", trust)
    return Signing(trust=trust)


def load_options(settings: ServerSettings, threads: Threads) -> LoadOptions:
    """Return how versions are loaded.

    Raises: ProviderUnavailable.
    """
    wait = settings.max_batch_wait_ms / 1000
    provider = choose_provider(settings.provider)
    log.info("ONNX Runtime runs on %s", provider)
    return LoadOptions(
        provider=provider,
        intra_op_threads=threads.inside,
        memory_bytes=settings.model_memory_bytes,
        batch=BatchLimits(
            settings.max_batch_rows, settings.max_queue_rows, wait, default_priority=settings.default_priority
        ),
        run_threads=threads.runs,
    )

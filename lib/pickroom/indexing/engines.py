"""The engines: threads of this machine, or Ray Data on this one and others, by the address of a cluster.

Each thread reads, encodes and publishes batches of its own. While one thread decodes, another computes, so the forward
pass never waits for a picture. On a CPU each thread computes with its share of the cores: threads that wait for each
other at every layer would stall whenever a decoder takes one of their cores (docs/decisions/041). Ray's workers only
read and compute: rows come back to this process, which alone writes the store, so that a killed worker loses nothing.
"""

import logging
import os
import pickle
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar

from pickroom.core.errors import PickroomError, UsageError, require_extra
from pickroom.features.choice import Chosen, EncoderConfig
from pickroom.features.device import device_words, pick_device, usable_cores
from pickroom.features.encoder import EncoderSpec, Tower
from pickroom.features.reading import ImageSource
from pickroom.indexing.plan import IndexedRows, IndexTask, index_images

T = TypeVar("T")

# the images a batch began with, and what it came to; called by one thread at a time
Publish = Callable[[int, IndexedRows], None]


@dataclass(frozen=True, slots=True)
class EmbedConfig:
    """How to embed."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)  # which one
    batch: int = 16  # images one worker takes at a time: a kill costs at most one such batch a worker
    # threads (local) or processes (Ray); None is as many as the machine or the cluster bears
    workers: int | None = None
    previews: bool = True  # whether thumbnails may stand in for images they are large enough for
    engine: Literal["local", "ray"] = "local"  # "local", or "ray"
    address: str | None = None  # of a running Ray cluster; None starts one on this machine


def in_batches(items: Sequence[T], size: int, workers: int) -> list[Sequence[T]]:
    """Items in batches of at most `size`, smaller where there would be too few for every worker."""
    size = max(1, min(size, -(-len(items) // workers)))
    return [items[start : start + size] for start in range(0, len(items), size)]


R = TypeVar("R")
_MOST_WORKERS = 8  # more would wait for the disk, or for the GPU


class LocalEngine:
    """Threads of this process.

    Attributes:
        device: in words. batch: images a worker takes at a time; it is published before the worker takes the next one.
    """

    def __init__(self, chosen: Chosen, source: ImageSource, config: EmbedConfig) -> None:
        self._encoder, self._source = chosen.encoder(), source
        self.device = device_words(chosen.device)
        self.batch = config.batch
        self.workers = config.workers or min(_MOST_WORKERS, usable_cores())
        each = max(1, usable_cores() // self.workers)  # decoding and computing share the processor's cores
        self._sharing = partial(self._encoder.threads, each) if chosen.device == "cpu" else nullcontext

    def images(self, batches: Sequence[Sequence[IndexTask]], publish: Publish) -> None:
        """Do the tasks, in any order; raises the first error of any worker."""
        run(
            batches,
            lambda batch: index_images(self._encoder, self._source, batch),
            lambda batch, rows: publish(len(batch), rows),
            self.workers,
            self._sharing,
        )


def run(
    work: Sequence[T],
    do: Callable[[T], R],
    publish: Callable[[T, R], None],
    workers: int,
    sharing: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    """Do every batch of work and publish its result, in any order.

    The first exception stops all workers at the end of their batch, and is raised here; so does an interrupt.

    Args:
        publish: called from the workers, one at a time, before the worker takes its next batch.
        sharing: entered by each worker for as long as it works: it settles how many threads a forward pass has.
    """
    waiting = deque(work)
    stop, over, publishing = threading.Event(), threading.Event(), threading.Lock()

    def take_batches() -> None:
        with sharing():
            while not stop.is_set():
                try:
                    batch = waiting.popleft()
                except IndexError:
                    return
                result = do(batch)
                with publishing:
                    if not over.is_set():
                        publish(batch, result)

    try:
        # entered here, too: PyTorch hands the last number set to every thread made later
        with sharing(), ThreadPoolExecutor(workers, thread_name_prefix="embed") as pool:
            try:
                for future in as_completed([pool.submit(take_batches) for _ in range(min(workers, len(work)))]):
                    future.result()
            finally:
                stop.set()
    finally:
        # a second Ctrl-C does not wait for the workers: nothing of theirs may be written once this has returned
        with publishing:
            over.set()


_DOING = "embedding through Ray"
_STORE_BYTES = 512 << 20  # of a Ray started here: the weights once, and a few batches
_KNOCK_S = 5.0
_PATIENCE_S = 180  # for Ray's processes to start; its own 30 s are too few where other programs keep the cores busy
_STARTS, _SLOW = 2, "timed out during startup"
_TRIES = 3  # of a data set that Ray gives up
_ROWS, _NO_FOLDER = "rows", "no folder"


class RayWorker:
    """What runs in a process of Ray's: one encoder, kept from batch to batch. Rows travel pickled."""

    def __init__(self, tower: Any, spec: EncoderSpec, source: ImageSource) -> None:
        own = _fetched(tower)
        self._encoder = own.encoder(spec, pick_device(own.devices()))
        self._source = source

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        batch: list[Any] = pickle.loads(row["batch"])
        answer = {"number": row["number"], "host": socket.gethostname()}
        if not self._source.root.is_dir():
            return {**answer, "kind": _NO_FOLDER, "count": 0, "rows": b""}
        with self._encoder.threads(1):  # Ray gave it one core, unless it has a GPU
            rows = index_images(self._encoder, self._source, batch)
        return {**answer, "kind": _ROWS, "count": len(batch), "rows": pickle.dumps(rows)}


def _fetched(tower: Any) -> Tower:
    """The tower, out of Ray's object store."""
    import ray

    loaded: Tower = ray.get(tower)
    return loaded


class RayEngine:
    """Ray Data's workers, with the attributes of `LocalEngine`. Make it with `started_ray`."""

    def __init__(self, ray: Any, chosen: Chosen, source: ImageSource, config: EmbedConfig) -> None:
        resources = ray.cluster_resources()
        self._gpus = int(resources.get("GPU", 0))
        cores = int(resources.get("CPU", 1))
        self._ray, self._spec, self._source = ray, chosen.spec, source
        self._tower = ray.put(chosen.tower)
        self.batch = config.batch
        self.workers = config.workers or self._gpus or max(1, cores)
        machines = sum(node["Alive"] for node in ray.nodes())
        what = f"{self._gpus} GPUs" if self._gpus else f"{cores} cores"
        self.device = f"Ray: {self.workers} workers, {what}, {machines} machine{'s' * (machines != 1)}"
        if not config.address:
            self.device += f" ({device_words('cpu')})" if not self._gpus else ""

    def images(self, batches: Sequence[Sequence[IndexTask]], publish: Publish) -> None:
        """See `LocalEngine`."""
        waiting = dict(enumerate(batches))
        for left in reversed(range(_TRIES)):
            try:
                for result in self._results(waiting):
                    publish(int(result["count"]), pickle.loads(result["rows"]))
                    del waiting[int(result["number"])]
                return
            except self._ray.exceptions.RayError as error:
                # Ray Data restarts a worker that dies, but gives the whole data set up when, on a busy machine, the
                # new process is slow to come; only what was not published is asked for again
                if not left or isinstance(error.__cause__, PickroomError):
                    raise

    def _results(self, batches: Mapping[int, Sequence[IndexTask]]) -> Iterator[dict[str, Any]]:
        """What the workers answer, as it comes."""
        # a row of the data set, and a block of its own, is a batch: so it is done, lost and done again as one
        resource = {"num_gpus": 1} if self._gpus else {"num_cpus": 1}
        rows = [{"number": number, "batch": pickle.dumps(list(batch))} for number, batch in batches.items()]
        # one at a time: what a lost node has to be asked for again is then its own batch
        pool = self._ray.data.ActorPoolStrategy(size=min(self.workers, len(rows)), max_tasks_in_flight_per_actor=1)
        data = self._ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            RayWorker,
            fn_constructor_args=(self._tower, self._spec, self._source),
            compute=pool,
            **resource,
        )
        for result in data.iter_rows():
            if result["kind"] == _NO_FOLDER:
                raise UsageError(
                    f"machine {result['host']} does not see the image folder",
                    doing=_DOING,
                    subject=self._source.root,
                    hint="mount it at the same path on every machine of the cluster",
                )
            yield result


Engine = LocalEngine | RayEngine


@contextmanager
def started_ray(chosen: Chosen, source: ImageSource, config: EmbedConfig) -> Iterator[RayEngine]:
    """Join the cluster at `config.address`, or start Ray on this machine; a Ray started here ends with the work.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: no cluster answers, or a worker cannot do its work.
    """
    ray = _import()
    ours = not ray.is_initialized()
    try:
        if ours:
            _start(ray, config.address)
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        yield RayEngine(ray, chosen, source, config)
    except ray.exceptions.RayError as error:
        cause = error.__cause__ if isinstance(error.__cause__, PickroomError) else None
        first = cause.what if cause else (str(error) or type(error).__name__).strip().splitlines()[-1][:200]
        raise UsageError(
            f"a Ray worker failed ({first})",
            doing=_DOING,
            subject=config.address,
            hint="what was published is kept; run it again, or use --engine local",
        ) from error
    finally:
        if ours and ray.is_initialized():
            ray.shutdown()


def _import() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the machine unasked
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # stderr is the progress bar's; Ray keeps its own log
    os.environ.setdefault("RAY_raylet_start_wait_time_s", str(_PATIENCE_S))
    os.environ.setdefault("RAY_agent_register_timeout_ms", str(_PATIENCE_S * 1000))
    return require_extra("ray", _DOING, instead="use --engine local")


def _start(ray: Any, address: str | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address:
            _knock(address)
            ray.init(address=address, **quiet)
        else:
            _start_here(ray, quiet)
    except Exception as error:  # Ray raises almost anything, a bare Exception among them
        first = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise UsageError(
            f"no Ray cluster can be used ({first})",
            doing=_DOING,
            subject=address,
            hint="check --address (auto finds the cluster this machine is in), or leave it out; or use --engine local",
        ) from error


def _start_here(ray: Any, quiet: dict[str, Any]) -> None:
    """Start Ray on this machine; once again, should that have taken too long."""
    for left in reversed(range(_STARTS)):
        try:
            ray.init(
                address="local",
                num_cpus=usable_cores(),
                include_dashboard=False,
                object_store_memory=_STORE_BYTES,
                **quiet,
            )
            return
        except Exception as error:  # it has no type of its own for this
            if not left or _SLOW not in str(error):
                raise


def _knock(address: str) -> None:
    """See whether anything listens at host:port; Ray itself would wait for minutes. Raises OSError."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_KNOCK_S).close()

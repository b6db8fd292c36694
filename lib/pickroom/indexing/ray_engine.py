"""The engine of many machines: the same work through Ray Data, on this machine or on a cluster by its address.

Ray's workers only read and compute. Rows come back to this process, which alone writes the store; so a killed worker
loses nothing: Ray starts another one, which does its batch again.
"""

import logging
import os
import pickle
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pickroom.core.errors import PickroomError, UsageError, require_extra
from pickroom.features.choice import Chosen
from pickroom.features.device import device_words, pick_device, usable_cores
from pickroom.features.encoder import EncoderSpec, Tower
from pickroom.features.reading import ImageSource
from pickroom.indexing.engines import EmbedConfig, Publish, batch_size
from pickroom.indexing.plan import IndexTask, index_images

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
        with self._encoder.threads(1):  # Ray gave it one core, unless it has a GPU
            return self._embedded(row)

    def _embedded(self, row: dict[str, Any]) -> dict[str, Any]:
        batch: list[Any] = pickle.loads(row["batch"])
        answer = {"number": row["number"], "host": socket.gethostname()}
        if not self._source.root.is_dir():
            return {**answer, "kind": _NO_FOLDER, "count": 0, "rows": b""}
        rows = index_images(self._encoder, self._source, batch)
        return {**answer, "kind": _ROWS, "count": len(batch), "rows": pickle.dumps(rows)}


def _fetched(tower: Any) -> Tower:
    """The tower, out of Ray's object store."""
    import ray

    loaded: Tower = ray.get(tower)
    return loaded


class RayEngine:
    """Ray Data's workers (see `Engine`). Make it with `started`."""

    def __init__(self, ray: Any, chosen: Chosen, source: ImageSource, config: EmbedConfig) -> None:
        resources = ray.cluster_resources()
        self._gpus = int(resources.get("GPU", 0))
        cores = int(resources.get("CPU", 1))
        self._ray, self._spec, self._source = ray, chosen.spec, source
        self._tower = ray.put(chosen.tower)
        self.batch = batch_size(config, "cuda" if self._gpus else "cpu")
        self.workers = config.workers or self._gpus or max(1, cores)
        machines = sum(node["Alive"] for node in ray.nodes())
        what = f"{self._gpus} GPUs" if self._gpus else f"{cores} cores"
        self.device = f"Ray: {self.workers} workers, {what}, {machines} machine{'s' * (machines != 1)}"
        if not config.address:
            self.device += f" ({device_words('cpu')})" if not self._gpus else ""

    def images(self, batches: Sequence[Sequence[IndexTask]], publish: Publish) -> None:
        """See `Engine`."""
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
        data = self._ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            RayWorker,
            fn_constructor_args=(self._tower, self._spec, self._source),
            compute=self._ray.data.ActorPoolStrategy(size=min(self.workers, len(rows))),
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


@contextmanager
def started(chosen: Chosen, source: ImageSource, config: EmbedConfig) -> Iterator[RayEngine]:
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

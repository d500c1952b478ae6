"""The composition root: a spec becomes a record."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

from lightning_fabric import Fabric

from segrank.assemble import identify, make_fabric, resolve_device, resolve_precision
from segrank.data import open_dataset
from segrank.errors import SegrankError, SpecError, StoreError
from segrank.evaluate.score import evaluation_key
from segrank.progress import Reporter, Silent
from segrank.record import Record
from segrank.rescore import evaluate_run
from segrank.spec import RunSpec, key_of
from segrank.store import Attempt, Store
from segrank.train.session import Session

DEFAULT_STORE = "segrank-store"


def run(
    spec: RunSpec,
    *,
    store: str | os.PathLike[str] = DEFAULT_STORE,
    device: str = "auto",
    devices: int = 1,
    workers: int | None = None,
    micro_batch: int | None = None,
    checkpoint_every_s: float = 300.0,
    keep_weights: bool = True,
    reporter: Reporter | None = None,
) -> Record:
    """Do a run, or go on with one, or find it done.

    Everything but the spec says how to run, not what: it changes no key and no meaning.

    Args:
        spec: the run.
        store: the results folder.
        device: `auto`, `cpu` or `cuda`.
        devices: how many; several run DDP, one process each.
        workers: processes that read and augment; by default none on a CPU, else up to 8 a GPU.
        micro_batch: images per forward pass on one device; halved when memory runs out.
        checkpoint_every_s: at most this much work is lost when the process dies.
        keep_weights: without them a run cannot be evaluated again.
        reporter: where progress goes; nowhere by default.

    Returns:
        The record: `ok`, or `interrupted` after a signal, in which case the same call goes on.

    Raises:
        SegrankError: the run failed; the attempt's record holds the error too.
    """
    reporter = reporter or Silent()
    device = resolve_device(device)
    precision = resolve_precision(spec, device)
    if spec.batch_size % devices:
        raise SpecError(f"batch_size {spec.batch_size} does not divide among {devices} devices")
    dataset = open_dataset(spec.dataset)
    identity = identify(spec, dataset.split(spec.train_split), precision)
    key, results = key_of(identity), Store(store)

    fabric = make_fabric(device, devices, precision)
    fabric.launch()
    record = results.record(key)
    if record is not None and record.status == "ok":
        return _with_evaluation(record, spec, results, device, reporter)

    attempt = _begin(fabric, results, key, spec, reporter)
    record = Record(key=key, status="failed", spec=spec, identity=identity, precision=precision, attempt=attempt.token)
    with _stop_signals(reporter) as stop:
        session = Session(
            fabric,
            record,
            attempt,
            reporter,
            stop,
            workers=_default_workers(fabric) if workers is None else workers,
            micro_batch=micro_batch,
            checkpoint_every_s=checkpoint_every_s,
            keep_weights=keep_weights,
        )
        try:
            return session.go()
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            with contextlib.suppress(OSError):  # a full disk may not even take the record of the failure
                session.end("interrupted" if interrupted else "failed", None if interrupted else error)
            if isinstance(error, OSError):
                raise StoreError(f"run {key} stopped: {error}", fix="mend that; the same command goes on") from error
            raise


def _default_workers(fabric: Fabric) -> int:
    """On a CPU workers would only take cores from the training."""
    if fabric.device.type == "cpu":
        return 0
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, cpus // fabric.world_size)


def _begin(fabric: Fabric, store: Store, key: str, spec: RunSpec, reporter: Reporter) -> Attempt:
    """Rank 0 claims the run; all ranks get the same attempt, or the same error."""
    attempt: Attempt | None = None
    error: SegrankError | None = None
    if fabric.is_global_zero:
        try:
            attempt = store.begin(key, spec, notify=reporter.say)
        except SegrankError as caught:
            error = caught
    if fabric.world_size > 1:
        token, error = fabric.broadcast((attempt.token if attempt else "", error))
        if error is None and attempt is None:
            attempt = store.join(key, token)
    if attempt is None:
        assert error is not None
        raise error
    return attempt


def _with_evaluation(record: Record, spec: RunSpec, store: Store, device: str, reporter: Reporter) -> Record:
    """The finished run with the evaluation that this spec asks for, made now if nobody asked before."""
    name = spec.eval_dataset or spec.dataset
    split = open_dataset(name).split(spec.eval_split)
    key = evaluation_key(record.key, split.digest(), spec.eval_split, spec.score_precision, record.step, None)
    if key not in {evaluation.key for evaluation in record.evaluations}:
        evaluation = evaluate_run(
            store,
            record,
            dataset=name,
            split=spec.eval_split,
            precision=spec.score_precision,
            device=device,
            reporter=reporter,
        )
        record = record.model_copy(update={"evaluations": (*record.evaluations, evaluation)})
    return record.model_copy(update={"spec": spec, "final": key})


@contextlib.contextmanager
def _stop_signals(reporter: Reporter) -> Iterator[Callable[[], bool]]:
    """The first SIGINT or SIGTERM asks for a stop after the step; a second SIGINT stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def handle(number: int, _: object) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.set()
        reporter.say("stopping after this step; the same command will go on from there")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""The composition root: a spec becomes a record."""

from __future__ import annotations

import multiprocessing
import os

from segrank.assemble import check_devices, default_workers, make_fabric, resolve_device, resolve_precision
from segrank.encoders.reference import card_of_weights, encoder_digests
from segrank.encoders.whereabouts import whereabouts
from segrank.errors import ClaimError, DataError, SegrankError, SpecError, StoreError
from segrank.inputs import data_lines, identify, open_data
from segrank.progress import Reporter, Silent
from segrank.ranks import begin
from segrank.record import Record
from segrank.rescore import evaluate_run
from segrank.spec import RunSpec, key_of
from segrank.stop import stop_signals
from segrank.store import DEFAULT_STORE, Store
from segrank.train.session import How, Session


def run(
    spec: RunSpec,
    *,
    store: str | os.PathLike[str] = DEFAULT_STORE,
    root: str | os.PathLike[str] | None = None,
    device: str = "auto",
    devices: int = 1,
    workers: int | None = None,
    micro_batch: int | None = None,
    checkpoint_every_s: float = 300.0,
    keep_weights: bool = True,
    reporter: Reporter | None = None,
    key: str = "",
) -> Record:
    """Do a run, or go on with one, or find it done.

    Everything but the spec says how to run, not what: it changes no key and no meaning. A script that asks for
    workers or several devices needs the call under `if __name__ == "__main__":`.

    Args:
        spec: the run.
        store: the results folder.
        root: the folder with the archives of named datasets, or the same unpacked; by default $SEGRANK_DATA.
        device: `auto`, `cpu` or `cuda`.
        devices: how many; several run DDP, one process each.
        workers: processes that read and augment; by default none on a CPU, else up to 8 a GPU.
        micro_batch: images per forward pass on one device; halved when memory runs out.
        checkpoint_every_s: at most this much training is lost when the process dies.
        keep_weights: without them a run cannot be evaluated again.
        reporter: where progress goes; nowhere by default.
        key: what the run's key has to come to, where somebody has computed it elsewhere.

    Returns:
        The record: `ok`, or `interrupted` after a signal, in which case the same call goes on.

    Raises:
        SegrankError: the run failed; the attempt's record holds the error too.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SegrankError(
            "a process that prepares data has started this script again",
            fix='put the call under `if __name__ == "__main__":`, or use workers=0',
        )
    device = resolve_device(device)
    precision = resolve_precision(spec.precision, device)
    check_devices(spec.batch_size, device, devices)
    for name, value, least in (("workers", workers, 0), ("micro_batch", micro_batch, 1)):
        if value is not None and value < least:
            raise SpecError(f"{name} is {value}", wanted=f"at least {least}")
    if not checkpoint_every_s >= 0:
        raise SpecError(f"checkpoint_every_s is {checkpoint_every_s}", wanted="0 or more seconds")
    first = os.environ.get("LOCAL_RANK", "0") == "0"  # the others were started because there is something to train
    _look_for_weights(spec, reporter if first and reporter is not None else Silent())
    data = open_data(spec, root)
    identity = identify(spec, data.train_split, precision)
    expected, key, results = key, key_of(identity), Store(store)
    if expected not in ("", key):
        raise DataError(
            f"what this run reads here makes it run {key}, not {expected}",
            wanted="the data, weights and encoder that its study found where it was started",
            fix="copy them from there, or start the study here",
        )

    if first and results.published(key):
        return _finished(results, key, spec, root, device, reporter or Silent())
    fabric = make_fabric(device, devices, precision)
    fabric.launch()
    reporter = reporter if reporter is not None and fabric.is_global_zero else Silent()
    for line in data_lines(spec, data):
        reporter.say(line)
    attempt = begin(fabric, results, key, spec, reporter.say)
    if attempt is None:  # published while we waited for its owner
        return (
            _finished(results, key, spec, root, device, reporter) if fabric.is_global_zero else _published(results, key)
        )

    card = card_of_weights(spec.encoder, spec.weights)
    record = Record(
        key=key, status="failed", spec=spec, identity=identity, precision=precision, attempt=attempt.token,
        card=card.to_data() if card else None,
    )  # fmt: skip
    how = How(
        workers=default_workers(fabric) if workers is None else workers,
        micro_batch=micro_batch,
        checkpoint_every_s=checkpoint_every_s,
        keep_weights=keep_weights,
    )
    with stop_signals() as stop:
        session = Session(fabric, record, attempt, data, how, reporter, stop)
        try:
            return session.go()
        except BaseException as error:
            session.fail(error)
            if isinstance(error, ClaimError) and results.published(key):
                return _finished(results, key, spec, root, device, reporter)
            if isinstance(error, OSError):
                raise StoreError(f"run {key} stopped: {error}", fix="mend that; the same command goes on") from error
            raise


def _look_for_weights(spec: RunSpec, reporter: Reporter) -> None:
    """Before the data, which take longer to list.

    Weights of the hub that are not here are no error yet: they may be downloaded, and a finished run needs none.

    Raises:
        EncoderError: the spec names a file that is not there.
    """
    encoder_digests(spec.encoder, spec.weights)
    found = whereabouts(spec.encoder, spec.weights, ask_timm=True)
    if found.status == "missing":
        reporter.say(f"weights of {spec.encoder}: {found.found}. {found.advice}")


def _finished(
    store: Store, key: str, spec: RunSpec, root: str | os.PathLike[str] | None, device: str, reporter: Reporter
) -> Record:
    """The finished run, with the evaluation that this spec asks for, made now if nobody asked before."""
    store.tidy(key)
    evaluation = evaluate_run(
        store,
        _published(store, key).model_copy(update={"spec": spec}),  # its paths are the ones that were matched just now
        dataset=spec.eval_dataset or spec.dataset,
        split=spec.eval_split,
        precision=spec.score_precision,
        root=root,
        device=device,
        reporter=reporter,
    )
    return _published(store, key).model_copy(update={"spec": spec, "final": evaluation.key})


def _published(store: Store, key: str) -> Record:
    record = store.published(key)
    assert record is not None
    return record

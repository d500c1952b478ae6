"""A pretraining from spec to record: what `segrank.run` is to a run."""

from __future__ import annotations

import os

from segrank.assemble import check_devices, default_workers, make_fabric, resolve_device, resolve_precision
from segrank.data import open_dataset
from segrank.errors import DataError, StoreError
from segrank.pretrain.record import PretrainRecord
from segrank.pretrain.session import Session, published
from segrank.pretrain.spec import PretrainSpec, identity
from segrank.pretrain.store import PretrainStore
from segrank.progress import Reporter, Silent
from segrank.ranks import begin
from segrank.spec import key_of
from segrank.stop import stop_signals
from segrank.store import DEFAULT_STORE


def pretrain(
    spec: PretrainSpec,
    *,
    store: str | os.PathLike[str] = DEFAULT_STORE,
    root: str | os.PathLike[str] | None = None,
    device: str = "auto",
    devices: int = 1,
    workers: int | None = None,
    checkpoint_every_s: float = 120.0,
    reporter: Reporter | None = None,
    key: str = "",
) -> PretrainRecord:
    """Do a pretraining, or go on with one, or find it done.

    Args:
        spec: the pretraining.
        store: the results folder.
        root, device, devices, workers, checkpoint_every_s, reporter, key: as for `segrank.run`.

    Returns:
        The record: `ok`, or `interrupted` after a signal, in which case the same call goes on.

    Raises:
        SegrankError: it failed; the attempt's record holds the error too.
    """
    device = resolve_device(device)
    precision = resolve_precision(spec.precision, device)
    check_devices(spec.batch_size, device, devices)
    dataset = open_dataset(spec.dataset, root)
    split = dataset.split(spec.split)
    identified = identity(spec, split.digest(), precision)
    expected, key, results = key, key_of(identified), PretrainStore(store)
    if expected not in ("", key):
        raise DataError(
            f"what this pretraining reads here makes it {key}, not {expected}",
            wanted="the images that its study found where it was started",
            fix="copy them from there, or start the study here",
        )
    if found := results.published(key):
        results.tidy(key)
        return found
    fabric = make_fabric(device, devices, precision)
    fabric.launch()
    reporter = reporter if reporter is not None and fabric.is_global_zero else Silent()
    attempt = begin(fabric, results, key, spec, reporter.say)
    if attempt is None:  # published while we waited for its owner
        return published(results, key)
    record = PretrainRecord(
        key=key, name=spec.called, status="failed", spec=spec, precision=precision, identity=identified,
        images=len(split), attempt=attempt.token,
    )  # fmt: skip
    workers = default_workers(fabric) if workers is None else workers
    with stop_signals() as stop:
        session = Session(fabric, record, attempt, dataset, split, workers, checkpoint_every_s, reporter, stop)
        try:
            return session.go()
        except BaseException as error:
            session.fail(error)
            if isinstance(error, OSError):
                raise StoreError(f"pretraining {key} stopped: {error}", fix="the same command goes on") from error
            raise

"""Why a new encoder cannot be placed among the others: no protocol is shared. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from segrank.errors import RankingError
from segrank.ranking.comparable import Block
from segrank.ranking.refusal import leading
from segrank.ranking.results import Results
from segrank.ranking.where import cut
from segrank.spec import RunSpec


def value_of(block: Block, field: str) -> str:
    """Of a field of the protocol, or of the name of something that is there by its digest."""
    return block.protocol[field] if field in block.protocol else str(block.rows[field][0])


def no_shared_protocol(results: Results, new: str, mine: Sequence[Block], others: Sequence[Block]) -> RankingError:
    """The protocol of the others that differs in the fewest fields, and in which."""
    if not others:
        return RankingError(
            f"{results.source} has no other encoder than {new} with a score",
            wanted="known encoders to place it among",
        )
    nearest: tuple[list[str], Block, Block] | None = None
    for own in mine:
        for other in others:
            differing = [name for name in results.protocol if own.protocol[name] != other.protocol[name]]
            fields = leading(results, pl.concat([own.rows, other.rows]), differing)
            if nearest is None or len(fields) < len(nearest[0]):
                nearest = fields, own, other
    assert nearest is not None
    fields, own, other = nearest
    values = {name: value_of(other, name) for name in fields}
    lines = [f"{name}: {cut(value_of(own, name))}, theirs {cut(value)}" for name, value in values.items()]
    count = other.rows["label"].n_unique()
    settable = all(name in RunSpec.model_fields for name in fields) and results.store is not None
    return RankingError(
        f"{new} was run under another protocol than every other encoder; nearest {'is' if count == 1 else 'are'} "
        f"{count} encoder{'s' * (count > 1)}, from which it differs in\n  " + "\n  ".join(lines),
        wanted=f"a run of {new} that agrees with theirs in all but the encoder and the seed",
        fix=f"run it with {' '.join(f'--set {name}={value}' for name, value in values.items())}"
        if settable
        else "run or score it as they were",
    )

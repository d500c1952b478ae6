from pathlib import Path

import pytest
from synthetic_store import CLASSES, add_run, confusions, evaluation_of

from segrank.counts import CONFUSION, counts_table, scores
from segrank.ranking.leaderboard import Options
from segrank.ranking.learning_curves import learning_curves
from segrank.ranking.settings import settings_or_one
from segrank.ranking.table import results_of
from segrank.store import Store


def test_curves_end_on_the_images_that_they_began_with(tmp_path: Path) -> None:
    store = Store(tmp_path)
    expected: dict[tuple[str, float], list[float]] = {}
    for name, final in {"a": 0.9, "b": 0.6}.items():
        for seed in range(2):
            run = add_run(store, name, final, seed=seed)
            for step in (50, 75):
                if (name, seed, step) == ("b", 1, 50):
                    continue  # one seed of two: no point of the mean
                made = confusions(final - 0.2, f"{name}{seed}{step}", images=6)
                spec = store.published(run).spec  # type: ignore[union-attr]
                evaluation = evaluation_of(run, made, spec=spec, split="val", step=step, final=False)
                names = [f"val/{number:03}" for number in range(6)]
                store.add_evaluation(evaluation, counts_table(names, [{CONFUSION: matrix} for matrix in made]))
                expected.setdefault((name, step / 100), []).append(evaluation.scores.miou)
            whole = confusions(final, f"{name}{seed}")
            expected.setdefault((name, 1.0), []).append(scores(whole[:6].sum(axis=0), CLASSES).miou)
    (setting,), _ = settings_or_one(results_of(store), metric="", where=(), across=(), options=Options(resamples=100))
    found = learning_curves(results_of(store, final=False), setting)
    assert found.select("progress", "seeds", "images").rows() == [
        (0.5, 2, 6), (0.75, 2, 6), (1.0, 2, 6), (0.75, 2, 6), (1.0, 2, 6)
    ]  # fmt: skip
    of = dict(zip(("a", "b"), found["encoder"].unique(maintain_order=True), strict=True))
    for (name, progress), mious in expected.items():
        if len(mious) == 2:
            (mean,) = found.filter(encoder=of[name], progress=progress)["score"]
            assert mean == pytest.approx(sum(mious) / 2)

"""Effects in simulated studies of known truth: noise only, one effect, one step, one interaction, one confound."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from synthetic_store import add_run

from segrank.cards import CARDS
from segrank.errors import RankingError
from segrank.ranking.effect import Effect, corrected, group_effect, shift_effect
from segrank.ranking.effects import Effects, effects
from segrank.ranking.effects_words import effects_answer, effects_remarks
from segrank.ranking.leaderboard import Options
from segrank.ranking.results_file import read_results_file
from segrank.ranking.setting_contrasts import additivity
from segrank.ranking.table import results_of
from segrank.store import Store

FAST = Options(resamples=200)
PAPER = {name: card for name, card in CARDS.items() if card.in_paper and card.size == "base"}


def of_text(folder: Path, text: str, **given: object) -> Effects:
    path = folder / "results.csv"
    path.write_text(text)
    return effects(read_results_file(path), options=FAST, **given)  # type: ignore[arg-type]


def table(scores: Mapping[str, float], noise: float = 0.0, seed: int = 0) -> str:
    random = np.random.default_rng(seed)
    rows = [f"{name},{score + noise * random.standard_normal():.6f}" for name, score in scores.items()]
    return "encoder,miou\n" + "\n".join(rows) + "\n"


def named(found: Effects, name: str, response: str = "score") -> Effect:
    return next(effect for effect in found.effects if (effect.name, effect.response) == (name, response))


def test_two_groups_have_the_t_interval_of_scipy() -> None:
    values = {"a": 0.3, "b": 0.5, "c": 0.45, "d": 0.8, "e": 0.75, "f": 0.7}
    levels = {name: "no" if name in "abc" else "yes" for name in values}
    effect = group_effect("x", "card", "score", values, levels)
    theirs = stats.ttest_ind([0.8, 0.75, 0.7], [0.3, 0.5, 0.45])
    (contrast,) = effect.contrasts
    assert contrast.name == "yes - no"
    assert contrast.value == pytest.approx(np.mean([0.8, 0.75, 0.7]) - np.mean([0.3, 0.5, 0.45]))
    assert contrast.interval == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert effect.test.p_value == 2 / 20


def test_differences_have_the_paired_t_interval_of_scipy() -> None:
    moved = {"a": 0.1, "b": 0.3, "c": 0.2, "d": 0.15}
    (contrast,) = shift_effect("freeze", "setting", "score", "true - false", moved).contrasts
    theirs = stats.ttest_1samp(list(moved.values()), 0).confidence_interval(0.95)
    assert contrast.interval == pytest.approx(tuple(theirs))


def test_what_no_scores_could_show_is_said_to_be_so() -> None:
    one_of_ten = {f"e{number}": "yes" if number == 0 else "no" for number in range(10)}
    values = {name: 9.0 * (level == "yes") + index / 10 for index, (name, level) in enumerate(one_of_ten.items())}
    half = {name: "yes" if number < 5 else "no" for number, name in enumerate(one_of_ten)}
    never, open_ = corrected(
        [
            group_effect("never", "card", "score", values, one_of_ten),
            group_effect("open", "card", "score", values, half),
        ]
    )
    assert (never.verdict, never.test.smallest) == ("cannot be shown", 0.1)
    assert open_.verdict == "not shown"


def test_the_share_of_ranks_that_encoders_explain_is_kendalls_w() -> None:
    ranks = stats.rankdata(np.random.default_rng(2).standard_normal((4, 7)), axis=1)
    found = additivity(ranks)
    assert found is not None
    sums = ranks.sum(axis=0)
    w = 12 * ((sums - sums.mean()) ** 2).sum() / (4**2 * (7**3 - 7))
    assert found.encoders == pytest.approx(w)
    assert found.settings == pytest.approx(0)
    assert found.encoders + found.settings + found.rest == pytest.approx(1)


def test_abstract_targets_are_found_where_they_make_the_difference(tmp_path: Path) -> None:
    scores = {name: 0.40 + 0.1 * (card.mim == "abstract") for name, card in PAPER.items()}
    found = of_text(tmp_path, table(scores, noise=0.005), factors=["abstract"])
    effect = named(found, "masked image modelling of abstract targets")
    assert effect.verdict == "shown"
    assert effect.test.permutations == 210  # 4 of 10
    assert effect.contrasts[0].interval is not None
    assert effect.contrasts[0].interval[0] < 0.1 < effect.contrasts[0].interval[1]
    assert effects_answer(found).startswith("1 of 1 effects on mIoU hold among 10 families of encoders: masked image")


def test_of_noise_nothing_is_claimed(tmp_path: Path) -> None:
    claimed = 0
    for seed in range(6):
        found = of_text(tmp_path, table(dict.fromkeys(PAPER, 0.4), noise=0.02, seed=seed))
        claimed += any(effect.verdict == "shown" and effect.response == "score" for effect in found.effects)
    assert claimed <= 1  # 5 % of 6 and two standard deviations
    said = "\n".join(effects_remarks(found))
    assert "promptable segmentation (10 permutations: p is 0.1 at best)" in said
    assert "Whether that is more than noise cannot be told" not in effects_answer(found)
    assert "none is told to have helped or hurt" in effects_answer(found)
    assert {step.verdict for step in found.steps} == {"unknown"}


def test_an_effect_that_is_a_confound_is_said_to_be_inseparable(tmp_path: Path) -> None:
    rows = [("a", 0.5, 86), ("b", 0.52, 86), ("c", 0.51, 87), ("d", 0.6, 304), ("e", 0.62, 303), ("f", 0.61, 300)]
    lines = [f"{name},{score},{size},{'yes' if size > 100 else 'no'}" for name, score, size in rows]
    text = "\n".join(["encoder,miou,parameters_m,video", *lines])
    found = of_text(tmp_path, text, factors=["video"])
    (pair,) = found.entangled
    assert (pair.separated, pair.inseparable, pair.beside) == (True, True, None)
    said = "\n".join(effects_remarks(found))
    assert "Video cannot be separated from parameters (millions) (groups do not overlap in it)." in said
    (association,) = found.associations
    sizes, scores = [size for *_, size in rows], [score for _, score, _ in rows]
    assert association.correlation == pytest.approx(stats.spearmanr(sizes, scores).statistic)


def test_an_effect_beside_a_confound_is_that_of_least_squares(tmp_path: Path) -> None:
    sizes, kinds = [10, 20, 30, 40, 50, 60], ["no", "yes", "no", "yes", "no", "yes"]
    lines = [
        f"e{at},{0.3 + 0.01 * at + 0.2 * (kind == 'yes')},{size},{kind}"
        for at, (size, kind) in enumerate(zip(sizes, kinds, strict=True))
    ]
    found = of_text(tmp_path, "\n".join(["encoder,miou,parameters_m,kind", *lines]), factors=["kind"])
    (pair,) = found.entangled
    assert pair.beside is not None
    assert pair.beside.value == pytest.approx(0.2)  # and not 0.21, which the sizes add to


def test_a_setting_and_its_interaction_with_pretraining(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    lines = ["encoder,freeze,miou"]
    for name, card in PAPER.items():
        score = 0.45 + 0.05 * random.random()
        falls = 0.05 + 0.10 * (card.mim == "pixels" or card.mim == "abstract") + 0.002 * random.standard_normal()
        lines += [f"{name},false,{score:.6f}", f"{name},true,{score - falls:.6f}"]
    found = of_text(tmp_path, "\n".join(lines), across=["freeze"], factors=["mim"])
    freeze = named(found, "freeze")
    assert (freeze.contrasts[0].name, freeze.verdict) == ("true - false", "shown")
    assert freeze.test.p_value == 2 / 2**10  # all fell
    both = named(found, "freeze (true - false) x masked image modelling")
    assert (both.kind, both.verdict) == ("interaction", "shown")
    assert both.contrasts[0].value == pytest.approx(-0.1, abs=0.01)
    assert named(found, "masked image modelling").kind == "card"
    assert "Nothing is known of the noise" not in (said := "\n".join(effects_remarks(found)))
    assert "nothing is known of the noise" in said


def test_two_fields_interact_only_where_all_four_combinations_are_there(tmp_path: Path) -> None:
    lines = ["encoder,freeze,patch_size,miou"]
    random = np.random.default_rng(1)
    for name in "abcdefgh":
        base = random.random() / 10
        for freeze, patch, plus in (("false", 16, 0.5), ("true", 16, 0.3), ("false", 8, 0.6), ("true", 8, 0.55)):
            lines.append(f"{name},{freeze},{patch},{base + plus + 0.001 * random.standard_normal():.6f}")
    found = of_text(tmp_path, "\n".join(lines), across=["freeze", "patch_size"])
    by_name = {(e.name, e.contrasts[0].name): e for e in found.effects if e.response == "score"}
    assert by_name["freeze", "true - false"].contrasts[0].value == pytest.approx(-0.125, abs=0.002)
    assert by_name["patch_size", "8 - 16"].contrasts[0].value == pytest.approx(0.175, abs=0.002)
    (both,) = [effect for (name, _), effect in by_name.items() if " x " in name]
    assert abs(both.contrasts[0].value) == pytest.approx(0.15, abs=0.002)
    without = [line for line in lines if ",true,8," not in line]
    short = of_text(tmp_path, "\n".join(without), across=["freeze", "patch_size"])
    assert not [effect for effect in short.effects if " x " in effect.name]
    assert any(" x " in name for name in short.untested)


def test_a_step_is_judged_on_the_same_images_and_seeds(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name, accuracy in (("mae-base", 0.8), ("sam-base", 0.6), ("dinov2-base", 0.85)):
        for seed in range(3):
            add_run(store, CARDS[name].reference, accuracy, weights="pretrained", seed=seed)
    add_run(store, CARDS["mae-base"].reference, 0.2)
    found = effects(results_of(store), options=FAST)
    (step,) = found.steps
    assert (step.lineage.child, step.lineage.parent, step.verdict) == ("sam-base", "mae-base", "hurt")
    assert step.covers == ("seeds", "images")
    assert len(step.runs) == 6
    assert "sam-base lost to mae-base" in effects_answer(found)


def test_random_weights_and_families_count_as_they_should(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in ("dinov2-small", "dinov2-base", "mae-base", "sam-base", "siglip-base"):
        add_run(store, CARDS[name].reference, 0.5 + len(name) / 100, weights="pretrained")
    add_run(store, CARDS["mae-base"].reference, 0.2, weights="random")
    found = effects(results_of(store), options=FAST)
    assert len(found.units.names) == 4
    assert found.units.random == ("mae-base-random",)
    assert "encoders of one family count once" in "\n".join(found.notes)
    score = dict(zip(found.settings[0].of.encoders, found.settings[0].of.value, strict=True))
    at = found.units.names.index("DINOv2")
    assert found.units.scores[0, at] == pytest.approx((score["dinov2-small"] + score["dinov2-base"]) / 2)


def test_factors_that_split_the_encoders_alike_are_said_to_be_one(tmp_path: Path) -> None:
    lines = ["encoder,one,two,three,miou", *(f"e{n},{n % 2},{'ab'[n % 2]},{n // 3},{n % 2 + n / 10}" for n in range(6))]
    found = of_text(tmp_path, "\n".join(lines), factors=["one", "two", "three"])
    assert found.same_split == (("one", "two"),)
    assert "One and two put the encoders into the same groups" in "\n".join(effects_remarks(found))
    assert not any(note.startswith("columns not looked at") for note in found.notes)


def test_an_unknown_factor_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RankingError, match="mim_target"):
        of_text(tmp_path, "encoder,miou\na,1\nb,2\n", factors=["mim_targets"])


def test_hostile_tables(tmp_path: Path) -> None:
    for text in (
        "encoder,miou\na,1\n",
        "encoder,miou\na,1\nb,1\nc,1\n",
        "encoder,miou\ndinov2-base,0.5\nmae-base,0.5\nsam-base,0.5\nsiglip-base,0.5\nclip-base,0.5\n",
    ):
        assert "effect" in effects_answer(of_text(tmp_path, text)).lower()

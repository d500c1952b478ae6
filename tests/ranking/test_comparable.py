"""What may be ranked together, and what refusals say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from synthetic_store import add_run, confusions, evaluation_of

from segrank.counts import CONFUSION, counts_table
from segrank.errors import RankingError
from segrank.ranking.comparable import Block, comparable, complete
from segrank.ranking.results import Results
from segrank.ranking.results_file import read_results_file
from segrank.ranking.table import results_of
from segrank.spec import RunSpec
from segrank.store import Store

Table = Callable[[str], Results]


def blocks_of(results: Results, where: Sequence[str] = (), across: Sequence[str] = ()) -> tuple[Block, ...]:
    return comparable(results, results.metric(), where=where, across=across)[0]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    def make(text: str) -> Results:
        path = tmp_path / "results.csv"
        path.write_text(text.strip().replace(" ", "") + "\n")
        return read_results_file(path)

    return make


def runs(blocks: Sequence[Block]) -> dict[str, list[str]]:
    return {block.name: sorted(block.rows["label"].to_list()) for block in blocks}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Two encoders frozen, three not, with another lr; all also scored at dusk, one spoilt."""
    store = Store(tmp_path_factory.mktemp("mixed"))
    for name in "ab":
        add_run(store, name, freeze=True, lr=1e-3, splits=("val", "dusk"))
    for name in "abc":
        key = add_run(store, name, splits=("val", "dusk"))
    counts = confusions(0.5)
    spec = RunSpec(encoder="small:c", dataset="scenes", steps=100)
    spoilt = evaluation_of(key, counts, spec=spec, split="val", corruption="jpeg", severity=1)
    store.add_evaluation(spoilt, counts_table(map(str, range(12)), [{CONFUSION: m} for m in counts]))
    return results_of(store)


def test_a_refusal_names_the_fields_their_values_and_what_would_choose(mixed: Results) -> None:
    with pytest.raises(RankingError) as caught:
        blocks_of(mixed)
    for text in (
        "freeze: false, true",
        "lr: 0.0001, 0.001",
        "--where freeze=false  (3 encoders)",
        "--where freeze=true  (2 encoders)",
        "--across freeze --across lr",
    ):
        assert text in str(caught.value)
    assert "dusk" not in str(caught.value)
    assert [block.rows.height for block in blocks_of(mixed, ["freeze=true"])] == [2]
    assert [block.rows.height for block in blocks_of(mixed, ["lr=1e-4"])] == [3]


def test_the_evaluation_that_the_spec_asks_for_unless_another_is_named(mixed: Results) -> None:
    (block,), left_out = comparable(mixed, mixed.metric(), where=["freeze=false"])
    assert block.rows["eval_split"].to_list() == ["val"] * 3
    assert "4 further evaluations are left out (eval_split dusk; corruption jpeg)" in left_out
    (dusk,) = blocks_of(mixed, ["freeze=false", "eval_split=dusk"])
    assert dusk.rows["eval_split"].to_list() == ["dusk"] * 3
    both = blocks_of(mixed, ["freeze=false"], ["eval_split"])
    assert [block.name for block in both] == ["dusk", "val"]
    (jpeg,) = blocks_of(mixed, ["corruption=jpeg"])
    assert jpeg.rows.height == 1
    assert jpeg.without_score["status"].unique().to_list() == ["not scored here"]


def test_data_is_told_apart_by_its_digest_and_called_by_its_name(tmp_path: Path) -> None:
    store = Store(tmp_path)
    add_run(store, "a", dataset="here/d.yaml", digests={"dataset": "sha256:1"})
    add_run(store, "b", dataset="d.yaml", digests={"dataset": "sha256:1"})
    add_run(store, "c", dataset="d.yaml", digests={"dataset": "sha256:2"})
    results = results_of(store)
    with pytest.raises(RankingError, match=r"train_digest: sha256:1, sha256:2"):
        blocks_of(results, ["dataset=d.yaml"])
    with pytest.raises(RankingError, match=r"train_digest: sha256:1, sha256:2"):
        blocks_of(results, across=["dataset"])
    add_run(store, "d", dataset="other.yaml", digests={"dataset": "sha256:3"})
    with pytest.raises(
        RankingError, match=r"dataset: d.yaml, other.yaml\n  eval_d|dataset: d.yaml, other.yaml\nwanted"
    ):
        blocks_of(results_of(store), ["encoder!=small:c", "encoder!=small:a"])
    assert runs(blocks_of(results_of(store), ["encoder!=small:c", "encoder!=small:a"], ["dataset"])) == {
        "d.yaml": ["small:b with random weights"],
        "other.yaml": ["small:d with random weights"],
    }


def test_runs_without_a_score_stay_with_their_protocol(tmp_path: Path) -> None:
    store = Store(tmp_path)
    add_run(store, "a")
    add_run(store, "b", status="failed")
    add_run(store, "c", status=None)
    add_run(store, "d", status="failed", freeze=True)
    add_run(store, "e", splits=("dusk",))
    (block,) = blocks_of(results_of(store), ["eval_split=val"])
    assert block.without_score.select("encoder", "status").sort("encoder").rows() == [
        ("small:b", "failed"), ("small:c", "begun"), ("small:e", "not scored here"),
    ]  # fmt: skip


def test_rows_of_a_file_are_held_apart_by_what_it_says_of_them(table: Table) -> None:
    text = """
    encoder,setting,dataset,lr,comment,miou
    a,base,voc,1,x,1
    b,base,voc,1,y,2
    a,base,ade,2,x,3
    a,freeze,voc,1,x,4
    """
    with pytest.raises(RankingError, match=r"setting: base, freeze\n  dataset: ade, voc\n  lr: 1, 2\n"):
        blocks_of(table(text))
    assert runs(blocks_of(table(text), ["setting=base", "dataset=voc"])) == {"": ["a", "b"]}
    with pytest.raises(RankingError, match="--across dataset --across lr"):
        blocks_of(table(text), ["setting=base"], ["dataset"])
    blocks = blocks_of(table(text), ["setting=base"], ["dataset", "lr"])
    assert runs(blocks) == {"ade": ["a"], "voc": ["a", "b"]}
    assert blocks[0].values == {"dataset": "ade", "lr": "2"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("encoder,miou,note\na,1,x\na,2,y", r"a has 2 scores for seed 0: line 2, line 3; they differ in miou, note"),
        ("encoder,miou\na,1\na,1", "line 2, line 3, equal in everything"),
        ("encoder,seed,miou\na,1,1\nb,1,1\na,1,3", "a has 2 scores for seed 1: line 2, line 4"),
        ("encoder,miou\na,\nb,nan", "no score to rank by"),
    ],
)
def test_doubles_and_nothing_are_refused(table: Table, text: str, message: str) -> None:
    with pytest.raises(RankingError, match=message):
        blocks_of(table(text))


def test_scores_that_are_none_are_told_as_such(table: Table) -> None:
    (block,) = blocks_of(table("encoder,miou\na,1\nb,\nc,nan\nd,-inf"))
    assert block.rows["label"].to_list() == ["a"]
    assert block.without_score["status"].to_list() == ["no miou", "miou is NaN", "miou is infinite"]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (["encoder=a*"], ["ab", "ac"]), (["encoder=ab", "encoder=b"], ["ab", "b"]), (["encoder!=a*"], ["b", "c?x=1"]),
        (["size=1e1"], ["ab"]), (["size=(empty)"], ["c?x=1"]), (["encoder=c?x=1"], ["c?x=1"]),
        (["encoder=a*", "size=20"], ["ac"]), (["flag=TRUE"], ["ab", "b"]), (["encoder=*"], ["ab", "ac", "b", "c?x=1"]),
    ],
)  # fmt: skip
def test_conditions(table: Table, where: list[str], expected: list[str]) -> None:
    text = "encoder,size,flag,miou\nab,10,true,1\nac,20,false,2\nb,30,true,3\nc?x=1,,false,4"
    assert runs(blocks_of(table(text), where)) == {"": expected}


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("encoder", "is no condition"), ("=x", "is no condition"), ("encoer=a", 'did you mean "encoder"'),
        ("encoder=dinov3", 'no row has encoder="dinov3"'), ("encoder!=[a-", "no row has"),
    ],
)  # fmt: skip
def test_conditions_that_nothing_satisfies(table: Table, where: str, message: str) -> None:
    with pytest.raises(RankingError, match=message.replace("[", r"\[")):
        blocks_of(table("encoder,miou\ndinov2,1"), [where])


def test_across_what_is_no_protocol_is_refused(table: Table) -> None:
    with pytest.raises(RankingError, match='"encoder" is no field of the protocol'):
        blocks_of(table("encoder,dataset,miou\na,x,1"), across=["encoder"])


@pytest.mark.parametrize(
    ("seeds", "usual"), [({"a": 3, "b": 3, "c": 2}, 3), ({"a": 1, "b": 1, "c": 5}, 1), ({"a": 1, "b": 2}, 2)]
)
def test_an_encoder_should_have_as_many_seeds_as_most_have(table: Table, seeds: dict[str, int], usual: int) -> None:
    text = "encoder,seed,miou\n" + "\n".join(f"{e},{s},1" for e, count in seeds.items() for s in range(count))
    (block,) = blocks_of(table(text))
    assert complete(block.rows) == (usual, seeds)


def test_protocols_are_called_by_what_differs_between_their_values(table: Table) -> None:
    day, dusk = "scenes?size=64&seed=1", "scenes?size=64&seed=1&look=dusk"
    lines = [f"a,{freeze},{dataset},0.5" for freeze in ("true", "false") for dataset in (day, dusk)]
    blocks = blocks_of(table("encoder,freeze,dataset,miou\n" + "\n".join(lines)), [], ["freeze", "dataset"])
    assert [block.name for block in blocks] == [
        f"freeze={freeze}, scenes{look}" for freeze in ("false", "true") for look in ("", "?look=dusk")
    ]

"""Files that come from anybody name code: none of it is imported or called unless
Paretune or its user names it, too.
"""

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paretune.errors import StoreError
from paretune.training import load
from paretune.trust import OF_A_TRAINING, Trust, refuse_lookups

REAL = (
    "os.system",
    "subprocess.run",
    "builtins.exec",
    "this.Zen",
    "antigravity.geohash",
    "torch.hub.load",
    "functools.partial",
    "hydra.utils.get_method",
    "paretune.data.load",
    "paretune.data.folder.Path",
    "paretune.data.fetch.pooch.retrieve",
    "paretune.models.squeeze",
    "paretune.models.squeeze.Squeeze.__init__",
    " paretune.models.squeeze.Squeeze",
    "",
    "os",
)
PLACES = ("model", "data", "optimizer", "scheduler", "augment")
words = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
targets = (
    st.sampled_from(REAL)
    | st.lists(words, min_size=1, max_size=4).map(".".join)
    | st.integers()
    | st.none()
)
MODEL = {
    "_target_": "paretune.models.dense.Dense",
    "widths": [2],
    "image_shape": [1, 4, 4],
    "num_classes": 2,
}
CODE = (
    "from os import system\nfrom torch import nn\nclass Net(nn.Identity):\n    "
    "pass\ndef images():\n    pass\n"
)


@st.composite
def configs(draw: st.DrawFn) -> tuple[dict, object]:
    """A plain config that names a target somewhere, in mappings and lists of any depth;
    and the target.
    """
    target = draw(targets)
    node: object = {"_target_": target, "command": "touch run"}
    for name in draw(st.lists(words, max_size=3)):
        node = draw(
            st.sampled_from(
                [{"_target_": MODEL["_target_"], name: node}, {name: [0, node]}]
            )
        )
    part = draw(st.sampled_from(PLACES))
    return {"model": MODEL, "data": {}, part: node}, target


@given(configs())
def test_no_target_of_a_stored_config_but_a_named_one_is_imported(found):
    config, target = found
    trust, known = Trust(folder=Path(__file__).parent), set(sys.modules)

    with pytest.raises(
        StoreError,
        match="names code or files that neither Paretune nor conf and sweeps",
    ) as caught:
        trust.check(config, "the run", OF_A_TRAINING)
    assert f"_target_ `{target}`" in str(caught.value)
    assert set(sys.modules) <= known


@pytest.mark.parametrize("part", ["model", "data"])
def test_weights_that_name_a_command_do_not_run_it(part, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {"model": MODEL, "data": {}} | {
        part: {"_target_": "os.system", "command": "touch run"}
    }
    torch.save(
        {"config": config, "state_dict": {}, "scaling": (0.0, 1.0)}, "weights.pt"
    )

    with pytest.raises(
        StoreError,
        match=rf"weights `weights.pt` names .*: {part}._target_ `os.system`; none of it was",
    ):
        load(Path("weights.pt"))
    assert not Path("run").exists()


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working folder with a module of its user's."""
    (tmp_path / "nets_of_mine.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "nets_of_mine", raising=False)
    return tmp_path


def refused(trust: Trust, config: dict) -> str:
    try:
        trust.check(config, "the run", OF_A_TRAINING)
    except StoreError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("file", "content", "is_trusted"),
    [
        ("conf/model/mine.yaml", "model: {_target_: nets_of_mine.Net}", True),
        ("conf/model/deep/mine.yaml", "_target_: nets_of_mine.Net", True),
        ("sweeps/mine.yaml", "model: {_target_: nets_of_mine.Net}", True),
        ("conf/data/mine.yaml", "_target_: nets_of_mine.Net", False),
        ("sweeps/mine/report.yaml", "model: {_target_: nets_of_mine.Net}", False),
        ("conf/model/mine.yaml", "model: {_target_: nets_of_mine.Other}", False),
        ("conf/model/broken.yaml", "model: {", False),
    ],
)
def test_what_a_config_file_of_the_folder_names_is_trusted_for_that_part(
    folder, file, content, is_trusted
):
    (folder / file).parent.mkdir(parents=True)
    (folder / file).write_text(content)

    assert (
        bool(refused(Trust(folder=folder), {"model": {"_target_": "nets_of_mine.Net"}}))
        != is_trusted
    )


@pytest.mark.parametrize(
    ("target", "is_trusted"),
    [
        ("nets_of_mine.Net", True),
        ("nets_of_mine.images", True),
        ("nets_of_mine.system", False),
        ("nets_of_mine.nn.Linear", False),
        ("nets_of_mine_too.Net", False),
    ],
)
def test_of_a_module_that_is_trusted_only_what_it_defines_is(
    folder, target, is_trusted
):
    assert (
        bool(refused(Trust(("nets_of_mine",)), {"data": {"_target_": target}}))
        != is_trusted
    )


def test_all_that_is_refused_is_told_at_once_with_what_would_allow_it():
    said = refused(
        Trust(),
        {
            "model": {"_target_": "mine.Net"},
            "data": {"mirrors": ["https://there"], "x": [{"_target_": "os.nice"}]},
        },
    )

    assert (
        "model._target_ `mine.Net`, data.mirrors `https://there`, data.x._target_ "
        "`os.nice`;"
    ) in said
    assert (
        "add --trust mine --trust https://there --trust os (to a training: trust=[...])"
        in said
    )


@pytest.mark.parametrize("name", ["../.bashrc", "/etc/x", "a/b", "", "..", ".hidden"])
def test_a_stored_config_fetches_no_file_to_elsewhere(name):
    config = {
        "data": {
            "_target_": "paretune.data.mnist.load_idx",
            "files": {name: "sha256:0"},
        }
    }

    assert f"data.files has the name `{name}`" in refused(Trust(), config)


@pytest.mark.parametrize(
    "node", [{"a": {"b": "${oc.env:TOKEN}"}}, {"a": {"b": [0, "x${oc.env:TOKEN}"]}}]
)
def test_a_stored_config_looks_nothing_up_on_this_machine(node):
    with pytest.raises(
        StoreError,
        match=r"run `r` has `.*TOKEN.*` as a.b, which would be looked up on this machine",
    ):
        refuse_lookups(node, "run `r`")

"""Every YAML composes, and says the same as the code it configures."""

import inspect
from dataclasses import asdict, fields, is_dataclass
from pydoc import locate

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from omegaconf import OmegaConf

from paretune import models, paths
from paretune.data import DECLARED
from paretune.data.images import Splitting
from paretune.models import COMMON_SETTINGS
from paretune.reports.confirmed import read_references
from paretune.schema import SECTIONS, TrainerSettings
from paretune.schema.table import list_all, write_table
from paretune.search.space_parser import parse_space
from paretune.training.settings import Training

GROUPS = ("model", "data", "optimizer", "scheduler", "augment", "trainer")
OPTIONS = [
    (group, path.stem)
    for group in GROUPS
    for path in sorted((paths.CONF / group).glob("*.yaml"))
]
MODELS = [name for group, name in OPTIONS if group == "model"]
# Not their variants.
FAMILIES = [
    name
    for name in MODELS
    if "_target_" in (paths.CONF / "model" / f"{name}.yaml").read_text()
]
SWEEPS = sorted(path.stem for path in (paths.CONF.parent / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_every_option_composes(composed, group, name):
    assert composed(f"{group}={name}")[group] is not None


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_config_has_the_keys_and_defaults_of_its_constructor(composed, family):
    config = OmegaConf.to_container(composed(f"model={family}").model)
    signature = inspect.signature(locate(config.pop("_target_")))
    config = {key: value for key, value in config.items() if key not in COMMON_SETTINGS}
    defaults = {
        key: parameter.default for key, parameter in signature.parameters.items()
    }

    as_lists = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in defaults.items()
    }
    assert config == as_lists


@pytest.mark.parametrize("family", MODELS)
def test_a_family_config_brings_a_search_space_of_existing_keys(composed, family):
    config = composed(f"model={family}", "augment=affine")
    space = parse_space(
        [], is_group=lambda _: False, own_space=lambda _: dict(config.space)
    )

    assert len(space.all_distributions()) >= 3
    assert "nowhere" not in {
        OmegaConf.select(config, key, default="nowhere")
        for key in space.all_distributions()
    }


@pytest.mark.parametrize("section", SECTIONS)
def test_a_setting_has_one_default_in_the_config_and_in_the_code(composed, section):
    assert OmegaConf.to_container(composed()[section]) == asdict(SECTIONS[section]())


def test_a_training_has_the_defaults_of_its_settings():
    training = Training(optimizer=None, schedule=None)

    for field in fields(TrainerSettings):
        value = getattr(training, field.name)
        plain = asdict(value) if is_dataclass(value) else value
        expected = asdict(TrainerSettings())[field.name]
        if field.name == "distillation":
            plain = {name: plain[name] for name in expected}
        assert plain == expected


def test_the_document_has_the_settings_as_they_are():
    document = (paths.CONF.parent / "docs" / "training.md").read_text()

    assert write_table(list_all()) in document


@pytest.mark.parametrize("name", [name for group, name in OPTIONS if group == "data"])
def test_a_data_config_has_the_keys_of_its_function(composed, name):
    config = OmegaConf.to_container(composed(f"data={name}").data)
    splitting = config["splitting"]

    taken = set(inspect.signature(locate(config["_target_"])).parameters)

    assert set(config) - {"_target_"} - (set(DECLARED) - taken) == taken
    assert set(splitting) - {"_target_"} == {field.name for field in fields(Splitting)}


@pytest.mark.parametrize(
    "name", [name for group, name in OPTIONS if group == "optimizer"]
)
def test_an_optimizer_config_makes_an_optimizer(composed, name):
    config = composed(f"optimizer={name}")
    net = models.build(OmegaConf.to_container(config.model))
    config.optimizer.lr = 0.0123

    assert 0.0123 in [
        group["lr"]
        for group in instantiate(config.optimizer)(net.parameters()).param_groups
    ]


@pytest.mark.parametrize("name", SWEEPS)
def test_every_sweep_composes_under_its_own_name_with_a_cap(composed, name):
    config = composed(f"sweeps={name}", "hydra.searchpath=[file://.]", hydra=True)

    assert config.name == name
    assert config.cap.max_params >= 1
    assert config.hydra.sweeper.cap.max.params == config.cap.max_params
    assert config.hydra.mode.name == "MULTIRUN"


@pytest.mark.parametrize(
    ("name", "sampler"),
    [
        ("digits_demo", "FrontSampler"),
        ("dense_grid", "GridSampler"),
    ],
)
def test_a_sweep_file_says_which_sampler_draws(composed, name, sampler):
    config = composed(f"sweeps={name}", "hydra.searchpath=[file://.]", hydra=True)

    assert config.hydra.sweeper.sampler._target_.endswith(f".{sampler}")


def test_the_command_line_says_which_sampler_draws_before_a_sweep_file(composed):
    config = composed(
        "sweeps=dense_grid",
        "hydra/sweeper/sampler=tpe",
        "hydra.searchpath=[file://.]",
        hydra=True,
    )

    assert config.hydra.sweeper.sampler._target_ == "optuna.samplers.TPESampler"


@pytest.mark.parametrize(
    "path",
    sorted((paths.CONF / "references").glob("*.yaml")),
    ids=lambda path: path.stem,
)
def test_references_are_complete(path):
    references = read_references(path)

    assert len(references) == len(yaml.safe_load(path.read_text())["points"])
    assert all(
        reference.params > 0 and 0 < reference.score <= 1 and reference.source
        for reference in references
    )


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        0.5,
        float("inf"),
        [1, None],
        ["0", "a,b", "it's", "null", "", "(1)", "x=1", "back\\", "é/ü"],
        {"a": 1, "b": {"c": False}},
    ],
)
def test_values_of_a_sweep_file_are_what_hydra_reads(value):
    from hydra_plugins.paretune_sweeper._space import write_sweep

    (override,) = OverridesParser.create().parse_overrides([f"x={write_sweep(value)}"])

    assert override.value() == value


def test_text_of_a_sweep_file_is_grammar():
    from hydra_plugins.paretune_sweeper._space import write_sweep

    assert write_sweep("choice(a,b)") == "choice(a,b)"

"""The space that a sweep searches: the command line's, its file's, and what options of
config groups bring along.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hydra_plugins.paretune_sweeper import SweepOptions
from hydra_plugins.paretune_sweeper._composer import Composer
from paretune.errors import ConfigError
from paretune.overrides import quote
from paretune.search.space import Space
from paretune.search.space_parser import Settled, is_named, parse_space


def read_space(
    options: SweepOptions, arguments: Sequence[str], composer: Composer
) -> Space:
    """The space that ``arguments`` and the sweeper's ``params`` span; the former take
    precedence.
    """
    params = options.params or {}
    lines = _write_params(params, arguments, composer)
    left_out = {key.lstrip("+~") for key, value in params.items() if value is None}
    return parse_space(
        [*lines, *arguments],
        is_group=composer.is_group,
        own_space=partial(_read_own_space, composer, options.space, left_out),
        loader=composer.loader,
    )


def check_may_vary(space: Space, single: Collection[str]) -> None:
    """Refuse to search a setting that the sweeper itself takes a ``single`` value of,
    such as its name or its cap.
    """
    for name, distribution in space.all_distributions().items():
        key = name.lstrip("+")
        if is_named(key, single):
            choices = getattr(distribution, "choices", [distribution])
            values = ",".join(map(str, choices))
            raise ConfigError(
                f"{key} `{values}` cannot be searched; a sweep has one value of it; "
                "start a sweep for each"
            )


def fixed_names(lines: Sequence[str]) -> set[str]:
    """The keys that override lines set or remove."""
    return {line.split("=", 1)[0].lstrip("+~") for line in lines}


def _write_params(
    params: Mapping[str, Any], arguments: Sequence[str], composer: Composer
) -> list[str]:
    """The override lines of ``params`` that ``arguments`` do not name; null leaves one
    out that a sweep builds on.
    """
    named = fixed_names(arguments)
    # model=squeeze fixes no width.
    wholes = [name for name in named if not composer.is_group(name)]
    lines: list[str] = []
    for key, value in params.items():
        name = key.lstrip("+~")
        if value is None or name in named or is_named(name, wholes):
            continue
        lines.append(f"{key}={write_sweep(value)}")
    return lines


def _read_own_space(
    composer: Composer,
    node: str | None,
    left_out: Collection[str],
    overrides: list[str],
) -> Mapping[str, Any]:
    """The search space that the configuration with these overrides brings along at
    ``node``; what a file of it sets, and what is ``left_out``, is settled.
    """
    if not node:
        return {}
    # An option that is being tried is not set by a file.
    tried = fixed_names(overrides)
    config = composer.look(overrides)
    own: Mapping[str, Any] = OmegaConf.select(config, node) or {}
    sweeps: dict[str, Any] = {}
    for key in own:
        is_set = key not in tried and _is_set(composer, config, key)
        if key in left_out or is_set:
            sweeps[key] = Settled(_read_value(composer, config, key))
        else:
            sweeps[key] = own[key]
    return sweeps


def _read_value(composer: Composer, config: DictConfig, key: str) -> Any:
    """The option of a config group, or the value of a setting."""
    if composer.is_group(key):
        return composer.choose_option(config, key)
    value = OmegaConf.select(config, key)
    if OmegaConf.is_config(value):
        return OmegaConf.to_container(value)
    return value


def _is_set(composer: Composer, config: DictConfig, key: str) -> bool:
    """Whether a sweep's file, or another one such as a recipe, says what the value of
    ``key`` is, so that it is not searched.
    """
    defaults = composer.look_at_defaults(config)
    if defaults is config:
        return False
    if composer.is_group(key):
        usual = composer.choose_option(composer.look(()), key)
        return bool(composer.choose_option(config, key) != usual)
    return bool(OmegaConf.select(config, key) != OmegaConf.select(defaults, key))


def write_sweep(value: Any) -> str:
    """A value of a YAML file in Hydra's override grammar; text is grammar already, such
    as ``choice(a,b)``.
    """
    if isinstance(value, str):
        return value
    return _write_plain(value)


def _write_plain(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = [f"{key}:{_write_plain(part)}" for key, part in value.items()]
        return f"{{{','.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_write_plain, value))}]"
    if isinstance(value, str):
        return quote(value)
    if value is None:
        return "null"
    return str(value).lower()

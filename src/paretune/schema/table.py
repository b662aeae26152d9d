"""The settings as a table for the documents: ``python -m paretune.schema.table`` prints
it.
"""

from collections.abc import Iterable

from paretune.schema import SECTIONS, Setting, list_settings

HEAD = ("| setting | default | what it does |", "|---|---|---|")


def list_all() -> list[Setting]:
    """All settings of all sections."""
    return [
        setting
        for name, schema in SECTIONS.items()
        for setting in list_settings(schema, name)
    ]


def write_table(settings: Iterable[Setting]) -> str:
    """A Markdown table with a row for each setting."""
    rows = [
        f"| `{setting.name}` | `{_format(setting.default)}` | {setting.rule.help} |"
        for setting in settings
    ]
    return "\n".join([*HEAD, *rows])


def _format(default: object) -> str:
    """A default as it is typed."""
    if default is None:
        return "null"
    if isinstance(default, bool):
        return str(default).lower()
    return str(default)


if __name__ == "__main__":
    print(write_table(list_all()))

"""Texts of messages with fields, as the tables of errors have them: `{name}` is the field's value, and
`{name|axis|axes}` a number with the noun that goes with it, "1 axis" or "3 axes"."""

from __future__ import annotations

import re

COUNTED = re.compile(r"\{(\w+)\|([\w ]+)\|([\w ]+)\}")


def attribute(text: str) -> str:
    """The attribute of thiserror for a text."""
    nouns = "".join(
        f', crate::error::noun(.{field}, "{one}", "{many}")' for field, one, many in COUNTED.findall(text)
    )
    shown = COUNTED.sub(r"{\1} {}", text)
    return f'#[error("{shown}"{nouns})]'


def plain(text: str) -> str:
    """The text with fields alone, for whoever makes a pattern of it."""
    return COUNTED.sub(r"{\1} {noun}", text)

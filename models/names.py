"""What an alias may be called; it knows no keys, so that errors can say it too."""

import re

ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,63}")
ALIAS_RULE = "1 to 64 of a-z 0-9 _ -, the first a letter"


def how_it_is_set(model: str, alias: str) -> str:
    """Return the command that sets an alias, or what one may be called where this can be none."""
    if ALIAS.fullmatch(alias):
        return f"`insitu promote {model} VERSION --alias {alias}` sets one"
    return f"an alias is {ALIAS_RULE}"

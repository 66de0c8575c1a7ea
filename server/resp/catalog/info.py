"""INFO and MODULE LIST: a module `ai` among those of Redis, as a client of RedisAI looks for it.

Source: https://redis.io/docs/latest/commands/info/, https://redis.io/docs/latest/commands/module-list/
"""

from collections.abc import Mapping, Sequence

from server.resp.wire.replies import Encoder, array, bulk, integer

NAME, VERSION, PATH = "ai", 10207, "insitu"
MODULE_LINE = f"module:name={NAME},ver={VERSION},api=1,filters=0,usedby=[],using=[],options=[]\r\n"
HEADING = "# Modules\r\n"
LISTING = frozenset({"default", "all", "everything", "modules", "module_list"})
TELLING = frozenset({"everything", "modules", NAME})

Sections = Mapping[str, Mapping[str, object]]


def module(wire: Encoder) -> bytes:
    """Return the entry of MODULE LIST."""
    return wire.map(
        [
            (bulk("name"), bulk(NAME)),
            (bulk("ver"), integer(VERSION)),
            (bulk("path"), bulk(PATH)),
            (bulk("args"), array([])),
        ]
    )


def told(text: str, names: Sequence[str], sections: Sections) -> str:
    """Return what INFO says, with the module and its sections in it; `names` are the sections asked for."""
    wanted = {name.lower() for name in names}
    if not wanted or wanted & LISTING:
        text = with_module(text)
    whole = bool(wanted & TELLING)
    for name, fields in sections.items():
        if whole or name.lower() in wanted:
            text += ("\r\n" if text else "") + section(name, fields)
    return text


def with_module(text: str) -> str:
    """Return what INFO says with a line for the module: after the last module, or under the heading of modules."""
    at = max(text.rfind("\r\nmodule:"), text.rfind("\r\n" + HEADING), 0 if text.startswith(HEADING) else -1)
    if at < 0:
        return text + ("\r\n" if text else "") + HEADING + MODULE_LINE
    end = text.index("\r\n", at + 2) + 2
    return text[:end] + MODULE_LINE + text[end:]


def section(name: str, fields: Mapping[str, object]) -> str:
    """Return a section of the module."""
    lines = [f"{NAME}_{field}:{value}\r\n" for field, value in fields.items()]
    return f"# {name}\r\n{''.join(lines)}"

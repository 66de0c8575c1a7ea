"""Replies of RESP2 as redis-cli prints them."""

from server.resp.catalog.spans import LINE, elements

ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\a": "\\a", "\b": "\\b"}
WRITTEN = {byte: ESCAPES.get(chr(byte), chr(byte)) for byte in (*range(32, 127), *map(ord, ESCAPES))}


def printed(reply: bytes, indent: str = "") -> str:
    """Return a reply as a terminal shows it; `indent` stands before each further line."""
    kind, line = reply[:1], reply[1 : reply.index(LINE)].decode()
    match kind:
        case b":":
            return f"(integer) {line}"
        case b"-":
            return f"(error) {line}"
        case b"$":
            return "(nil)" if line == "-1" else quoted(reply[len(line) + 3 : -2])
        case b"*":
            return listed(elements(reply), indent)
    return line


def quoted(data: bytes) -> str:
    """Return a string with what no terminal shows written out."""
    text = "".join([WRITTEN.get(byte, f"\\x{byte:02x}") for byte in data])
    return f'"{text}"'


def listed(items: list[bytes], indent: str) -> str:
    """Return elements by number, the next ones below the first."""
    width = len(str(len(items)))
    inner = indent + " " * (width + 2)
    lines = [f"{at:>{width}}) {printed(one, inner)}" for at, one in enumerate(items, 1)]
    return f"\n{indent}".join(lines) or "(empty array)"

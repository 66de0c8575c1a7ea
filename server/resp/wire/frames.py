"""What a client sends, cut into commands: where each ends, what it is called, and its words where they are wanted.

Commands come as arrays of bulk strings or as lines (`GET key`, quoted like a shell's). Nothing is
copied to find the end of one, and a command that has come in part is gone on with where it stopped.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/; bounds and texts as Redis' own.
"""

import re
from dataclasses import dataclass

from server.resp.refusals import Refused

WORDS_LIMIT = (1 << 31) - 1  # of one command
BULK_LIMIT = 512 << 20  # bytes of one word: Redis' proto-max-bulk-len
LINE_LIMIT = 1 << 16  # bytes of a command as a line, or of the line before a word
NUMBER_DIGITS = 20
NAME_LIMIT = 64  # a longer first word is the name of nothing
HEAD = re.compile(rb"\*(\d{1,7})\r\n\$(\d{1,2})\r\n")
END = b"\r\n"
Bytes = bytes | bytearray
# What a browser sends that a page made to talk to this port: Redis' own sign of an attack.
FOREIGN = (b"POST", b"HOST:")


class Malformed(Refused):
    """What is no command of the protocol: the connection cannot be gone on with.

    `beyond_redis` says that Redis has not seen what came before it, so that it cannot be the one to say so.
    """

    beyond_redis = False

    def __init__(self, what: str) -> None:
        super().__init__(f"ERR Protocol error: {what}")


class TooLong(Malformed):
    """A command that is longer than is taken here."""

    beyond_redis = True


class Foreign(Refused):
    """A request of HTTP that a page may have been made to send: the connection ends without a word."""


@dataclass(slots=True)
class Cut:
    """One command in a buffer: its name in capitals, how many words, where it, they and what follows begin.

    Where not all of it is there, `end` is 0 or less: minus the length that the buffer has to have at
    the least before it is worth while to look again; `left` words are to be looked for from `reached` on
    then. A `line` is a command without lengths.
    """

    name: bytes
    words: int
    start: int
    at: int
    end: int
    line: bool = False
    left: int = 0
    reached: int = 0

    def gone_on(self, data: Bytes) -> "Cut":
        """Return the same with more of it there, looked at from where that stopped.

        Raises: Malformed.
        """
        while self.left:
            self.end = word_end(data, self.reached)
            if self.end <= 0:
                break
            self.reached, self.left = self.end, self.left - 1
        return self

    def moved(self, by: int) -> None:
        """Take note that it stands elsewhere in the buffer now."""
        self.start, self.at, self.reached = self.start + by, self.at + by, self.reached + by
        if self.end > 0:
            self.end += by


def cut(data: Bytes, start: int) -> Cut | None:
    """Return the command that begins at `start`; None when not even its name is there.

    Raises: Malformed, Foreign.
    """
    head = HEAD.match(data, start)
    if head is None:
        return cut_slowly(data, start)
    count, size = head.groups()
    at = head.end()
    name_end = at + int(size)
    if name_end + 2 > len(data):
        return None
    words = int(count)
    if not words:
        return cut_slowly(data, start)
    reached = end = name_end + 2
    name, first = bytes(data[at:name_end]).upper(), at - len(size) - 3
    for done in range(1, words):
        end = word_end(data, reached)
        if end <= 0:
            return Cut(name, words, start, first, end, False, words - done, reached)
        reached = end
    return Cut(name, words, start, first, end)


def word_end(data: Bytes, at: int) -> int:
    """Return where the word ends that begins at `at`; as `Cut.end` when not all of it is there.

    Raises: Malformed.
    """
    line = data.find(END, at)
    if line < 0:
        if len(data) - at > LINE_LIMIT:
            raise Malformed("too big bulk count string")
        return 0
    end = line + 4 + word_size(data, at, line)
    return end if end <= len(data) else -end


def word_size(data: Bytes, at: int, line: int) -> int:
    """Return the bytes that a word has whose head is data[at:line].

    Raises: Malformed.
    """
    digits = data[at + 1 : line]
    if data[at] != 0x24:  # $
        raise Malformed(f"expected '$', got '{chr(data[at])}'")
    if len(digits) > NUMBER_DIGITS or not digits.isdigit() or (size := int(digits)) > BULK_LIMIT:
        raise Malformed("invalid bulk length")
    return size


class Rest:
    """What is still to come of a command whose beginning was passed on: words, and bytes of the one under way."""

    __slots__ = ("skip", "words")

    def __init__(self, words: int) -> None:
        self.words, self.skip = words, 0

    @property
    def done(self) -> bool:
        """Whether all of it has come."""
        return not self.words and not self.skip

    def take(self, data: Bytes, at: int) -> int:
        """Return up to where the data from `at` on belongs to it and may be passed on.

        Raises: Malformed.
        """
        while at < len(data) and not self.done:
            if self.skip:
                step = min(self.skip, len(data) - at)
                at, self.skip = at + step, self.skip - step
                continue
            line = data.find(END, at)
            if line < 0:
                if len(data) - at > LINE_LIMIT:
                    raise Malformed("too big bulk count string")
                break
            self.skip = word_size(data, at, line) + 2
            self.words -= 1
            at = line + 2
        return at


def cut_slowly(data: Bytes, start: int) -> Cut | None:
    """As `cut`, for what is not at once seen to be an array with a short name.

    Raises: Malformed, Foreign.
    """
    line = data.find(b"\n", start)
    if line < 0:
        if len(data) - start > LINE_LIMIT:
            what = "too big mbulk count string" if data[start] == 0x2A else "too big inline request"
            raise Malformed(what)
        return None
    if data[start] != 0x2A:  # *
        return cut_line(data, start, line)
    digits = data[start + 1 : line].rstrip(b"\r")
    if not re.fullmatch(rb"-?\d{1,10}", digits) or (words := int(digits)) > WORDS_LIMIT:
        raise Malformed("invalid multibulk length")
    if words <= 0:
        return Cut(b"", 0, start, line + 1, line + 1)
    return cut_long(data, start, line + 1, words)


def cut_long(data: Bytes, start: int, at: int, words: int) -> Cut | None:
    """Return a command whose first word is long, or whose head is not yet whole.

    Raises: Malformed.
    """
    line = data.find(END, at)
    if line < 0:
        if len(data) - at > LINE_LIMIT:
            raise Malformed("too big bulk count string")
        return None
    size = word_size(data, at, line)
    if size > NAME_LIMIT:
        name = b"?"
    elif line + 4 + size > len(data):
        return None
    else:
        name = bytes(data[line + 2 : line + 2 + size]).upper()
    return Cut(name, words, start, at, 0, left=words, reached=at).gone_on(data)


def cut_line(data: Bytes, start: int, line: int) -> Cut:
    """Return a command that is a line; an empty one has no words.

    Raises: Malformed, Foreign.
    """
    if line - start > LINE_LIMIT:
        raise Malformed("too big inline request")
    words = bytes(data[start:line]).partition(b"\0")[0].split(None, 1)
    name = words[0].upper() if words else b""
    if name and (b'"' in name or b"'" in name):
        name = line_words(b" ".join(words))[0].upper()
    if name in FOREIGN:
        raise Foreign("a request of HTTP came where commands of Redis belong")
    return Cut(name, 1 if words else 0, start, start, line + 1, line=True)


def words_of(data: Bytes, one: Cut, most: int = WORDS_LIMIT) -> list[bytes]:
    """Return the words of a command all of which is there, its name first, and of many the first `most`.

    Raises: Malformed, quotes of a line that are not closed.
    """
    if one.line:
        return line_words(bytes(data[one.at : one.end]))
    return words_from(data, one.at, min(one.words, most))[0]


def words_from(data: Bytes, at: int, count: int) -> tuple[list[bytes], int]:
    """Return so many words that are there, and where they end."""
    words: list[bytes] = []
    # A part of a bytearray would be copied twice.
    view = memoryview(data) if isinstance(data, bytearray) else data
    for _ in range(count):
        line = data.index(END, at)
        end = line + 2 + int(data[at + 1 : line])
        words.append(bytes(view[line + 2 : end]))
        at = end + 2
    return words, at


ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}
WORD = re.compile(rb"""\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s"']+))(?=\s|$)\s*""", re.DOTALL)
ESCAPED = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)


def line_words(line: bytes) -> list[bytes]:
    """Return the words of a line, with quotes as Redis reads them.

    Raises: Malformed, quotes that are not closed.
    """
    words: list[bytes] = []
    line, at = line.strip(), 0
    while at < len(line):
        found = WORD.match(line, at)
        if found is None:
            raise Malformed("unbalanced quotes in request")
        double, single, plain = found.groups()
        if double is not None:
            words.append(ESCAPED.sub(lambda one: unescaped(*one.groups()), double))
        elif single is not None:
            words.append(single.replace(b"\\'", b"'"))
        else:
            words.append(plain)
        at = found.end()
    return words


def unescaped(code: bytes | None, character: bytes | None) -> bytes:
    """Return the byte that an escape in double quotes stands for."""
    if code is not None:
        return bytes([int(code, 16)])
    return ESCAPES.get(character or b"", character or b"")

"""Commands cut out of what a client sends: where each ends, its name and words, and what is no command."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.resp.wire.frames import LINE_LIMIT, Cut, Foreign, Malformed, Rest, cut, words_of

WORDS = st.lists(st.binary(max_size=70), min_size=1, max_size=8).filter(lambda words: len(words[0]) > 0)
LONG = b"1" * (LINE_LIMIT + 1)


def command(words: list[bytes]) -> bytes:
    return b"*%d\r\n%b" % (len(words), b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words))


@given(
    words=WORDS,
    before=st.binary(max_size=5),
    after=st.binary(max_size=5),
    kind=st.sampled_from([bytes, bytearray]),
)
def test_a_command_is_found_wherever_it_stands(
    words: list[bytes], before: bytes, after: bytes, kind: type
) -> None:
    data = kind(before + command(words) + after)

    one = cut(data, len(before))

    assert one is not None
    assert one.end == len(data) - len(after)
    assert one.words == len(words)
    assert one.name == (words[0].upper() if len(words[0]) <= 64 else b"?")
    assert words_of(data, one) == words


@given(words=WORDS, most=st.integers(0, 5), before=st.binary(max_size=5))
def test_the_first_words_are_had_without_the_others_also_after_a_move(
    words: list[bytes], most: int, before: bytes
) -> None:
    one = cut(before + command(words), len(before))

    assert one is not None
    one.moved(-len(before))

    assert one.end == len(command(words))
    assert words_of(command(words), one, most) == words[:most]


@given(words=WORDS, places=st.lists(st.integers(1, 20), min_size=1))
def test_a_command_that_comes_in_parts_is_gone_on_with(words: list[bytes], places: list[int]) -> None:
    whole, data, one, at = command(words), bytearray(), None, 0
    for step in [*places, len(command(words))]:
        data += whole[at : at + step]
        at += step
        one = cut(data, 0) if one is None else one.gone_on(data)
        assert one is None or one.end == len(whole) or (one.end <= 0 and -one.end <= len(whole))

    assert isinstance(one, Cut)
    assert one.end == len(whole)
    assert words_of(data, one) == words


@given(words=WORDS, place=st.floats(0, 1))
def test_a_command_that_is_not_whole_says_how_much_is_needed(words: list[bytes], place: float) -> None:
    whole = command(words)
    data = whole[: int(place * (len(whole) - 1))]

    one = cut(data, 0) if data else None

    assert one is None or (one.end <= 0 and len(data) - 1 <= -one.end <= len(whole)) or one.end == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"PING\r\n", [b"PING"]),
        (b"  set   a b \n", [b"set", b"a", b"b"]),
        (b"set \"a b\" 'c d'\r\n", [b"set", b"a b", b"c d"]),
        (b'echo "\\x41\\n\\t\\"\\\\"\r\n', [b"echo", b'A\n\t"\\']),
        (b"echo 'it\\'s' ''\r\n", [b"echo", b"it's", b""]),
        (b"echo a\x00b c\r\n", [b"echo", b"a\x00b", b"c"]),
    ],
)
def test_a_line_is_a_command(line: bytes, words: list[bytes]) -> None:
    one = cut(line, 0)

    assert one is not None
    assert one.end == len(line)
    assert one.name == words[0].upper()
    assert words_of(line, one) == words


@pytest.mark.parametrize(("line", "name"), [(b'"select" 1\r\n', b"SELECT"), (b"'MULTI'\n", b"MULTI")])
def test_a_name_in_quotes_is_that_name(line: bytes, name: bytes) -> None:
    one = cut(line, 0)

    assert one is not None
    assert one.name == name


@pytest.mark.parametrize("nothing", [b"\r\n", b"\n", b"   \r\n", b"*0\r\n", b"*-1\r\n"])
def test_nothing_is_a_command_without_words(nothing: bytes) -> None:
    one = cut(nothing + b"PING\r\n", 0)

    assert one is not None
    assert (one.words, one.name, one.end) == (0, b"", len(nothing))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"*x\r\n", "invalid multibulk length"),
        (b"*2147483648\r\n", "invalid multibulk length"),
        (b"*" + LONG, "too big mbulk count string"),
        (b"*1\r\n" + b"$" + LONG, "too big bulk count string"),
        (b"*2\r\n$4\r\nPING\r\n$" + LONG, "too big bulk count string"),
        (LONG, "too big inline request"),
        (b"*1\r\n:4\r\n", "expected '$', got ':'"),
        (b"*2\r\n$4\r\nPING\r\n+x\r\n", "expected '$', got '+'"),
        (b"*2\r\n$4\r\nPING\r\n$-1\r\n", "invalid bulk length"),
        (b"*2\r\n$4\r\nPING\r\n$536870913\r\n", "invalid bulk length"),
        (b"'SELECT 1\r\n", "unbalanced quotes in request"),
    ],
)  # fmt: skip
def test_what_is_no_command_is_refused_in_the_words_of_redis(data: bytes, text: str) -> None:
    with pytest.raises(Malformed) as caught:
        cut(data, 0)

    assert str(caught.value) == f"ERR Protocol error: {text}"


@pytest.mark.parametrize("data", [b"SET 'a\r\n", b'SET "a"b\r\n', b"SET a'b'\r\n"])
def test_open_quotes_are_refused_where_the_words_are_wanted(data: bytes) -> None:
    one = cut(data, 0)

    assert one is not None
    with pytest.raises(Malformed, match="unbalanced quotes"):
        words_of(data, one)


@pytest.mark.parametrize("data", [b"POST / HTTP/1.1\r\n", b"Host: x\r\n", b"host: x\n"])
def test_a_request_of_http_is_told_apart(data: bytes) -> None:
    with pytest.raises(Foreign):
        cut(data, 0)


@given(words=WORDS, places=st.lists(st.integers(1, 50)), after=st.binary(min_size=1, max_size=9))
def test_a_command_is_passed_on_in_parts_up_to_its_end(
    words: list[bytes], places: list[int], after: bytes
) -> None:
    whole = command(words)
    data, rest, at, pending, taken = whole + after, Rest(len(words)), whole.index(b"\n") + 1, b"", 0
    for step in [*places, len(data)]:
        if rest.done:
            break
        pending += data[at : at + step]
        at += step
        end = rest.take(pending, 0)
        taken, pending = taken + end, pending[end:]

    assert rest.done
    assert taken + whole.index(b"\n") + 1 == len(whole)


def test_a_length_that_does_not_end_is_not_waited_for() -> None:
    with pytest.raises(Malformed, match="too big bulk count string"):
        Rest(2).take(b"$" + LONG, 0)


def test_a_long_word_is_copied_once() -> None:
    size = 8 << 20
    data = bytearray(command([b"SET", b"key", bytes(size)]))
    one = cut(data, 0)
    assert one is not None
    tracemalloc.start()
    try:
        assert len(words_of(data, one)[2]) == size
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert most < 1.1 * size

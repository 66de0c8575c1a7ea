"""A head is plain when every reader of HTTP reads it the same way; nothing else is answered on the short road."""

import re
import tracemalloc
from dataclasses import astuple
from hashlib import sha256

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.access import Access
from server.rest.heads import HEAD_BYTES, HEADS_KEPT, STARTS, Head, Heads

LINE = b"POST /v1/models/churn/predict HTTP/1.1"
USUAL = (b"Host: 127.0.0.1:8000", b"Content-Type: application/json", b"Content-Length: 20")
TOKEN = "s3cret"
OPEN = Access.of(host="127.0.0.1")
CLOSED = Access.of([f"predict:{sha256(TOKEN.encode()).hexdigest()}"], host="0.0.0.0")  # noqa: S104  # never bound


def written(*headers: bytes, line: bytes = LINE) -> bytes:
    return b"\r\n".join((line, *headers)) + b"\r\n\r\n"


def heads(access: Access = OPEN, body_bytes: int = 1000) -> Heads:
    return Heads(access, body_bytes)


def plain(*headers: bytes, line: bytes = LINE) -> bool:
    return heads().read(written(*headers, line=line) + b"x" * 20, 0) is not None


def test_a_plain_head_says_what_is_asked_and_where_the_body_is() -> None:
    data = written(*USUAL)

    head = heads().read(data + b"x" * 20, 0)

    assert head is not None
    assert astuple(head) == astuple(Head(("churn", None), len(data), 20, None))


@pytest.mark.parametrize(
    ("path", "target"),
    [
        (b"/v1/models/churn/predict", ("churn", None)),
        (b"/v1/models/a.b-c_1/predict", ("a.b-c_1", None)),
        (b"/v1/models/churn/versions/3/predict", ("churn", 3)),
        (b"/v1/models/churn/versions/0/predict", ("churn", 0)),
        (b"/v1/models/churn/versions/canary/predict", ("churn", "canary")),
    ],
)
def test_a_model_and_its_version_are_named_by_the_path(path: bytes, target: tuple[str, object]) -> None:
    head = heads().read(written(*USUAL, line=b"POST " + path + b" HTTP/1.1"), 0)

    assert head is not None
    assert head.target == target


@pytest.mark.parametrize(
    "headers",
    [
        (b"content-length:20",),
        (b"CONTENT-LENGTH: 20", b"HOST: localhost"),
        (b"Host: localhost", b"Connection: keep-alive", b"Content-Length: 0"),
        (b"Host: [::1]:8000", b"Content-Length: 20", b"Connection: Keep-Alive"),
        (*USUAL, b"Accept: */*", b"Accept-Encoding: gzip, deflate", b"User-Agent: python-httpx/0.28.1"),
        (*USUAL, b"Content-Encoding: identity"),
        (*USUAL, b"Cookie: a=1", b"Cookie: b=2"),
        (*USUAL, b"X-Empty:"),
        (*USUAL, b"X-Empty: "),
        (*USUAL, b"Authorization: Bearer whatever"),
    ],
)
def test_what_clients_usually_send_is_plain(headers: tuple[bytes, ...]) -> None:
    host = () if any(header.lower().startswith(b"host") for header in headers) else (b"Host: localhost",)

    assert plain(*host, *headers)


def test_the_time_that_a_request_has_is_handed_on_as_it_was_written() -> None:
    head = heads().read(written(*USUAL, b"X-Request-Timeout-Ms: 1e9,5"), 0)

    assert head is not None
    assert head.timeout_ms == "1e9,5"


@pytest.mark.parametrize(
    "line",
    [
        b"GET /v1/models/churn/predict HTTP/1.1",
        b"post /v1/models/churn/predict HTTP/1.1",
        b"PUT /v1/models/churn/predict HTTP/1.1",
        b"POST /v1/models/churn/predict HTTP/1.0",
        b"POST /v1/models/churn/predict HTTP/2.0",
        b"POST /v1/models/churn/predict http/1.1",
        b"POST /v1/models/churn/predict",
        b"POST  /v1/models/churn/predict HTTP/1.1",
        b"POST\t/v1/models/churn/predict HTTP/1.1",
        b"POST /v1/models/churn/predict  HTTP/1.1",
        b"POST /v1/models/churn/predict HTTP/1.1 ",
        b" POST /v1/models/churn/predict HTTP/1.1",
        b"POST http://127.0.0.1/v1/models/churn/predict HTTP/1.1",
        b"POST //v1/models/churn/predict HTTP/1.1",
        b"POST /v1/models/churn/predict/ HTTP/1.1",
        b"POST /v1/models/churn/predict? HTTP/1.1",
        b"POST /v1/models/churn/predict?key=1 HTTP/1.1",
        b"POST /v1/models/churn/predict#x HTTP/1.1",
        b"POST /v1/models/ch%75rn/predict HTTP/1.1",
        b"POST /v1/models/../models/churn/predict HTTP/1.1",
        b"POST /v1/models//predict HTTP/1.1",
        b"POST /v1/models/chu rn/predict HTTP/1.1",
        b"POST /v1/models/churn\x00/predict HTTP/1.1",
        b"POST /v1/models/churn\n/predict HTTP/1.1",
        b"POST /v1/models/ch\xc3\xbcrn/predict HTTP/1.1",
        b"POST /v1/models/churn/explain HTTP/1.1",
        b"POST /v1/models/churn/versions//predict HTTP/1.1",
        b"POST /v1/models/churn/versions/-1/predict HTTP/1.1",
        b"POST /v1/models/churn/versions/+1/predict HTTP/1.1",
        b"POST /v1/models/churn/versions/1234567890/predict HTTP/1.1",
        b"POST /v1/models/churn/versions/1.0/predict HTTP/1.1",
        b"POST /v1/models/" + b"x" * 200 + b"/predict HTTP/1.1",
        b"\r\n" + LINE,
        b"",
    ],
)
def test_any_other_request_line_is_not_plain(line: bytes) -> None:
    assert not plain(*USUAL, line=line)


LENGTHS = [
    b"", b" ", b"+5", b"-5", b"-0", b"05", b"00", b"0x5", b"5,5", b"5, 5", b"5 5", b"5.0", b"5e0", b"1_0",
    b"\xd9\xa5", b"99999999999", b"5\x00", b"5\t", b"5;", b"five",
]  # fmt: skip


@pytest.mark.parametrize("length", LENGTHS)
def test_a_length_that_readers_could_disagree_about_is_not_plain(length: bytes) -> None:
    assert not plain(b"Host: localhost", b"Content-Length: " + length)


@pytest.mark.parametrize(
    "headers",
    [
        (b"Content-Length: 5", b"Content-Length: 6"),
        (b"Content-Length: 5", b"Content-Length: 5"),
        (b"Content-Length: 5", b"content-length: 5"),
        (b"Content-Length : 5",),
        (b"Content-Length\t: 5",),
        (b" Content-Length: 5",),
        (b"Content-Length:  5",),
        (b"Content-Length:\t5",),
        (b"Content-Length: 5 ",),
        (b"Content-Length: 5\t",),
        (b"Content-Length:\r\n 5",),
        (b"Content-Length: 5\r\n ,6",),
        (b"Content-Length: 5\nTransfer-Encoding: chunked",),
        (b"Content-Length: 5\rTransfer-Encoding: chunked",),
        (b"X: a\r\n\tb", b"Content-Length: 5"),
        (b"Content_Length: 5",),
        (b"Content-Length",),
        (),
        (b": 5", b"Content-Length: 5"),
        (b":", b"Content-Length: 5"),
        (b"X\x00: 5", b"Content-Length: 5"),
        (b"X: \x00", b"Content-Length: 5"),
        (b"X: \x7f", b"Content-Length: 5"),
        (b"X: a\x0bb", b"Content-Length: 5"),
        (b"X: \xc3\xbc", b"Content-Length: 5"),
        (b"X\xff: 1", b"Content-Length: 5"),
        (b"X(y): 1", b"Content-Length: 5"),
        (b"X: 1\n", b"Content-Length: 5"),
        (b"Host: other", b"Content-Length: 5"),
    ],
)
def test_headers_that_readers_could_disagree_about_are_not_plain(headers: tuple[bytes, ...]) -> None:
    assert not plain(b"Host: localhost", *headers)


@pytest.mark.parametrize(
    "name", [b"Transfer-Encoding", b"TRANSFER-ENCODING", b"transfer-encoding", b"tRaNsFeR-eNcOdInG"]
)
@pytest.mark.parametrize("value", [b"chunked", b"identity", b"gzip, chunked", b"CHUNKED", b"xchunked", b""])
def test_another_way_to_end_a_body_is_never_plain(name: bytes, value: bytes) -> None:
    assert not plain(*USUAL, name + b": " + value)
    assert not plain(name + b":" + value, *USUAL)
    assert not plain(b"Host: localhost", name + b": " + value)


@pytest.mark.parametrize(
    "header",
    [
        b"Expect: 100-continue",
        b"expect: ",
        b"TE: trailers",
        b"Trailer: X",
        b"Upgrade: websocket",
        b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        b"Connection: close",
        b"Connection: upgrade",
        b"Connection: keep-alive, upgrade",
        b"Connection: Content-Length",
        b"Connection:",
        b"Content-Encoding: gzip",
        b"Content-Encoding: identity, gzip",
        b"Content-Encoding:",
    ],
)
def test_what_changes_how_a_request_is_read_is_not_plain(header: bytes) -> None:
    assert not plain(*USUAL, header)


@pytest.mark.parametrize(
    "kind",
    [b"text/plain", b"application/json; charset=utf-8", b"application/jsonx", b"application/json,", b""],
)
def test_a_body_of_another_kind_is_not_plain(kind: bytes) -> None:
    assert not plain(b"Host: localhost", b"Content-Length: 20", b"Content-Type: " + kind)


@pytest.mark.parametrize(
    "header",
    [
        b"Host: 127.0.0.1",
        b"Authorization: Bearer a",
        b"Origin: http://127.0.0.1:8000",
        b"Sec-Fetch-Site: none",
        b"X-Request-Timeout-Ms: 5",
    ],
)
def test_what_decides_about_a_request_is_given_once(header: bytes) -> None:
    others = [one for one in USUAL if one[:4] != header[:4]]

    assert plain(*others, header)
    assert not plain(*others, header, header)


def test_a_body_up_to_the_limit_is_plain_and_a_larger_one_is_not() -> None:
    known = heads(body_bytes=1000)

    found = [
        known.read(written(b"Host: localhost", b"Content-Length: %d" % size), 0) for size in (1000, 1001)
    ]

    assert [head is not None for head in found] == [True, False]


def test_a_head_that_is_not_whole_yet_is_not_plain() -> None:
    data, known = written(*USUAL), heads()

    assert all(known.read(data[:size], 0) is None for size in range(len(data)))
    assert known.read(data, 0) is not None


def test_a_head_over_the_limit_is_not_plain() -> None:
    rest = HEAD_BYTES - len(written(*USUAL, b"X: "))
    found = [heads().read(written(*USUAL, b"X: " + b"x" * (rest + more)), 0) for more in (0, 1, 100_000)]

    assert [head is not None for head in found] == [True, False, False]


def test_heads_are_read_one_behind_the_other() -> None:
    first, second = written(*USUAL) + b"x" * 20, written(b"Host: localhost", b"Content-Length: 2") + b"{}"
    known = heads()

    head = known.read(first + second, 0)
    assert head is not None
    after = known.read(first + second, head.size + head.length)

    assert after is not None
    assert (head.length, after.length) == (20, 2)


def test_a_body_that_looks_like_the_end_of_a_head_belongs_to_no_head() -> None:
    data = written(*USUAL)

    head = heads().read(data + b"\r\n\r\n" + data, 0)

    assert head is not None
    assert head.size == len(data)


def bearer(token: str) -> bytes:
    return written(*USUAL, b"Authorization: Bearer " + token.encode())


def test_a_token_that_was_refused_is_never_let_in_by_what_is_remembered() -> None:
    known = heads(CLOSED)

    good = [known.read(bearer(TOKEN), 0) for _ in range(2)]
    bad = [
        known.read(bearer(token), 0)
        for token in ("wrong", "", TOKEN.upper(), TOKEN + "x", "wrong")
        for _ in "ab"
    ]
    without = known.read(written(*USUAL), 0)
    again = known.read(bearer(TOKEN), 0)

    assert all(head is not None for head in (*good, again))
    assert bad == [None] * 10
    assert without is None


def test_a_token_for_one_request_lets_no_other_in() -> None:
    known = heads(CLOSED)
    known.read(bearer(TOKEN), 0)

    pipelined = bearer(TOKEN) + b"x" * 20 + written(*USUAL)

    assert known.read(pipelined, len(bearer(TOKEN)) + 20) is None


@pytest.mark.parametrize(
    "headers",
    [
        (b"Host: evil.example",),
        (b"Host: 127.0.0.1:8000", b"Origin: http://evil.example"),
        (b"Host: 127.0.0.1:8000", b"Sec-Fetch-Site: cross-site"),
        (b"Host:",),
        (),
    ],
)
def test_what_a_page_of_another_origin_sends_is_left_to_the_other_road(headers: tuple[bytes, ...]) -> None:
    assert not plain(*headers, b"Content-Length: 20")


def test_ten_thousand_different_heads_take_bounded_memory() -> None:
    known = heads()
    filler = b"X: " + b"x" * 3500
    tracemalloc.start()

    for number in range(5_000):
        known.read(written(*USUAL, b"Y: %d" % number, filler), 0)
        known.read(written(*USUAL, b"Z: %d" % number, filler, b"Expect: 100-continue"), 0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 3 * HEADS_KEPT * HEAD_BYTES
    assert known.read(written(*USUAL), 0) is not None


def test_what_is_remembered_says_the_same_as_what_is_read() -> None:
    known = heads()
    data = [written(*USUAL, b"Content-Length: 20"), written(*USUAL), written(*USUAL, b"Expect: 1")]

    first = [known.read(one, 0) for one in data]

    assert [known.read(one, 0) for one in data] == first
    assert [head is not None for head in first] == [False, True, False]


SAFE = re.compile(rb"[\x20-\x7e\r\n]*")


@given(
    data=st.lists(
        st.sampled_from([*USUAL, b"Transfer-Encoding: chunked", b"Content-Length: 5", b"X: y", b" folded"])
        | st.binary(max_size=12),
        max_size=6,
    ),
    ends=st.sampled_from([b"\r\n", b"\n", b"\r"]),
)
@example(data=[*USUAL, b"X: \n"], ends=b"\r\n")
def test_a_head_that_is_plain_has_one_length_and_no_odd_byte(data: list[bytes], ends: bytes) -> None:
    text = LINE + ends + ends.join(data) + b"\r\n\r\n"

    head = heads().read(text, 0)

    if head is not None:
        lines = text[: head.size - 4].split(b"\r\n")
        assert SAFE.fullmatch(text[: head.size])
        assert sum(one.lower().startswith(b"content-length:") for one in lines) == 1
        assert not any(b"transfer-encoding" in one.lower() for one in lines)
        assert not any(one.startswith((b" ", b"\t", b":")) or b"\n" in one or b"\r" in one for one in lines)


def test_a_plain_request_begins_as_the_short_road_looks_for_it() -> None:
    assert LINE.startswith(STARTS)

"""Requests as bytes, each with the statuses of its answers: plain ones, odd ones, and some that are none.

OPEN     to a server without tokens, stocked by stock.py
LOCKED   to one with tokens, nothing stored
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import orjson

from tests.integration.rest.inferred import INFERRED
from tests.integration.rest.refused import BODIES, REQUESTS, ROWS
from tests.integration.rest.speaking import chunked, head, post

PATH = "/v1/models/churn/predict"
KEYED = b'{"keys": ["customer:1"]}'
READER, OWNER = "reader-token", "owner-token"
BODY_LIMIT = 64 << 10


@dataclass(frozen=True)
class Exchange:
    """What is said on a new connection; no status is for a server that waits for more, or just hangs up."""

    said: bytes
    statuses: tuple[int, ...]


Exchanges = dict[str, Exchange]


def asked(body: bytes, status: int, *more: str, path: str = PATH, kind: str = "application/json") -> Exchange:
    """One request with a JSON body."""
    return Exchange(post(body, *more, path=path, kind=kind), (status,))


def lined(statuses: Sequence[int], *lines: str, body: bytes = b"") -> Exchange:
    """A request of these lines."""
    return Exchange(head(*lines, body=body), tuple(statuses))


def posted(statuses: Sequence[int], *lines: str, body: bytes = KEYED, path: str = PATH) -> Exchange:
    """A POST of JSON whose framing is said by `lines`."""
    first = (f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json")
    return lined(statuses, *first, *lines, body=body)


LENGTH = f"Content-Length: {len(KEYED)}"

ANSWERED: Exchanges = {
    "a key": asked(KEYED, 200),
    "two keys, one missing": asked(b'{"keys": ["customer:1", "customer:99"]}', 200),
    "a key of letters beyond ASCII": asked('{"keys": ["customer:Zoë 客"]}'.encode(), 200),
    "the same key escaped": asked(b'{"keys": ["customer:Zo\\u00eb \\u5ba2"]}', 200),
    "an escaped slash and a quote": asked(b'{"keys": ["customer:1\\/\\""]}', 404),
    "half a surrogate pair": asked(b'{"keys": ["customer:\\ud83d"]}', 400),
    "instances": asked(b'{"instances": [{"id": 1}, {"id": "2"}]}', 200),
    "inputs": asked(b'{"inputs": {"x": [[40, 10], [1, 2.5]]}}', 200),
    "raw": asked(b'{"keys": ["customer:1"], "raw": true}', 200),
    "not raw": asked(b'{"raw": false, "keys": ["customer:1"]}', 200),
    "raw that is no truth": asked(b'{"keys": ["customer:1"], "raw": 1}', 400),
    "missing for all": asked(b'{"keys": ["customer:young"], "missing": 30}', 200),
    "missing by field": asked(b'{"keys": ["customer:young"], "missing": {"spend": 30}}', 200),
    "missing of no field": asked(b'{"keys": ["customer:1"], "missing": {"nope": 30}}', 400),
    "missing that is no number": asked(b'{"keys": ["customer:1"], "missing": [1]}', 400),
    "enough time": asked(b'{"keys": ["customer:1"], "timeout_ms": 20000}', 200),
    "no time": asked(b'{"keys": ["customer:1"], "timeout_ms": 0}', 400),
    "time of the wrong type": asked(b'{"keys": ["customer:1"], "timeout_ms": "5"}', 400),
    "more time than there is": asked(b'{"keys": ["customer:1"], "timeout_ms": 1e308}', 200),
    "version 1": asked(KEYED, 200, path="/v1/models/churn/versions/1/predict"),
    "version 01": asked(KEYED, 200, path="/v1/models/churn/versions/01/predict"),
    "an alias": asked(KEYED, 200, path="/v1/models/churn/versions/production/predict"),
    "a value": asked(b'{"instances": [{"id": 1, "month": 6}]}', 200, path="/v1/models/price/predict"),
    "tensors": asked(b'{"inputs": {"x": [[20, 0]]}}', 200, path="/v1/models/embed/predict"),
    "whitespace around everything": asked(b' \r\n\t{ "keys" :\n["customer:1"] }\n\n', 200),
    "a field twice": asked(b'{"keys": ["customer:1"], "keys": ["customer:2"]}', 400),
    "a field twice inside": asked(b'{"instances": [{"id": 1, "id": 2}]}', 200),
    "a field twice, once escaped": asked(b'{"keys": ["customer:1"], "k\\u0065ys": ["customer:2"]}', 200),
    "the name of a field as a key": asked(b'{"keys": ["keys", "\\"keys\\""]}', 200),
    "infinity": asked(b'{"inputs": {"x": [[Infinity, 1]]}}', 400),
    "a number beyond float64": asked(b'{"inputs": {"x": [[1e400, 1]]}}', 400),
    "a number beyond float32": asked(b'{"inputs": {"x": [[1e300, 1]]}}', 422),
    "a number beyond int64": asked(b'{"inputs": {"x": [[' + b"9" * 40 + b", 1]]}}", 422),
    "minus nothing": asked(b'{"inputs": {"x": [[-0.0, -0]]}}', 200),
    "a comma too many": asked(b'{"keys": ["customer:1"],}', 400),
    "quotes of Python": asked(b"{'keys': ['customer:1']}", 400),
    "a file that curl did not read": asked(b"@body.json", 400),
    "a byte order mark": asked(b"\xef\xbb\xbf" + KEYED, 400),
    "a zero byte after the body": asked(KEYED + b"\0", 400),
    "more than one value": asked(KEYED + KEYED, 400),
}

PATHS: Exchanges = {
    "a query": asked(KEYED, 400, path=PATH + "?raw=true"),
    "an empty query": asked(KEYED, 200, path=PATH + "?"),
    "a query of nothing": asked(KEYED, 200, path=PATH + "?&"),
    "a fragment": asked(KEYED, 200, path=PATH + "#top"),
    "a path with an end": asked(KEYED, 404, path=PATH + "/"),
    "two slashes": asked(KEYED, 404, path="//v1/models/churn/predict"),
    "a percent-encoded letter": asked(KEYED, 200, path="/v1/models/%63hurn/predict"),
    "a percent-encoded word": asked(KEYED, 200, path="/v1/models/churn/%70redict"),
    "a percent-encoded slash": asked(KEYED, 404, path="/v1/models/churn%2Fx/predict"),
    "a percent sign alone": asked(KEYED, 422, path="/v1/models/churn%/predict"),
    "a name in another alphabet": asked(KEYED, 422, path="/v1/models/%E5%AE%A2/predict"),
    "bytes beyond ASCII": asked(KEYED, 400, path="/v1/models/churn\xe9/predict"),
    "a space in the name": asked(KEYED, 400, path="/v1/models/chu rn/predict"),
    "capitals": asked(KEYED, 404, path="/v1/models/churn/PREDICT"),
    "a name with capitals": asked(KEYED, 404, path="/v1/models/Churn/predict"),
    "a long name": asked(KEYED, 422, path=f"/v1/models/{'a' * 5000}/predict"),
    "an absolute target": asked(KEYED, 200, path="http://127.0.0.1" + PATH),
    "an absolute target of another host": asked(KEYED, 200, path="http://evil.example" + PATH),
    "an asterisk": asked(KEYED, 404, path="*"),
    "a GET": lined((200,), f"GET {PATH}?key=customer:1 HTTP/1.1", "Host: 127.0.0.1"),
    "a GET with a body": lined(
        (200,), f"GET {PATH}?key=customer:1 HTTP/1.1", "Host: 127.0.0.1", LENGTH, body=KEYED
    ),
    "a GET of no key": lined((400,), f"GET {PATH} HTTP/1.1", "Host: 127.0.0.1"),
    "a PUT": lined((405,), f"PUT {PATH} HTTP/1.1", "Host: 127.0.0.1", LENGTH, body=KEYED),
    "a method in small letters": lined(
        (400,), f"post {PATH} HTTP/1.1", "Host: 127.0.0.1", LENGTH, body=KEYED
    ),
    "OPTIONS": lined((405,), f"OPTIONS {PATH} HTTP/1.1", "Host: 127.0.0.1"),
    "CONNECT": lined((400,), "CONNECT 127.0.0.1:80 HTTP/1.1", "Host: 127.0.0.1"),
}

FIELDS: Exchanges = {
    "a long head": asked(KEYED, 200, "X-Long: " + "a" * (48 << 10)),
    "many fields": asked(KEYED, 200, *[f"X-{number}: {number}" for number in range(1000)]),
    "names in capitals": posted((200,), f"CONTENT-LENGTH: {len(KEYED)}", "ACCEPT: */*"),
    "names in mixed letters": posted((200,), f"cOnTeNt-LeNgTh: {len(KEYED)}"),
    "spaces around a value": posted((200,), f"Content-Length: \t {len(KEYED)} \t "),
    "no space before a value": posted((200,), f"Content-Length:{len(KEYED)}"),
    "a space before the colon": posted((400,), f"Content-Length : {len(KEYED)}"),
    "a folded field": posted((400,), LENGTH, "X-Long: one", " two"),
    "a field of no name": posted((400,), LENGTH, ": empty"),
    "a field of no colon": posted((400,), LENGTH, "Nothing"),
    "a zero byte in a value": posted((400,), LENGTH, "X-Zero: a\0b"),
    "a zero byte in a name": posted((400,), LENGTH, "X-Z\0ero: a"),
    "a carriage return in a value": posted((400,), LENGTH, "X-Return: a\rb"),
    "letters beyond ASCII in a value": posted((200,), LENGTH, "X-Name: Zo\xeb"),
    "no length": posted((400,), body=b""),
    "a length of nothing": posted((400,), "Content-Length: 0", body=b""),
    "two equal lengths": posted((400,), LENGTH, LENGTH),
    "two other lengths": posted((400,), LENGTH, "Content-Length: 5"),
    "lengths in a list": posted((400,), f"Content-Length: {len(KEYED)}, {len(KEYED)}"),
    "a length with a sign": posted((400,), f"Content-Length: +{len(KEYED)}"),
    "a length below nothing": posted((400,), "Content-Length: -1"),
    "a length in hexadecimal": posted((400,), "Content-Length: 0x18"),
    "a length with zeros before": posted((200,), f"Content-Length: 000{len(KEYED)}"),
    "a length beyond int64": posted((400,), "Content-Length: 99999999999999999999"),
    "an empty length": posted((400,), "Content-Length:"),
    "more than the limit": posted(
        (413,), f"Content-Length: {BODY_LIMIT + 1}", "Expect: 100-continue", body=b""
    ),
    "an upload far over the limit": lined(
        (413,),
        "POST /v1/models/churn/versions HTTP/1.1",
        "Host: 127.0.0.1",
        f"Content-Length: {10 << 30}",
        "Expect: 100-continue",
    ),
    "as much as the limit": asked(KEYED + b" " * (BODY_LIMIT - len(KEYED)), 200),
    "no media type": lined((200,), f"POST {PATH} HTTP/1.1", "Host: 127.0.0.1", LENGTH, body=KEYED),
    "an empty media type": asked(KEYED, 415, kind=""),
    "a media type in capitals": asked(KEYED, 200, kind="APPLICATION/JSON"),
    "a media type with a charset": asked(KEYED, 200, kind='application/json ; Charset="UTF-8"'),
    "a media type with another charset": asked(KEYED, 415, kind="application/json; charset=latin-1"),
    "a media type of its own kind": asked(KEYED, 200, kind="application/vnd.api+json"),
    "a media type in a list": asked(KEYED, 415, kind="application/json, text/plain"),
    "a media type of no JSON": asked(KEYED, 415, kind="application/octet-stream"),
    "media types": asked(KEYED, 200, "Content-Type: text/plain"),
    "media types, the other way round": asked(
        KEYED, 415, "Content-Type: application/json", kind="text/plain"
    ),
    "a compressed body": asked(KEYED, 415, "Content-Encoding: gzip"),
    "a body that is said to be as it is": asked(KEYED, 200, "Content-Encoding: Identity"),
    "a deadline for the hop": asked(KEYED, 200, "Keep-Alive: timeout=5", "TE: trailers"),
    "no host": lined((400,), f"POST {PATH} HTTP/1.1", LENGTH, body=KEYED),
    "another host": lined((403,), f"POST {PATH} HTTP/1.1", "Host: evil.example", LENGTH, body=KEYED),
    "two hosts": lined(
        (400,), f"POST {PATH} HTTP/1.1", "Host: evil.example", "Host: 127.0.0.1", LENGTH, body=KEYED
    ),
    "two hosts, the known one first": asked(KEYED, 400, "Host: evil.example"),
    "the same host twice": asked(KEYED, 400, "Host: 127.0.0.1"),
    "two hosts of a route without rights": lined(
        (400,), "GET /health/live HTTP/1.1", "Host: 127.0.0.1", "Host: evil.example"
    ),
    "a page of this origin": asked(KEYED, 200, "Origin: http://127.0.0.1", "Sec-Fetch-Site: same-origin"),
    "a page of another origin": asked(KEYED, 403, "Origin: https://evil.example"),
    "a page of another site": asked(KEYED, 403, "Sec-Fetch-Site: cross-site"),
    "time in the head": asked(KEYED, 200, "X-Request-Timeout-Ms: 20000"),
    "time in the head and the body": asked(
        b'{"keys": ["customer:1"], "timeout_ms": 2e4}', 200, "x-request-timeout-ms: 9000"
    ),
    "no time in the head": asked(KEYED, 400, "X-Request-Timeout-Ms: 0"),
    "words for time in the head": asked(KEYED, 400, "X-REQUEST-TIMEOUT-MS: soon"),
    "time in the head of a bad body": asked(b"{", 400, "X-Request-Timeout-Ms: soon"),
    "time in the head twice": asked(KEYED, 200, "X-Request-Timeout-Ms: 20000", "X-Request-Timeout-Ms: soon"),
    "time over in the head": asked(KEYED, 504, "X-Request-Timeout-Ms: 0.0001"),
    "a token where none is known": asked(KEYED, 200, "Authorization: Bearer anything"),
}

CONNECTIONS: Exchanges = {
    "close": asked(KEYED, 200, "Connection: close"),
    "close in capitals": asked(KEYED, 200, "Connection: CLOSE"),
    "close in a list": asked(KEYED, 200, "Connection: keep-alive, close"),
    "keep-alive": asked(KEYED, 200, "Connection: keep-alive"),
    "close, with an error": asked(b"{", 400, "Connection: close"),
    "HTTP/1.0": lined((200,), f"POST {PATH} HTTP/1.0", "Host: 127.0.0.1", LENGTH, body=KEYED),
    "HTTP/1.0 that stays": lined(
        (200,), f"POST {PATH} HTTP/1.0", "Host: 127.0.0.1", "Connection: keep-alive", LENGTH, body=KEYED
    ),
    "HTTP/1.2": lined((400,), f"POST {PATH} HTTP/1.2", "Host: 127.0.0.1", LENGTH, body=KEYED),
    "HTTP/2.0": lined((200,), f"POST {PATH} HTTP/2.0", "Host: 127.0.0.1", LENGTH, body=KEYED),
    "HTTP/0.9": Exchange(f"GET {PATH}\r\n".encode(), ()),
    "HTTP/2 as its preface says": Exchange(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400,)),
    "asked first": posted((100, 200), LENGTH, "Expect: 100-continue"),
    "asked first, in capitals": posted((100, 200), LENGTH, "Expect: 100-CONTINUE"),
    "asked first for something else": posted((200,), LENGTH, "Expect: nothing"),
    "chunks": posted((200,), "Transfer-Encoding: chunked", body=chunked([KEYED[:5], KEYED[5:]])),
    "chunks in capitals": posted((200,), "Transfer-Encoding: CHUNKED", body=chunked([KEYED])),
    "chunks with an extension": posted(
        (200,), "Transfer-Encoding: chunked", body=b"18;a=b\r\n" + KEYED + b"\r\n0\r\n\r\n"
    ),
    "chunks with a trailer": posted(
        (200,), "Transfer-Encoding: chunked", body=chunked([KEYED])[:-2] + b"X-End: 1\r\n\r\n"
    ),
    "a chunk of no size": posted((400,), "Transfer-Encoding: chunked", body=b"zz\r\n"),
    "chunks and a length": posted((400,), "Transfer-Encoding: chunked", LENGTH, body=chunked([KEYED])),
    "a length and chunks": posted((400,), LENGTH, "Transfer-Encoding: chunked", body=chunked([KEYED])),
    "an encoding that is not known": posted((400,), "Transfer-Encoding: gzip"),
    "an encoding before chunks": posted((400,), "Transfer-Encoding: gzip, chunked", body=chunked([KEYED])),
    "an encoding before chunks, on two lines": posted(
        (400,), "Transfer-Encoding: gzip", "Transfer-Encoding: chunked", body=chunked([KEYED])
    ),
    "an encoding after chunks": posted((400,), "Transfer-Encoding: chunked, gzip", body=chunked([KEYED])),
    "no encoding": posted((400,), "Transfer-Encoding: identity", LENGTH),
    "an encoding hidden by a tab": posted(
        (400,), "Transfer-Encoding:\tchunked", LENGTH, body=chunked([KEYED])
    ),
    "chunks over the limit": posted(
        (413,), "Transfer-Encoding: chunked", body=chunked([b" " * BODY_LIMIT, KEYED])
    ),
    "lines that end with a line feed": Exchange(post(KEYED, path=PATH).replace(b"\r\n", b"\n"), (400,)),
    "one line that ends with a line feed": Exchange(
        post(KEYED, path=PATH).replace(b"\r\n", b"\n", 1), (400,)
    ),
    "lines that end with a carriage return": Exchange(post(KEYED, path=PATH).replace(b"\r\n", b"\r"), (400,)),
    "empty lines before": Exchange(b"\r\n\r\n" + post(KEYED, path=PATH), (200,)),
    "a space before": Exchange(b" " + post(KEYED, path=PATH), (400,)),
    "TLS": Exchange(bytes.fromhex("16030100c8010000c40303") + b"\x11" * 190, (400,)),
    "nothing known": Exchange(b"\0\1\2\3\r\n\r\n", (400,)),
    "a line of nothing else": Exchange(b"HELLO\r\n\r\n", (400,)),
    "a head that does not end": Exchange(post(KEYED, path=PATH).partition(b"\r\n\r\n")[0], ()),
    "a body that does not end": Exchange(post(KEYED, path=PATH)[:-1], ()),
    "two at once": Exchange(post(KEYED, path=PATH) * 2, (200, 200)),
    "a close between two": Exchange(
        post(KEYED, "Connection: close", path=PATH) + post(KEYED, path=PATH), (200,)
    ),
}

REFUSED: Exchanges = {
    **{
        f"{code} of {model} ({number})": asked(
            orjson.dumps(body), status, path=f"/v1/models/{quote(model)}/predict"
        )
        for number, (model, body, status, code, _) in enumerate([*ROWS, *REQUESTS])
        if code != "stale"  # it says how old the row is, and that changes
    },
    **{
        f"{code} of a body ({number})": asked(body, status, kind=kind)
        for number, (body, kind, status, code) in enumerate(BODIES)
    },
}

SPOILT: Exchanges = {
    name: asked(KEYED, status, path=f"/v1/models/{name}/predict")
    for name, status in {"altered": 500, "lost": 500, "foreign": 500, "hollow": 500, "unread": 502}.items()
}

INFERRING: Exchanges = {f"infer: {name}": Exchange(*one) for name, one in INFERRED.items()}

OPEN: Exchanges = {**ANSWERED, **PATHS, **FIELDS, **CONNECTIONS, **REFUSED, **SPOILT, **INFERRING}

LOCKED: Exchanges = {
    "no token": asked(KEYED, 401),
    "an unknown token": asked(KEYED, 401, "Authorization: Bearer guess"),
    "a token to predict": asked(KEYED, 404, f"Authorization: Bearer {READER}"),
    "a token for everything": asked(KEYED, 404, f"Authorization: Bearer {OWNER}"),
    "a scheme in capitals": asked(KEYED, 404, f"AUTHORIZATION: BEARER {READER}"),
    "a token between spaces": asked(KEYED, 404, f"Authorization: Bearer   {READER}  "),
    "a token of nothing": asked(KEYED, 401, "Authorization: Bearer "),
    "a token beyond ASCII": asked(KEYED, 401, "Authorization: Bearer Zo\xeb"),
    "a token without a scheme": asked(KEYED, 401, f"Authorization: {READER}"),
    "another scheme": asked(KEYED, 401, "Authorization: Basic cmVhZGVyOnJlYWRlcg=="),
    "two tokens, the first good": asked(
        KEYED, 404, f"Authorization: Bearer {READER}", "Authorization: Bearer guess"
    ),
    "two tokens, the second good": asked(
        KEYED, 401, "Authorization: Bearer guess", f"Authorization: Bearer {READER}"
    ),
    "a body that is none, and no token": asked(b"{", 401),
    "a body that is too large, and no token": asked(b" " * (BODY_LIMIT + 1), 413, "Expect: 100-continue"),
    "another host": lined((401,), f"POST {PATH} HTTP/1.1", "Host: evil.example", LENGTH, body=KEYED),
    "a token, and no host": lined(
        (400,), f"POST {PATH} HTTP/1.1", f"Authorization: Bearer {READER}", LENGTH, body=KEYED
    ),
}

"""Keys in text, one a line: every one is found, a walk may stop after any step, and what is no key is named."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import BadRequest
from server.batch.parts import Step
from server.batch.sources import gathering, in_files
from tests.unit.server.batch.walking import into, keys_in, keys_of, steps_of

LINES = st.lists(st.binary(max_size=40).filter(lambda line: not set(line) & set(b"\0\n\r\xef")), max_size=60)
ENDS = st.sampled_from([b"\n", b"\r\n"])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks and steps so small that a few lines make many."""
    monkeypatch.setattr(in_files, "BLOCK_BYTES", 64)
    monkeypatch.setattr(gathering, "STEP_ROWS", 5)
    monkeypatch.setattr(gathering, "ENOUGH_ROWS", 3)


@pytest.fixture
def standard_input() -> Iterator[int]:
    """What is written to the descriptor comes as standard input."""
    kept = os.dup(0)
    reads, writes = os.pipe()
    os.dup2(reads, 0)
    os.close(reads)
    yield writes
    os.dup2(kept, 0)
    os.close(kept)


@given(LINES, ENDS, st.booleans())
@settings(max_examples=40, deadline=None)
async def test_any_lines_are_given_back_from_any_step_on(lines: list[bytes], end: bytes, ended: bool) -> None:
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(in_files, "BLOCK_BYTES", 64)
        patch.setattr(gathering, "STEP_ROWS", 5)
        patch.setattr(gathering, "ENOUGH_ROWS", 3)
        path = Path(folder) / "keys.txt"
        path.write_bytes(end.join(lines) + (end if ended else b""))
        source = keys_in(path)

        steps = await steps_of(source)

        wanted = [line for line in lines if line.strip()]
        assert keys_of(steps) == wanted
        assert max(len(step.part) for step in steps) <= 5
        assert steps[-1].share == 1.0
        for taken in range(1, len(steps) + 1):
            rest = await steps_of(source, steps[taken - 1].position)
            again = keys_of(steps[:taken]) + keys_of(rest)
            assert len(again) <= len(wanted) + 64  # those of a block that was split come again
            assert keys_of(rest) == wanted[len(wanted) - len(keys_of(rest)) :]
            assert len(again) >= len(wanted)
            assert not any(step.anew for step in rest)


async def test_a_file_of_many_blocks_is_read_in_bounded_steps(tmp_path: Path) -> None:
    keys = [b"k:%d" % number for number in range(50_000)]
    (tmp_path / "keys.txt").write_bytes(b"\n".join(keys))

    steps = await steps_of(keys_in(tmp_path / "keys.txt"))

    assert keys_of(steps) == keys
    assert max(len(step.part) for step in steps) <= 4096
    assert [step.share for step in steps] == sorted(step.share for step in steps)
    assert keys_in(tmp_path / "keys.txt").strict


async def test_a_byte_order_mark_is_no_part_of_a_key(tmp_path: Path) -> None:
    (tmp_path / "keys.txt").write_bytes(b"\xef\xbb\xbfk:1\r\nk:2")

    assert keys_of(await steps_of(keys_in(tmp_path / "keys.txt"))) == [b"k:1", b"k:2"]


async def test_an_empty_file_is_one_empty_step(tmp_path: Path) -> None:
    (tmp_path / "keys.txt").touch()

    assert [(len(step.part), step.share) for step in await steps_of(keys_in(tmp_path / "keys.txt"))] == [
        (0, 1.0)
    ]


@pytest.mark.usefixtures("small")
async def test_a_file_that_was_changed_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    path.write_text("\n".join(f"k:{number}" for number in range(100)))
    part_way = (await steps_of(keys_in(path)))[3]

    path.write_text("\n".join(f"k:{number}" for number in range(50, 151)))
    rest = await steps_of(keys_in(path), part_way.position)

    assert rest[0].anew
    assert keys_of(rest) == [b"k:%d" % number for number in range(50, 151)]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"k:\0", "which has a NUL byte"),
        (b"k" * 1025, "is over 1024 bytes"),
        (b"k" * 9999, "is over 1024 bytes"),
    ],
)
async def test_a_line_that_is_no_key_is_named(tmp_path: Path, line: bytes, why: str) -> None:
    path = tmp_path / "keys.txt"
    path.write_bytes(b"k:1\n\n" * 20 + line + b"\nk:2\n")
    source = keys_in(path)
    steps: list[Step] = []

    with pytest.raises(BadRequest, match=f"line 41 of .*keys.txt.* {why}"):
        await into(steps, source)
    with pytest.raises(BadRequest, match=r"line 41 of"):
        await steps_of(source, steps[-1].position)


async def test_the_longest_key_is_taken(tmp_path: Path) -> None:
    (tmp_path / "keys.txt").write_bytes(b"\xef\xbb\xbf" + b"k" * 1024 + b"\r\n" + b"k" * 1024)

    assert keys_of(await steps_of(keys_in(tmp_path / "keys.txt"))) == [b"k" * 1024] * 2


async def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"none.txt is not there, as seen from"):
        await steps_of(keys_in(tmp_path / "none.txt"))
    with pytest.raises(BadRequest, match="is a directory; name one file in it"):
        await steps_of(keys_in(tmp_path))


async def test_what_the_system_says_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="cannot be read: File name too long"):
        await steps_of(keys_in(tmp_path / ("k" * 300)))


def test_a_column_of_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="so it has no column 'id'"):
        keys_in(tmp_path / "keys.txt", "id")


async def test_standard_input_is_read_once(standard_input: int) -> None:
    os.write(standard_input, b"k:1\nk:2\n\nk:3")
    os.close(standard_input)

    steps = await steps_of(keys_in("-"))

    assert keys_of(steps) == [b"k:1", b"k:2", b"k:3"]
    assert steps[-1].share == 1.0


async def test_standard_input_cannot_be_taken_up(
    standard_input: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "LINGER_SECONDS", -1.0)
    os.write(standard_input, b"k:1\nk:2\n")
    walk = keys_in("-").steps("")
    first = await anext(walk)
    os.close(standard_input)

    with pytest.raises(BadRequest, match=r"standard input cannot be read again.*--only-missing"):
        await steps_of(keys_in("-"), first.position)


async def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    Thread(target=path.write_bytes, args=(b"k:1\nk:2\n",)).start()

    steps = await steps_of(keys_in(path))

    assert keys_of(steps) == [b"k:1", b"k:2"]
    with pytest.raises(BadRequest, match="pipe cannot be read again"):
        await steps_of(keys_in(path), '{"at":4}')

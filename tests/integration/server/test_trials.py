"""A warm process forks one for each trial: quick, bounded, and nothing of it outlives what asked for it."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from models.errors import BadModelFile
from server.inference.admission import Trial
from server.inference.errors import ModelNotLoadable
from server.inference.trials import Trials
from tests.graphs import bundle, crashing, dense, f32, greedy, looping, numbered, running_total, scaled
from tests.integration.server.conftest import until
from tests.serving import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are made on Linux alone")

MARK = (8 << 30) + 10 * os.getpid()  # other processes of the suite start nurseries too
NEVER_ENDS = looping(1 << 60)
SOON_SECONDS = 10.0

StartTrials = Callable[..., Awaitable[Trials]]


@pytest.fixture
async def trials() -> AsyncIterator[StartTrials]:
    async with AsyncExitStack() as stack:

        async def start(memory_bytes: int = MARK, seconds: float = 30, **said: Any) -> Trials:
            one = Trials(memory_bytes, seconds, **said)
            stack.push_async_callback(one.close)
            await one.start()
            return one

        yield start


def commands() -> dict[int, bytes]:
    """The command line of every process."""
    found = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError):  # it ended meanwhile
            if entry.name.isdigit() and entry.joinpath("stat").read_text().rpartition(")")[2][1] != "Z":
                found[int(entry.name)] = (entry / "cmdline").read_bytes()
    return found


def nurseries(mark: int = MARK) -> list[int]:
    """The nurseries and their forks of this test, oldest first."""
    told = str(mark).encode()
    return sorted(pid for pid, line in commands().items() if b"nursery" in line and told in line)


def about(pid: int, file: str) -> str:
    """What the system says about a process."""
    return Path(f"/proc/{pid}/{file}").read_text()


def priority(pid: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, pid)


async def test_a_good_file_is_tried_and_judged(trials: StartTrials) -> None:
    one = await trials()

    apart = await one.tried(numbered(bundle(scaled())))
    coupled = await one.tried(numbered(bundle(running_total())))

    assert (apart.rows, coupled.rows) == ("apart", "coupled")
    assert 0 < apart.memory_bytes < 1 << 20


async def test_a_file_that_crashes_is_refused_by_the_signal_it_ended_with(trials: StartTrials) -> None:
    one = await trials()

    with pytest.raises(ModelNotLoadable, match=r"version 4 of model 'm'.*signal SIGFPE") as caught:
        await one.tried(numbered(bundle(crashing()), 4))

    assert "nothing was published" not in str(caught.value)
    assert (await one.tried(numbered(bundle(scaled())))).rows == "apart"


async def test_a_file_that_eats_memory_is_refused(trials: StartTrials) -> None:
    one = await trials(memory_bytes=4 << 30)

    with pytest.raises(ModelNotLoadable, match="takes more memory than a model may have here"):
        await one.tried(numbered(bundle(greedy())))


async def test_a_file_that_does_not_fit_into_the_memory_of_a_trial_is_refused(trials: StartTrials) -> None:
    one = await trials(memory_bytes=256 << 20)
    large = bundle(dense(f32([[0.5] * (40 << 20)])))

    with pytest.raises(ModelNotLoadable, match=r"takes more memory|bad_alloc|bad allocation"):
        await one.tried(numbered(large))


async def test_a_file_without_an_end_is_refused_in_time_and_gives_way_meanwhile(trials: StartTrials) -> None:
    one = await trials(seconds=3)
    started = time.monotonic()

    trial = asyncio.create_task(one.tried(numbered(bundle(NEVER_ENDS))))
    await until(lambda: len(nurseries()) == 2)
    await until(lambda: priority(nurseries()[1]) == 19)

    with pytest.raises(ModelNotLoadable, match="did not load and run once within 3 s"):
        await trial
    assert 2.5 < time.monotonic() - started < SOON_SECONDS
    assert len(nurseries()) == 1


async def test_other_trials_go_on_beside_one_that_hangs(trials: StartTrials) -> None:
    one = await trials()
    hanging = asyncio.create_task(one.tried(numbered(bundle(NEVER_ENDS))))
    await until(lambda: len(nurseries()) == 2)

    async with asyncio.timeout(SOON_SECONDS):
        verdicts = await asyncio.gather(
            *(one.tried(numbered(bundle(scaled(float(number))))) for number in range(8))
        )

    assert {verdict.rows for verdict in verdicts} == {"apart"}
    hanging.cancel()


async def test_a_trial_that_is_given_up_leaves_no_process(trials: StartTrials) -> None:
    one = await trials()
    trial = asyncio.create_task(one.tried(numbered(bundle(NEVER_ENDS))))
    await until(lambda: len(nurseries()) == 2)

    trial.cancel()
    await asyncio.gather(trial, return_exceptions=True)

    await until(lambda: len(nurseries()) == 1)


async def test_closing_leaves_no_process(trials: StartTrials) -> None:
    one = await trials()
    trial = asyncio.create_task(one.tried(numbered(bundle(NEVER_ENDS))))
    await until(lambda: len(nurseries()) == 2)

    trial.cancel()
    await one.close()

    await until(lambda: nurseries() == [])


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_trial_whose_nursery_is_killed_is_made_again(trials: StartTrials, sent: int) -> None:
    one = await trials(seconds=3)
    trial = asyncio.create_task(one.tried(numbered(bundle(NEVER_ENDS))))
    await until(lambda: len(nurseries()) == 2)
    killed, fork = nurseries()

    os.kill(killed, sent)

    await until(lambda: not {killed, fork} & commands().keys())
    with pytest.raises(ModelNotLoadable, match="did not load and run once within 3 s"):
        await trial
    assert (await one.tried(numbered(bundle(scaled())))).rows == "apart"
    assert len(nurseries()) == 1


async def test_a_trial_goes_on_where_every_nursery_is_killed(
    trials: StartTrials, caplog: pytest.LogCaptureFixture
) -> None:
    one = await trials()
    trial = asyncio.create_task(one.tried(numbered(bundle(looping(300_000)))))
    for _ in range(2):
        await until(lambda: len(nurseries()) == 2)
        os.kill(nurseries()[0], signal.SIGKILL)
        await until(lambda: len(nurseries()) != 2)

    assert (await trial).reason is None
    assert caplog.text.count("it is started again") == 2


@pytest.mark.parametrize("ignored", [signal.SIGTERM, signal.SIGINT])
async def test_signals_to_the_whole_group_end_the_server_and_not_the_nursery_before_it(
    trials: StartTrials, ignored: int
) -> None:
    one = await trials()
    await one.tried(numbered(bundle(scaled())))
    (nursery,) = nurseries()

    os.kill(nursery, ignored)

    await one.tried(numbered(bundle(scaled(3.0))))
    assert nurseries() == [nursery]


async def test_the_nursery_has_one_thread_and_little_memory(trials: StartTrials) -> None:
    one = await trials()
    await one.tried(numbered(bundle(scaled())))
    (nursery,) = nurseries()

    facts = dict(line.split(":\t", 1) for line in about(nursery, "status").splitlines())

    assert facts["Threads"].strip() == "1"
    assert int(facts["RssAnon"].split()[0]) < 50 << 10
    maps = about(nursery, "maps")
    assert not [name for name in ("onnx_cpp2py", "uvloop", "httptools") if name in maps]


async def test_a_server_that_is_killed_leaves_no_nursery_and_no_fork() -> None:
    mark = MARK + 1
    program = f"""
import asyncio
from server.inference.trials import Trials
from tests.graphs import bundle, looping, numbered
asyncio.run(Trials({mark}, 60).tried(numbered(bundle(looping(1 << 60)))))
"""
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", program, cwd=ROOT)
    await until(lambda: len(nurseries(mark)) == 2)

    server.kill()
    await server.wait()

    await until(lambda: nurseries(mark) == [])


CALLED = """
import os, socket
from server.inference import nursery
{before}
server, control = socket.socketpair()
trial, connection = socket.socketpair()
socket.send_fds(server, [b"t"], [connection.fileno()])
connection.close()
{between}
nursery.Nursery(control, 1 << 40, 60).run()
"""
NO_PROCESSES = """
def refused():
    raise BlockingIOError(11, "Resource temporarily unavailable")
os.fork = refused
"""


async def printed(program: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(SOON_SECONDS):
        return (await process.communicate())[0].decode()


async def test_a_system_without_room_for_a_process_is_told() -> None:
    program = CALLED.format(before=NO_PROCESSES, between="server.close()")

    told = await printed(program + "print(trial.recv(1000))")

    assert "Resource temporarily unavailable\\nended 1" in told


async def test_a_server_that_leaves_in_the_middle_of_a_bundle_ends_its_trial() -> None:
    ending = "import threading; trial.shutdown(socket.SHUT_WR); threading.Timer(1, server.close).start()"

    told = await printed(CALLED.format(before="", between=ending) + "print(trial.recv(100_000))")

    assert "struct.error" in told
    assert "\\nended 1" in told


async def test_a_trial_that_outlives_its_own_limits_is_given_up(
    trials: StartTrials, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await trials(seconds=60)
    await one.tried(numbered(bundle(scaled())))
    for module in ("trials", "admission"):
        monkeypatch.setattr(f"server.inference.{module}.GRACE_SECONDS", -59.0)

    with pytest.raises(ModelNotLoadable, match="did not load and run once within 60 s"):
        await one.tried(numbered(bundle(NEVER_ENDS)))
    with pytest.raises(BadModelFile, match="did not load and run once within 60 s"):
        await Trial(seconds=60).admit(bundle(NEVER_ENDS))

    await until(lambda: nurseries() == [])


async def test_a_nursery_that_was_stopped_refuses_no_model_and_is_replaced(
    trials: StartTrials, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = await trials(seconds=10)
    (stopped,) = nurseries()
    os.kill(stopped, signal.SIGSTOP)
    monkeypatch.setattr("server.inference.trials.GRACE_SECONDS", -9.8)

    verdict = await one.tried(numbered(bundle(scaled())))
    await one.start()

    assert verdict.rows == "apart"
    assert "does not answer; it is ended" in caplog.text
    await until(lambda: len(nurseries()) == 1 and nurseries() != [stopped])


async def test_trials_that_lose_their_nursery_together_share_the_next_one(trials: StartTrials) -> None:
    one = await trials(seconds=2)
    both = [asyncio.create_task(one.tried(numbered(bundle(NEVER_ENDS), version))) for version in (1, 2)]
    await until(lambda: len(nurseries()) == 3)

    os.kill(nurseries()[0], signal.SIGKILL)

    found = await asyncio.gather(*both, return_exceptions=True)
    assert [type(one) for one in found] == [ModelNotLoadable, ModelNotLoadable]
    assert len(nurseries()) == 1


async def test_a_file_that_was_tried_well_is_not_tried_again_and_a_refused_one_is(
    trials: StartTrials,
) -> None:
    one = await trials()
    good, bad = numbered(bundle(scaled())), numbered(bundle(crashing()))
    first = await one.tried(good)
    with pytest.raises(ModelNotLoadable):
        await one.tried(bad)
    await one.close()

    again = await one.tried(numbered(bundle(scaled(), "other"), 7))

    assert again is first
    assert nurseries() == []
    with pytest.raises(ModelNotLoadable):
        await one.tried(bad)
    assert len(nurseries()) == 1


async def test_only_so_many_verdicts_are_remembered(
    trials: StartTrials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.inference.trials.KNOWN_MOST", 2)
    one = await trials()
    every = [numbered(bundle(scaled(float(number)))) for number in range(3)]

    verdicts = [await one.tried(each) for each in every]

    assert await one.tried(every[2]) is verdicts[2]
    assert await one.tried(every[0]) is not verdicts[0]


async def test_the_same_bytes_worded_otherwise_are_another_file(trials: StartTrials) -> None:
    one = await trials()
    weights = f32([[1.0, 0.0], [0.0, 1.0]])
    await one.admit(bundle(dense(weights)))

    with pytest.raises(BadModelFile, match=r"gives no probabilities.*; nothing was published"):
        await one.admit(bundle(dense(weights), labels=("a", "b")))


async def test_what_cannot_be_worded_is_loaded_all_the_same(trials: StartTrials) -> None:
    one = await trials()

    weights = f32([[1.0, 0.0], [0.0, 1.0]])

    verdict = await one.tried(numbered(bundle(dense(weights), labels=("a", "b"))))

    assert "gives no probabilities" in (verdict.wording or "")


async def test_a_nursery_that_others_use_too_outlives_one_of_them(
    trials: StartTrials, nursery: socket.socket
) -> None:
    one, other = await trials(nursery=nursery), await trials(nursery=nursery)
    await one.tried(numbered(bundle(scaled())))

    await one.close()

    assert (await other.tried(numbered(bundle(scaled(3.0))))).rows == "apart"
    assert nurseries() == []


async def test_a_nursery_of_others_that_has_ended_is_replaced_by_one_of_its_own(trials: StartTrials) -> None:
    ended, theirs = socket.socketpair()
    theirs.close()
    with ended:
        one = await trials(nursery=ended)

    assert (await one.tried(numbered(bundle(scaled())))).rows == "apart"
    assert len(nurseries()) == 1


async def test_where_nothing_forks_each_trial_is_a_whole_process(trials: StartTrials) -> None:
    one = await trials(forks=False)

    verdict = await one.tried(numbered(bundle(running_total())))
    with pytest.raises(ModelNotLoadable, match="SIGFPE"):
        await one.tried(numbered(bundle(crashing())))

    assert verdict.rows == "coupled"
    assert nurseries() == []

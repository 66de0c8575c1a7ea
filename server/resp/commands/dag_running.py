"""The runs of a DAG: those that do not need one another's outputs are under way at once.

What comes of it is as if they had run one after the other and stopped at the first that fails: a run
after that one has not been, whatever it gave.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.errors import InsituError
from models.tensor_strings import StoredTensor
from server.resp.caller import Caller
from server.resp.commands.dag_parsing import Dag, Execute, SetTensor
from server.resp.commands.executing import run
from server.resp.commands.stored_models import Stored

PART_RUNS = 256  # that are begun before others have their turn
RUNS_AT_ONCE = 8  # of one DAG
SMALL_ROWS = (
    256  # more are a batch of their own: such runs come one after another, and leave room in the queue
)


@dataclass(slots=True)
class Course:
    """How far a DAG came: the tensor at each place, None where none came to be, and the run that failed."""

    tensors: list[StoredTensor | None]
    failed: Execute | None = None
    error: InsituError | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """What the runs of one DAG share.

    Units: deadline, seconds of time.monotonic; None takes the server's own limit for each run.
    """

    caller: Caller
    models: Mapping[bytes, Stored]
    tensors: list[StoredTensor | None]
    deadline: float | None

    async def run(self, step: Execute) -> None:
        """Run a model, and put its outputs in their places.

        Raises: as `executing.run`.
        """
        outputs = await run(self.caller, self.models[step.model], self.inputs(step), self.deadline)
        self.tensors[step.outputs.start : step.outputs.stop] = outputs

    def inputs(self, step: Execute) -> list[StoredTensor]:
        """Return the tensors that a run takes, all of which are there."""
        return [tensor for place in step.inputs if (tensor := self.tensors[place]) is not None]

    async def run_after(self, needed: Sequence["asyncio.Task[None]"], step: Execute, turns: "Turns") -> None:
        """Run a model once others have run, and when it is its turn.

        Raises: as `executing.run`; what one of the others raised.
        """
        if needed:
            await asyncio.wait(needed)
            for task in needed:
                task.result()
        async with turns.of(self.inputs(step)):
            await self.run(step)


class Turns:
    """How many runs of one DAG are under way at once."""

    def __init__(self) -> None:
        self._few = asyncio.Semaphore(RUNS_AT_ONCE)
        self._alone = asyncio.Lock()

    def of(self, inputs: Sequence[StoredTensor]) -> asyncio.Semaphore | asyncio.Lock:
        """Return what a run of these tensors waits for, and holds until it ends."""
        small = all(tensor.shape[:1] <= (SMALL_ROWS,) for tensor in inputs)
        return self._few if small else self._alone


async def ran(
    caller: Caller,
    dag: Dag,
    loaded: Sequence[StoredTensor],
    models: Mapping[bytes, Stored],
    deadline: float | None,
) -> Course:
    """Run a DAG on the tensors that it loads, up to the first run that fails."""
    tensors = [*loaded, *[None] * (dag.places - len(loaded))]
    course, executes = Course(tensors), []
    for step in dag.steps:
        if isinstance(step, SetTensor):
            tensors[step.place] = step.tensor
        elif isinstance(step, Execute):
            executes.append(step)
    running = Running(caller, models, tensors, deadline)
    if len(executes) == 1:
        await run_one(running, executes[0], course)
    elif executes:
        await run_all(running, executes, course)
    return course


async def run_one(running: Running, step: Execute, course: Course) -> None:
    """Run the only model of a DAG."""
    try:
        await running.run(step)
    except InsituError as error:
        course.failed, course.error = step, error


async def run_all(running: Running, steps: Sequence[Execute], course: Course) -> None:
    """Run models, each as soon as its inputs are there; the outputs from the first that fails on are none."""
    tasks: list[asyncio.Task[None]] = []
    try:
        await begin(running, steps, tasks)
        for at, task in enumerate(tasks):
            try:
                await asyncio.wait([task])
                task.result()
            except InsituError as error:
                course.failed, course.error = steps[at], error
                break
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if course.failed is not None:
        forget(course, steps[steps.index(course.failed) :])


async def begin(running: Running, steps: Sequence[Execute], tasks: list["asyncio.Task[None]"]) -> None:
    """Begin to run models, a task each; between many of them others have their turn."""
    makers: dict[int, asyncio.Task[None]] = {}
    turns = Turns()
    for step in steps:
        needed = {makers[place] for place in step.inputs if place in makers}
        task = asyncio.create_task(running.run_after([*needed], step, turns))
        tasks.append(task)
        makers.update(dict.fromkeys(step.outputs, task))
        if len(tasks) % PART_RUNS == 0:
            await asyncio.sleep(0)


def forget(course: Course, steps: Sequence[Execute]) -> None:
    """Take back what steps have put out, who should not have run."""
    for step in steps:
        for place in step.outputs:
            course.tensors[place] = None

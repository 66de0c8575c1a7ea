"""AI.TENSORSET and AI.TENSORGET: tensors in strings of the caller's database.

Source: what RedisAI answers, error texts included, but for three things: negative integers may be
given as VALUES, a number that is no finite one of the type is refused, and every byte of BOOL is
looked at.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from io import BytesIO
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from models.tensor_strings import (
    AXES_LIMIT,
    DTYPES,
    POINTER,
    TRAILER_LIMIT_BYTES,
    StoredTensor,
    glimpsed,
    pack,
    trailer_of,
    unpack,
)
from server.resp.caller import Caller, Word
from server.resp.commands.command import Command, Queued, Words
from server.resp.commands.many_words import read_by
from server.resp.commands.tensor_heads import Heads
from server.resp.commands.tensor_scripts import CHECK, STORE
from server.resp.commands.tensor_values import (
    STRING_LIMIT_BYTES,
    of_blob,
    of_words,
    too_many_values,
    values_parts,
    wrong_shape,
    zeros,
)
from server.resp.refusals import WRONG_TYPE, Refused, refused
from server.resp.wire.frames import END
from server.resp.wire.long_replies import PART_BYTES, put_together
from server.resp.wire.replies import OK, Encoder, array, bulk, error, integer

DIM_DIGITS = 19  # of a 64-bit number
TYPES = {dtype.encode(): dtype for dtype in DTYPES}
NO_TENSOR = "ERR tensor key is empty or in a different shard"
META, BLOB, VALUES = b"META", b"BLOB", b"VALUES"
# More is looked for by a script and set by a command: Lua makes copies and keeps the memory of them, which Redis
# does not count. Whoever puts something else at the key between the two is overwritten, as by SET.
SCRIPT_BYTES = 1 << 20
COPIED_BYTES = 1 << 16  # of a tensor that is put together with its trailer


class TensorGet(NamedTuple):
    """What AI.TENSORGET asks for: of which key, whether type and shape, and the elements as "blob", "values" or not."""

    key: bytes
    meta: bool
    form: str | None


heads = Heads()


def parse_tensorset(args: Words) -> tuple[bytes, StoredTensor]:
    """Return the key and the tensor of an AI.TENSORSET, its words after the name.

    Raises: Refused, in the words that it has inside a DAG for a wrong number of arguments.
    """
    if len(args) < 3:
        raise Refused("wrong number of arguments for 'AI.TENSORSET' command")
    return args[0], heads.tensor(args) or parsed_tensor(args)


def parsed_tensor(args: Words) -> StoredTensor:
    """Return the tensor of an AI.TENSORSET, word by word.

    Raises: Refused.
    """
    dtype = TYPES.get(args[1]) or TYPES.get(args[1].upper())
    if dtype is None:
        raise refused("invalid data type")
    shape, form, at = parsed_shape(args)
    given = args[at:]
    if form == VALUES:
        return StoredTensor(dtype, shape, of_words(dtype, shape, given))
    if form is None:
        return StoredTensor(dtype, shape, zeros(dtype, shape))
    tensor = StoredTensor(dtype, shape, of_blob(dtype, shape, given))
    heads.keep(args, tensor)
    return tensor


def parsed_shape(args: Words) -> tuple[tuple[int, ...], bytes | None, int]:
    """Return the dimensions, the word that ends them (BLOB, VALUES or none), and where what follows it begins.

    Raises: Refused.
    """
    shape: list[int] = []
    for at in range(2, len(args)):
        word = args[at]
        if is_dim(word) and len(shape) < AXES_LIMIT:
            shape.append(int(word))
            continue
        form = word[: len(VALUES) + 1].upper()
        if form not in {BLOB, VALUES}:
            raise wrong_shape()
        return tuple(shape), form, at + 1
    return tuple(shape), None, len(args)


def is_dim(word: bytes) -> bool:
    """Whether a word is a whole number from 1, written as Redis writes it."""
    return len(word) <= DIM_DIGITS and word.isdigit() and not word.startswith(b"0")


def parse_tensorget(args: Words) -> TensorGet:
    """Return what an AI.TENSORGET asks for, its words after the name.

    Raises: Refused, in the words that it has inside a DAG for a wrong number of arguments.
    """
    if not 1 <= len(args) <= 3:
        raise Refused("wrong number of arguments for 'AI.TENSORGET' command")
    meta, form = FORMS.get(tuple(args[1:])) or parsed_form(args[1:])
    return TensorGet(args[0], meta, form)


def parsed_form(words: Words) -> tuple[bool, str | None]:
    """Return whether META is asked for, and in which form the elements are.

    Raises: Refused.
    """
    said = {word.upper() for word in words}
    if not said <= {META, BLOB, VALUES}:
        raise refused("unsupported data format")
    if {BLOB, VALUES} <= said:
        raise refused("both BLOB and VALUES specified")
    return META in said, "blob" if BLOB in said else "values" if VALUES in said else None


ONLY_META = (True, None)
FORMS: dict[tuple[bytes, ...], tuple[bool, str | None]] = {
    (): (True, "blob"),
    (META,): ONLY_META,
    (BLOB,): (False, "blob"),
    (VALUES,): (False, "values"),
    (META, BLOB): (True, "blob"),
    (META, VALUES): (True, "values"),
}


async def replied(
    wire: Encoder, tensor: StoredTensor, wanted: TensorGet, made: Callable[[int], object] = int
) -> bytes:
    """Return a tensor as AI.TENSORGET answers it; between parts of many elements others have their turn.

    `made` hears how long each part is that was made of a long reply.

    Raises: Refused, elements one by one that take more bytes than a reply has; what `made` raises.
    """
    if wanted.form == "values":
        reply = BytesIO()  # it hands out what it holds without copying it
        reply.write(
            b"*6\r\n%b$6\r\nvalues\r\n" % described(tensor.dtype, tensor.shape) if wanted.meta else b""
        )
        for at, part in enumerate(values_parts(wire, tensor)):
            if at:
                await asyncio.sleep(0)
                made(len(part))
            reply.write(part)
            if reply.tell() > STRING_LIMIT_BYTES:
                raise too_many_values()
        return reply.getvalue()
    if wanted.form is None or len(tensor.data) <= PART_BYTES:
        return tensor_reply(tensor, wanted)
    return await put_together((blob_head(tensor, wanted), tensor.data, END))


def tensor_reply(tensor: StoredTensor, wanted: TensorGet) -> bytes:
    """Return a tensor as AI.TENSORGET answers it, in one go and without its elements one by one."""
    if wanted.form is None:
        return b"*4\r\n" + described(tensor.dtype, tensor.shape)
    return b"".join((blob_head(tensor, wanted), tensor.data, END))


def blob_head(tensor: StoredTensor, wanted: TensorGet) -> bytes:
    """Return what comes before the bytes of a tensor in a reply that has them."""
    size = b"$%d\r\n" % len(tensor.data)
    return (
        b"*6\r\n%b$4\r\nblob\r\n%b" % (described(tensor.dtype, tensor.shape), size) if wanted.meta else size
    )


@lru_cache(1024)
def described(dtype: str, shape: tuple[int, ...]) -> bytes:
    """Return the four elements of a reply that tell type and shape."""
    dims = array([*map(integer, shape)])
    return b"".join((bulk("dtype"), bulk(dtype), bulk("shape"), dims))


def tensor_of(reply: Any) -> StoredTensor:
    """Return the tensor that the reply of a GET holds.

    Raises: Refused, no such key, no tensor, or what Redis says.
    """
    if reply is None:
        raise Refused(NO_TENSOR)
    if isinstance(reply, ResponseError):
        raise Refused(str(reply))
    tensor = unpack(reply)
    if tensor is None:
        raise Refused(WRONG_TYPE)
    return tensor


async def read_tensors(caller: Caller, keys: Sequence[bytes]) -> list[StoredTensor]:
    """Return the tensors at keys, read in one round trip.

    Raises: Refused, for the first key that holds none; RedisUnavailable.
    """
    return [tensor_of(reply) for reply in await caller.redis([("GET", key) for key in keys])] if keys else []


async def store_tensors(caller: Caller, pairs: Sequence[tuple[bytes, StoredTensor]]) -> None:
    """Store tensors all at once, or none where a key holds something else.

    Raises: Refused; RedisUnavailable.
    """
    if not pairs:
        return
    keys, values, size = await read_by(packed, pairs)
    if size <= SCRIPT_BYTES:
        allowed(await caller.script(STORE, keys, values))
        return
    allowed(await caller.script(CHECK, keys))
    (reply,) = await caller.redis(
        [("MSET", *[word for pair in zip(keys, values, strict=True) for word in pair])]
    )
    allowed(reply)


def packed(pairs: Sequence[tuple[bytes, StoredTensor]]) -> tuple[list[bytes], list[Word], int]:
    """Return keys, the tensors for them as they are stored, long ones in parts, and how many bytes those have."""
    values: list[Word] = []
    size = 0
    for _, tensor in pairs:
        trailer = trailer_of(tensor.dtype, tensor.shape)
        size += len(tensor.data) + len(trailer)
        values.append(
            (tensor.data, trailer) if len(tensor.data) > COPIED_BYTES else b"".join((tensor.data, trailer))
        )
    return [key for key, _ in pairs], values, size


def allowed(reply: Any) -> None:
    """Go on where Redis did what it was asked to.

    Raises: Refused, in its words.
    """
    if isinstance(reply, ResponseError):
        raise Refused(str(reply))


async def set_tensor(caller: Caller, args: Words) -> bytes:
    """Store one tensor; that the key holds something else is told before what is wrong with the arguments.

    Raises: Refused; RedisUnavailable.
    """
    try:
        pair = await read_by(parse_tensorset, args)
    except Refused as fault:
        raise Refused(str(await caller.script(CHECK, args[:1], [str(fault)]))) from fault
    await store_tensors(caller, [pair])
    return OK


def set_in_transaction(_caller: Caller, args: Words) -> Queued:
    """Return the script that stores a tensor, or says what is wrong, in its turn."""
    try:
        key, tensor = parse_tensorset(args)
    except Refused as fault:
        return Queued(("EVAL", CHECK.text, 1, args[0], str(fault)))
    return Queued(("EVAL", STORE.text, 1, key, pack(tensor)))


async def get_tensor(caller: Caller, args: Words) -> bytes:
    """Return a tensor; that there is none is told before what is wrong with the arguments.

    Raises: Refused; RedisUnavailable.
    """
    if len(args) > 3:
        raise too_many_words()
    if FORMS.get(tuple(args[1:])) == ONLY_META and (told := await glimpse(caller, args[0])) is not None:
        return b"*4\r\n" + described(*told)
    tensor = tensor_of(await caller.string(args[0]))
    return await replied(caller.wire, tensor, parse_tensorget(args), caller.makes)


async def glimpse(caller: Caller, key: bytes) -> tuple[str, tuple[int, ...]] | None:
    """Return type and shape of the tensor at a key without its numbers, None where a look at both ends does not tell.

    Raises: RedisUnavailable.
    """
    ends = [(0, len(POINTER) - 1), (-TRAILER_LIMIT_BYTES, -1)]
    size, head, tail = await caller.redis([("STRLEN", key), *[("GETRANGE", key, *end) for end in ends]])
    return glimpsed(size, head, tail) if isinstance(size, int) and type(head) is type(tail) is bytes else None


def get_in_transaction(caller: Caller, args: Words) -> Queued:
    """Return the GET of a tensor, and how its reply becomes one."""

    async def turned(reply: Any) -> bytes:
        try:
            if len(args) > 3:
                raise too_many_words()
            return await replied(caller.wire, tensor_of(reply), parse_tensorget(args))
        except Refused as fault:
            return error(str(fault))

    return Queued(("GET", args[0]), turned)


def too_many_words() -> Refused:
    """Return the error of an AI.TENSORGET of more than four words, as Redis words it."""
    return refused("wrong number of arguments for 'ai.tensorget' command")


COMMANDS = (
    Command(
        "AI.TENSORSET",
        -4,
        set_tensor,
        "Stores a tensor at a key, in place of the tensor that may be there.",
        "key type [dim ...] [BLOB data | VALUES value [value ...]]",
        flags=("write", "denyoom"),
        keys=(1, 1, 1),
        queued=set_in_transaction,
    ),
    Command(
        "AI.TENSORGET",
        -2,
        get_tensor,
        "Returns the type and shape of a tensor, and its elements as bytes or one by one.",
        "key [META] [BLOB | VALUES]",
        flags=("readonly",),
        keys=(1, 1, 1),
        queued=get_in_transaction,
        alongside=True,
    ),
)

"""MurmurHash3 for x86, 32 bits, seed 0: what Feast calls its features in Redis. Pure.

Source: https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp, MurmurHash3_x86_32
"""

C1, C2 = 0xCC9E2D51, 0x1B873593
MASK = 0xFFFFFFFF
BLOCK_BYTES = 4


def murmur3(data: bytes) -> int:
    """Return the hash of some bytes, unsigned."""
    result = 0
    whole = len(data) - len(data) % BLOCK_BYTES
    for at in range(0, whole, BLOCK_BYTES):
        result ^= mixed(int.from_bytes(data[at : at + BLOCK_BYTES], "little"))
        result = (rotated(result, 13) * 5 + 0xE6546B64) & MASK
    result ^= mixed(int.from_bytes(data[whole:], "little"))
    return finished(result ^ len(data))


def mixed(block: int) -> int:
    """Return one block as it goes into the hash; of no bytes it is 0."""
    return rotated(block * C1 & MASK, 15) * C2 & MASK


def rotated(word: int, bits: int) -> int:
    """Return a word of 32 bits, rotated to the left."""
    return (word << bits | word >> (32 - bits)) & MASK


def finished(word: int) -> int:
    """Let every bit of the hash depend on all others."""
    word = (word ^ word >> 16) * 0x85EBCA6B & MASK
    word = (word ^ word >> 13) * 0xC2B2AE35 & MASK
    return word ^ word >> 16

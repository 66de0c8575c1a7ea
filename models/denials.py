"""What Redis said no to, and what cures it, by its words; pure."""

import re

OF_A_COMMAND = re.compile(r"^NOPERM .*ermissions to run ")
# Redis up to 7.0 says "one of the keys used as arguments", later ones and Valkey "a key".
OF_A_KEY = re.compile(r"^NOPERM .*ermissions to access (?:one of the|a) key")
RIGHTS = "`Rights` in docs/redis-keys.md lists what each program needs"
LOG_IN = "put the right user and password into the URL of Redis"
# How Redis refuses every write: no memory or disk is left, no replica is there to take it, or it is one itself.
OF_WRITES = (
    (re.compile("'maxmemory'"), "raise its maxmemory, or delete what is not needed"),
    (re.compile("read only replica"), "give the URL of its primary"),
    (re.compile("MISCONF"), "give its disk room, and look into its log"),
    (re.compile("NOREPLICAS"), "bring its replicas back, or lower its min-replicas-to-write"),
)
# The first whose words were said is meant; what a group finds stands in the cure.
CURES = (
    (re.compile(r"permissions to run the '([^']+)' command"), f"ACL SETUSER NAME +{{}} allows it; {RIGHTS}"),
    (re.compile(r"permissions to access (?:one of the|a) (key|channel)"), f"ACL LOG of Redis names the {{}}; {RIGHTS}"),
    *OF_WRITES,
    (re.compile("username-password pair|Authentication required"), LOG_IN),
)  # fmt: skip


def denied(told: str) -> str:
    """Return what Redis said, and what cures it where that is known."""
    for words, cure in CURES:
        if found := words.search(told):
            return f"{told}; {cure.format(*found.groups())}"
    return told


def of_a_command(said: str) -> bool:
    """Whether a user may not run the command, whatever the key."""
    return OF_A_COMMAND.match(said) is not None


def of_a_key(said: str) -> bool:
    """Whether a user may not touch a key that was named, so that other keys are not concerned."""
    return OF_A_KEY.match(said) is not None


def of_every_write(said: str) -> bool:
    """Whether no write is taken for now, whatever the key, which whoever runs Redis can mend."""
    return any(words.search(said) for words, _ in OF_WRITES)

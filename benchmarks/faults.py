"""What stops a benchmark: a tool that is missing, a server that ended, an answer that is wrong."""


class BenchmarkFailed(Exception):
    """The run cannot go on, or its numbers would say nothing; the message says what to do."""


class Missing(BenchmarkFailed):
    """Something that is not installed; a case or a rival may be left out for it."""

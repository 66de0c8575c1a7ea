"""INFO of a Redis that lists no modules, or others."""

import pytest

from server.resp.catalog.info import MODULE_LINE, told

OTHER = "module:name=ReJSON,ver=20803,api=1\r\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", f"# Modules\r\n{MODULE_LINE}"),
        ("# Server\r\na:1\r\n", f"# Server\r\na:1\r\n\r\n# Modules\r\n{MODULE_LINE}"),
        ("# Modules\r\n", f"# Modules\r\n{MODULE_LINE}"),
        ("# A\r\n\r\n# Modules\r\n\r\n# B\r\n", f"# A\r\n\r\n# Modules\r\n{MODULE_LINE}\r\n# B\r\n"),
        (f"# Modules\r\n{OTHER}{OTHER}", f"# Modules\r\n{OTHER}{OTHER}{MODULE_LINE}"),
        (
            f"# A\r\nb:1\r\n\r\n# Modules\r\n{OTHER}\r\n# B\r\n",
            f"# A\r\nb:1\r\n\r\n# Modules\r\n{OTHER}{MODULE_LINE}\r\n# B\r\n",
        ),
    ],
)
def test_the_module_stands_where_modules_stand(text: str, expected: str) -> None:
    assert told(text, [], {}) == expected


def test_a_section_that_was_not_asked_for_is_not_told() -> None:
    assert told("# Server\r\n", ["server"], {"ai_git": {"git_sha": "x"}}) == "# Server\r\n"
    assert told("", ["ai_git"], {"ai_git": {"git_sha": "x"}}) == "# ai_git\r\nai_git_sha:x\r\n"

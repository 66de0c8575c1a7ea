"""Words of a line that bash completes, put together again where it has ended them at a colon."""

import pytest

from cli.bash_words import typed


@pytest.mark.parametrize(
    ("words", "meant", "before"),
    [
        ("insitu models ch", "insitu models ch", ""),
        ("insitu models churn :", "insitu models ", "churn:"),
        ("insitu models churn : c", "insitu models c", "churn:"),
        ("insitu models churn:c", "insitu models churn:c", ""),
        ("insitu predict churn patient : 17 --ver", "insitu predict churn patient:17 --ver", ""),
        ("insitu predict churn user :: 7 : b", "insitu predict churn b", "user::7:"),
        ("insitu models churn : ", "insitu models churn: ", ""),
        ("insitu", "insitu", ""),
    ],
)
def test_a_name_and_its_version_are_one_word(words: str, meant: str, before: str) -> None:
    found = typed(words.split(" "))

    assert (" ".join(found.words), found.before) == (meant, before)

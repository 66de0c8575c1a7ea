"""Pages: served from files, bound by their headers, and asking nothing of any other host."""

import re

import pytest

from server.rest.pages import CONSOLE
from tests.integration.rest.conftest import Client, on_one_server

FILES = sorted(path.name for path in CONSOLE.iterdir())
MARKUP = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function")
ELSEWHERE = re.compile(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", re.IGNORECASE)


@on_one_server
@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_runs_nothing_but_files_of_this_server(untouched: Client, path: str) -> None:
    response = await untouched.get(path)

    policy = response.headers["content-security-policy"]
    assert response.headers["content-type"].startswith("text/html")
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "<script>" not in response.text


@on_one_server
@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_everything_a_page_names_is_there(untouched: Client, path: str) -> None:
    page = await untouched.get(path)

    named = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    answers = {name: (await untouched.get(f"/{name}")).status_code for name in named}

    assert answers
    assert set(answers.values()) == {200}


@on_one_server
@pytest.mark.parametrize("name", FILES)
async def test_every_file_of_the_console_is_served_as_what_it_is(untouched: Client, name: str) -> None:
    response = await untouched.get(f"/console/{name}")

    kinds = {"js": "text/javascript", "css": "text/css", "html": "text/html", "svg": "image/svg+xml"}
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(kinds[name.rpartition(".")[2]])


@on_one_server
async def test_a_file_that_is_still_the_same_is_not_sent_again(untouched: Client) -> None:
    first = await untouched.get("/console/console.js")

    again = await untouched.get("/console/console.js", headers={"if-none-match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")


@on_one_server
@pytest.mark.parametrize(
    "path",
    [
        "/console/../api.py",
        "/console/%2e%2e/api.py",
        "/console/..%2fapi.py",
        "/console/",
        "/console//etc/passwd",
        "/console/a%00.js",
        "/console/" + "a" * 5000,
        "/docs/../api.py",
        "/docs/swagger-ui.css.map",
    ],
)
async def test_no_path_leads_out_of_the_console(untouched: Client, path: str) -> None:
    assert (await untouched.get(path)).status_code == 404


@pytest.mark.parametrize("name", FILES)
def test_no_file_makes_markup_from_text_or_asks_another_host(name: str) -> None:
    text = (CONSOLE / name).read_text()

    assert MARKUP.search(text) is None
    assert ELSEWHERE.search(text) is None

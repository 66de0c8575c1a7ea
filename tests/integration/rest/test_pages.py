"""Pages: served from files, bound by their headers, and asking nothing of any other host."""

import re

import pytest

from server.rest.pages import CONSOLE
from tests.integration.rest.conftest import Client

FILES = sorted(path.name for path in CONSOLE.iterdir())
MARKUP = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function")
ELSEWHERE = re.compile(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", re.IGNORECASE)


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_runs_nothing_but_files_of_this_server(client: Client, path: str) -> None:
    response = await client.get(path)

    policy = response.headers["content-security-policy"]
    assert response.headers["content-type"].startswith("text/html")
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "<script>" not in response.text


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_everything_a_page_names_is_there(client: Client, path: str) -> None:
    page = await client.get(path)

    named = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    answers = {name: (await client.get(f"/{name}")).status_code for name in named}

    assert answers
    assert set(answers.values()) == {200}


@pytest.mark.parametrize("name", FILES)
async def test_every_file_of_the_console_is_served_as_what_it_is(client: Client, name: str) -> None:
    response = await client.get(f"/console/{name}")

    kinds = {"js": "text/javascript", "css": "text/css", "html": "text/html", "svg": "image/svg+xml"}
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(kinds[name.rpartition(".")[2]])


async def test_a_file_that_is_still_the_same_is_not_sent_again(client: Client) -> None:
    first = await client.get("/console/console.js")

    again = await client.get("/console/console.js", headers={"if-none-match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")


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
async def test_no_path_leads_out_of_the_console(client: Client, path: str) -> None:
    assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize("name", FILES)
def test_no_file_makes_markup_from_text_or_asks_another_host(name: str) -> None:
    text = (CONSOLE / name).read_text()

    assert MARKUP.search(text) is None
    assert ELSEWHERE.search(text) is None

"""The words of a command as arguments: tokens, keys, what may be left out, what may come again."""

import pytest

from server.resp.catalog.synopsis import Argument, arguments_of


def told(one: Argument) -> str:
    """One argument in one line: token=name:kind(flags){arguments}."""
    token = f"{one.token}=" if one.token else ""
    flags = f"({','.join(one.flags)})" if one.flags else ""
    inner = f"{{{' '.join(map(told, one.arguments))}}}" if one.arguments else ""
    return f"{token}{one.name}:{one.kind}{flags}{inner}"


@pytest.mark.parametrize(
    ("synopsis", "expected"),
    [
        ("", ""),
        ("key", "key:key"),
        ("model key [key ...]", "model:string key:key(multiple)"),
        ("type [dim ...]", "type:string dim:integer(optional,multiple)"),
        ("[META]", "META=meta:pure-token(optional)"),
        ("[BLOB | RAW]", "blob:oneof(optional){BLOB=blob:pure-token RAW=raw:pure-token}"),
        ("[A a | B b [b ...]]", "a:oneof(optional){A=a:string B=b:string(multiple)}"),
        ("[A n [B m]]", "n:block(optional){A=n:integer B=m:integer(optional)}"),
        ("|> command [|> command ...]", "|>=command:string(multiple,multiple_token)"),
        ("GET name | SET name value", "name:oneof{GET=name:string name:block{SET=name:string value:string}}"),
        ("value ...", "value:string(multiple)"),
        ("a [] b", "a:string b:string"),
        ("[a", "a:string(optional)"),
        ("TIMEOUT milliseconds", "TIMEOUT=milliseconds:double"),
    ],
)
def test_words_are_read_as_arguments(synopsis: str, expected: str) -> None:
    assert " ".join(map(told, arguments_of(synopsis))) == expected

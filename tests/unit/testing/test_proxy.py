from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from de_classes.errors import ConfigurationError
from de_classes.testing.http import Asked, LoopbackServer, json_reply
from de_classes.testing.proxy import Cut, CuttingProxy, _Watch


@pytest.fixture
def heard() -> list[bytes]:
    return []


@pytest.fixture
def proxy(heard: list[bytes]) -> Iterator[CuttingProxy]:
    """Before a server that keeps what it is told, and says yes to each."""

    def answer(asked: Asked) -> Any:
        heard.append(asked.body)
        return json_reply("yes")

    with LoopbackServer(answer) as server, CuttingProxy(server.url.removeprefix("http://")) as opened:
        yield opened


def said(proxy: CuttingProxy, *bodies: bytes) -> bytes:
    """Send requests over one connection; what is answered until it ends."""
    host, _, port = proxy.address.partition(":")
    answered = b""
    with closing(socket.create_connection((host, int(port)))) as connection:
        connection.settimeout(10)
        try:
            for body in bodies:
                connection.sendall(b"PUT / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
                received = connection.recv(4096)
                if not received:
                    break
                answered += received
        except ConnectionError:
            pass
    return answered


def test_passes_on_what_no_cut_is_for(proxy: CuttingProxy, heard: list[bytes]) -> None:
    """Without a cut, and with one whose text does not come, both sides hear all."""
    assert said(proxy, b"one").endswith(b'"yes"')
    proxy.cut(Cut(b"three"))
    assert said(proxy, b"one", b"two").count(b'"yes"') == 2
    assert (heard, proxy.cuts) == ([b"one", b"one", b"two"], 0)


@pytest.mark.parametrize("when", ["sent", "unnoticed"])
def test_breaks_before_it_arrives(proxy: CuttingProxy, heard: list[bytes], when: Any) -> None:
    """What the client said last never gets there, and nobody answers it; the next connection is whole."""
    proxy.cut(Cut(b"two", when=when))
    assert said(proxy, b"one", b"two").count(b'"yes"') == 1
    assert (heard[0], proxy.cuts) == (b"one", 1)
    assert b"two" not in heard  # the head of that request may have come, as of one that broke off
    assert said(proxy, b"two").count(b'"yes"') == 1


def test_breaks_before_the_answer(proxy: CuttingProxy, heard: list[bytes]) -> None:
    """It gets there, and the answer is lost."""
    proxy.cut(Cut(b"two", after=b"one", when="answered"))
    assert said(proxy, b"two", b"one", b"two").count(b'"yes"') == 2
    assert (heard, proxy.cuts) == ([b"two", b"one", b"two"], 1)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_finds_its_place_in_whatever_pieces_it_comes(size: int) -> None:
    """The bytes that pass are the same, in however many pieces the client sends them."""
    text = b"a COMMIT, epoch + 1, COMMCOMMIT and more"

    def passed(cut: Cut) -> bytes:
        watch, through = _Watch(cut), b""
        for start in range(0, len(text), size):
            piece = text[start : start + size]
            passing = watch.passing(piece)
            through += piece[:passing]
            if passing is not None:
                break
        return through

    assert passed(Cut(b"COMMIT", after=b"epoch", more=4)) == text[:-5]
    assert passed(Cut(b"nowhere")) == text
    assert text.startswith(passed(Cut(b"COMMIT", after=b"epoch")))
    assert len(passed(Cut(b"COMMIT", after=b"epoch"))) < text.index(b"CCOMMIT"[1:], 10) + len(b"COMMIT")


def test_refuses_what_is_no_place() -> None:
    """A cut without a text and an address that is none are told at once."""
    with pytest.raises(ConfigurationError, match="breaks nowhere"):
        Cut(b"")
    with pytest.raises(ConfigurationError, match="no address"):
        CuttingProxy("localhost")


def test_as_a_command(heard: list[bytes]) -> None:
    """It runs by itself: says where it listens, and when it is ended, how many connections broke."""
    with LoopbackServer(lambda _: json_reply("yes")) as server:
        address = server.url.removeprefix("http://")
        command = [sys.executable, "-m", "de_classes.testing.proxy", address, "--at", "two"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            host, _, port = process.stdout.readline().strip().partition(":")
            with closing(socket.create_connection((host, int(port)))) as connection:
                connection.sendall(b"two")
                assert connection.recv(10) == b""
            process.send_signal(signal.SIGTERM)
            assert process.stdout.read() == "1 connections broken\n"
        assert process.returncode == 0

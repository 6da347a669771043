"""What decoder libraries write by themselves does not reach the terminal."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hostile import picture, saved

from bitcodes.errors import ImageError
from bitcodes.images.decode import open_image
from bitcodes.images.decoder_noise import held_back


def damaged_tiff() -> bytes:
    """A deflated TIFF whose pixels are damaged: libtiff complains by itself."""
    content = bytearray(saved(picture(), "TIFF", compression="tiff_adobe_deflate"))
    content[60:90] = b"\xff" * 30
    return bytes(content)


def test_libtiff_says_nothing_by_itself(capfd: pytest.CaptureFixture[str]) -> None:
    content = damaged_tiff()
    with pytest.raises(ImageError):
        open_image(content)
    assert capfd.readouterr() == ("", "")


def test_nor_do_programs_without_logging(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    samples = saved(picture(), "TIFF").replace(
        b"\x15\x01\x03\0\x01\0\0\0\x03\0", b"\x15\x01\x03\0\x01\0\0\0\xff\xff"
    )
    path.write_bytes(samples)
    code = (
        "import sys; from bitcodes.images.decode import open_image\n"
        "from bitcodes.errors import ImageError\n"
        "try: open_image(sys.argv[1])\nexcept ImageError as error: print(error)"
    )
    found = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert found.stderr == ""
    assert found.stdout != ""


def test_what_python_writes_meanwhile_arrives(capfd: pytest.CaptureFixture[str]) -> None:
    with capfd.disabled():
        pass
    code = """
import os, sys, threading
from bitcodes.images.decoder_noise import held_back
with held_back() as noise:
    os.write(2, b"from a library\\n")
    thread = threading.Thread(target=lambda: print("from a thread", file=sys.stderr))
    thread.start()
    thread.join()
print(noise.text.strip())
print("after", file=sys.stderr)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout == "from a library\n"
    assert found.stderr == "from a thread\nafter\n"


def test_one_thread_at_a_time_and_errors_pass(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="mine"), held_back():
        raise ValueError("mine")
    with held_back(), held_back() as inner:
        os.write(2, b"held by the outer one\n")
    assert inner.text == ""
    os.write(2, b"back\n")
    assert capfd.readouterr().err == "back\n"


@pytest.mark.posix
def test_no_descriptor_is_left_open_nor_closed_twice() -> None:
    def opened() -> int:
        descriptor = os.open(os.devnull, os.O_RDONLY)
        os.close(descriptor)
        return descriptor

    before = opened()
    threads = [threading.Thread(target=lambda: held_back().__enter__) for _ in range(3)]
    for thread in threads:
        thread.start()
        thread.join()
    for _ in range(20):
        with held_back():
            pass
    assert opened() == before


def test_without_standard_error() -> None:
    code = """
import os
from bitcodes.images.decoder_noise import held_back
os.close(2)
for _ in range(2):
    with held_back() as noise:
        pass
print("well")
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout == "well\n"

"""Who may ask, what is read and sent, and how much."""

import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from attacks.pictures import attacks
from fastapi.testclient import TestClient
from hostile import saved
from PIL import Image
from server.conftest import app_of

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.writer import save_code_set
from bitcodes.server import limits
from bitcodes.server.safety import COOKIE

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8000", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("192.168.1.7", 200),
        ("photos.example:443", 200),
        ("PHOTOS.example.", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
def test_only_our_names_and_addresses_are_answered(
    client: TestClient, host: str, status: int
) -> None:
    assert client.get("/v1/info", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://localhost"}, 200),
        ({"origin": "http://localhost", "sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost.evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
def test_only_our_page_may_upload(client: TestClient, headers: dict[str, str], status: int) -> None:
    assert client.post("/v1/search", json={"row": [0]}, headers=headers).status_code == status
    answer = client.get("/v1/search?row=0", headers={**headers, "sec-fetch-mode": "cors"})
    assert answer.status_code == status
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_token_is_asked_for_and_remembered(stored: Path) -> None:
    with TestClient(app_of(stored, token="se-cret"), "http://localhost") as client:
        for path in ("/healthz", "/readyz"):
            assert client.get(path).status_code == 200
        for path in ("/", "/v1/info", "/metrics", "/v1/openapi.json", "/page/main.js", "/nothing"):
            assert client.get(path).status_code == 401, path
        for wrong in ("Bearer other", "Bearer ", "Basic se-cret", "Bearer se-crét".encode()):
            headers = {"authorization": wrong}
            assert client.get("/v1/info", headers=headers).status_code == 401  # type: ignore[arg-type]
        right = {"authorization": "Bearer se-cret"}
        assert client.get("/v1/info", headers=right).status_code == 200
        assert client.get("/?token=other").status_code == 401
        answer = client.get("/?token=se-cret", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie
        assert client.cookies[COOKIE] == "se-cret"
        assert client.get("/v1/info").status_code == 200


def test_every_answer_has_the_policy(client: TestClient) -> None:
    for path in ("/", "/v1/info", "/nothing", "/v1/search?k=0", "/page/main.js"):
        policy = client.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy


def test_the_page_has_no_inline_script_and_loads_nothing_from_elsewhere() -> None:
    for file in (ROOT / "bitcodes/server/page").iterdir():
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), file
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
        if file.suffix == ".html":
            assert not re.search(r"<script(?![^>]*src=)| on\w+=|<style| style=", text)


def test_too_much_is_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    large = b"x" * (limits.MAX_BYTES + 1)
    assert client.post("/v1/search", content=large).status_code == 413

    def pieces() -> object:
        yield from (large[: 1 << 20] for _ in range(33))

    assert client.post("/v1/search", content=pieces()).status_code == 413  # type: ignore[arg-type]
    rows = {"row": [0] * 65}
    answer = client.post("/v1/search", json=rows)
    assert answer.json()["detail"].startswith("row: expected at most 64 of them; found")
    several = {"row": [0] * 40, "hex": ["000000"] * 40}
    assert client.post("/v1/search", json=several).status_code == 400
    image = saved(Image.new("L", (9000, 8000)), "PNG")
    answer = client.post("/v1/search", content=image)
    assert answer.status_code == 422
    assert "9000 x 8000 pixels; expected at most 64,000,000" in answer.json()["detail"]


def test_hostile_images_are_an_answer_or_one_error(client: TestClient) -> None:
    count = 0
    for name, attack in attacks().items():
        if len(attack.content) > 1 << 20:
            continue
        answer = client.post("/v1/search?k=1", content=attack.content)
        assert answer.status_code in (200, 400, 422), name
        assert answer.status_code == 200 or "\n" not in answer.json()["detail"], name
        count += 1
    assert count > 100
    assert client.get("/v1/search?row=0").status_code == 200


def test_paths_lead_nowhere_outside_the_set(client: TestClient) -> None:
    for path in (
        *("/page/../app.py", "/page/%2e%2e/app.py", "/page/..%2fapp.py", "/page//etc/passwd"),
        *("/v1/images/..%2f..%2fphotos.npy", "/v1/images/cold%2f00.png/thumbnail", "/photos.npy"),
        *("/v1/search?path=/etc/passwd", "/v1/search?path=../run/model.safetensors"),
        *("/v1/images/0/thumbnail?version=../../x&size=small%00", "/%00", "/page/%00"),
    ):
        answer = client.get(path)
        assert answer.status_code in (400, 404), path


def test_thumbnails_have_no_metadata_and_keep_to_their_size(tmp_path: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 1200, 3), np.uint8))
    exif = picture.getexif()
    exif[271], exif[274] = "Camera of Ada", 6
    exif.get_ifd(0x8825)[2] = (52.0, 30.0, 0.0)
    picture.save(tmp_path / "a.jpg", exif=exif, comment=b"Ada was here")
    codes = CodeSet.from_arrays(np.zeros((1, 2), np.uint8), 16, ["a.jpg"], root=tmp_path)
    save_code_set(codes, tmp_path / "one.npy")
    with TestClient(app_of(tmp_path / "one.npy"), "http://localhost") as client:
        for name, side in limits.SIZES.items():
            answer = client.get(f"/v1/images/0/thumbnail?size={name}")
            image = Image.open(io.BytesIO(answer.content))
            assert (image.format, max(image.size)) == ("JPEG", side)
            assert image.height > image.width  # turned upright
            assert not image.getexif() and set(image.info) <= {
                "jfif",
                "jfif_version",
                "jfif_unit",
            } | {"jfif_density"}
            assert b"Ada" not in answer.content


def test_thumbnails_are_asked_for_again_when_the_picture_has_changed(
    stored: Path, tmp_path: Path
) -> None:
    shutil.copytree(stored.parent, tmp_path / "copy")
    with TestClient(app_of(tmp_path / "copy/photos.npy"), "http://localhost") as client:
        address = "/v1/images/0/thumbnail"
        answer = client.get(address)
        assert answer.headers["cache-control"] == "private, no-cache"
        known = {"if-none-match": answer.headers["etag"]}
        assert client.get(address, headers=known).status_code == 304
        version = client.get("/v1/info").json()["sets"][0]["version"]
        kept = client.get(f"{address}?version={version}").headers["cache-control"]
        assert kept == "private, max-age=86400"
        shutil.copy(tmp_path / "copy/cold/05.png", tmp_path / "copy/cold/00.png")
        again = client.get(address, headers=known)
        assert again.status_code == 200
        assert again.content == client.get("/v1/images/5/thumbnail").content
        (tmp_path / "copy/cold/00.png").unlink()
        assert client.get(address).status_code == 422


def test_names_are_text_in_json(tmp_path: Path) -> None:
    names = ["<script>alert(1)</script>.jpg", 'a"b\nc.jpg', "\udcff.jpg"]
    save_code_set(
        CodeSet.from_arrays(np.eye(3, 8, dtype=np.uint8), 64, names), tmp_path / "odd.npy"
    )
    with TestClient(app_of(tmp_path / "odd.npy"), "http://localhost") as client:
        listed = client.get("/v1/images").json()["images"]
        paths = [image["path"] for image in listed]
        assert paths == ["<script>alert(1)</script>.jpg", 'a"b\\nc.jpg', "\\xff.jpg"]
        for row, path in enumerate(paths):
            answer = client.get("/v1/search", params={"path": path, "k": 1})
            assert answer.json()["queries"][0]["results"][0]["row"] == row
            assert answer.headers["content-type"] == "application/json"
            json.loads(answer.content)


def test_the_security_page_has_the_limits() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    for name in ("MAX_BYTES", "MAX_PIXELS", "MAX_QUERIES", "MAX_K", "MAX_SECONDS", "MAX_WAITING"):
        assert f"| `{name}` | {getattr(limits, name):,} |" in text

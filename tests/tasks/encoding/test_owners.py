"""Which origins an image can be from."""

from pathlib import Path

import pytest

from bitcodes.tasks.encoding.origin import Origin
from bitcodes.tasks.encoding.owners import Owners

ORIGINS = [
    Origin(("/x/photos", "/y/one.png"), Path("/x")),
    Origin(("/x/photos/2020",), Path("/x")),
    Origin(("/x/a.tar", "https://host/b.tar", "/x/s-{08..11}.tar"), Path("/x")),
    Origin(("/x/lists/all.txt",), Path("/x")),
    Origin(("-",), Path("/x")),
    Origin(("/x/photos/2020",), Path("/elsewhere"), part=(1, 2)),
]


@pytest.mark.parametrize(
    ("path", "owners"),
    [
        ("/x/photos/1.jpg", {0}),
        ("/x/photos/2021/deep/1.jpg", {0}),
        ("/y/one.png", {0}),
        ("/x/photos/2020/1.jpg", {1, 5}),
        ("/x/a.tar/1.jpg", {2}),
        ("/x/a.tar/../1.jpg", {2}),
        ("https://host/b.tar/in/1.jpg", {2}),
        ("/x/s-09.tar/1.jpg", {2}),
        ("/x/s-12.tar/1.jpg", {3, 4}),
        ("/x/photos2/1.jpg", {3, 4}),
        ("/y/two.png", {3, 4}),
        ("https://host/c.tar/1.jpg", {3, 4}),
    ],
)
def test_the_nearest_name_above_an_image_owns_it(path: str, owners: set[int]) -> None:
    assert Owners(ORIGINS).of(path) == owners
    for chosen in ({0}, {1}, {1, 5}, {2}, {3}, {3, 4}):
        assert Owners(ORIGINS).only(chosen)(path) == (owners <= chosen)


def test_the_root_of_all_files_owns_all_of_them() -> None:
    owners = Owners([Origin(("/",), Path("/"))])
    assert owners.of("/a/b.jpg") == {0}


def test_what_nobody_can_have_brought_is_nobody_s() -> None:
    owners = Owners([Origin(("/x/photos",), Path("/x"))])
    assert owners.of("/y/1.jpg") == set()
    assert not owners.only([0])("/y/1.jpg")

"""Divisions of data sets in papers on hashing, recognised by their numbers of images and classes.

The numbers are facts of these sources, counted in their lists where they have them:

- HashNet (Cao et al., ICCV 2017, https://arxiv.org/abs/1702.00758), lists of
  https://github.com/thuml/HashNet: ImageNet with 100 classes, 13,000 images to train on, 5,000
  queries, 128,503 in the database; NUS-WIDE with 81 classes, 10,000 and 5,000; MS-COCO 2014 with 80
  classes, 10,000, 5,000 and 112,218. Its database of MS-COCO has all queries in it and no training
  image (its issue 41 counts the same in its lists for PyTorch). The paper searches all images but
  the queries: 82,081 + 40,137 images of MS-COCO have a class, less 5,000 queries are 117,218.
- DeepHash-pytorch, lists and README of https://github.com/swuxyj/DeepHash-pytorch: the same numbers
  for ImageNet and MS-COCO; NUS-WIDE with 21 classes: 100 queries and 500 training images per class,
  2,100 and 10,500, of 195,834 images; all but the queries are searched, 193,734. In its copy
  NUS-WIDE-m, which has fewer images, queries and training images are as many. Its file
  utils/tools.py counts mAP over 1,000 ranks for ImageNet, 5,000 for the two others.
- CSQ (Yuan et al., CVPR 2020, https://arxiv.org/abs/1908.00347), lists and README of
  https://github.com/yuanli2333/Hadamard-Matrix-for-hashing: fewer images than the others. It
  measures over as many ranks (option --R).

Where a source has no list of its database, the number of its images is not checked.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bitcodes.datasets.dataset import LIST_NAMES
from bitcodes.wording import counted, either


@dataclass(frozen=True)
class Published:
    """A division of a data set that papers use, and the figure that they report for it."""

    protocol: str
    classes: int
    train: int
    test: int
    database: int | None
    """None: unknown, and so any number."""
    metric: str
    """A figure of `bitcodes evaluate`, by its name in --json."""

    def misfits(self, counts: Mapping[str, int]) -> list[str]:
        """What differs in numbers of images, by the keys of LIST_NAMES; empty if nothing does."""
        expected = {"train": self.train, "test": self.test, "database": self.database}
        return [
            f"{LIST_NAMES[key]} has {counted(counts[key], 'image')}, not {number:,}"
            for key, number in expected.items()
            if number not in (None, counts[key])
        ]


# For each number of classes, the divisions whose database is known come first.
PUBLISHED = (
    Published("ImageNet-100 of HashNet", 100, 13_000, 5_000, 128_503, "map@1000"),
    Published("ImageNet-100 of CSQ", 100, 13_000, 4_983, None, "map@1000"),
    Published("NUS-WIDE-21 of DeepHash-pytorch", 21, 10_500, 2_100, 193_734, "map@5000"),
    Published("NUS-WIDE-21-m of DeepHash-pytorch", 21, 10_500, 2_100, None, "map@5000"),
    Published("NUS-WIDE-21 of CSQ", 21, 10_455, 2_040, None, "map@5000"),
    Published("NUS-WIDE-81 of HashNet", 81, 10_000, 5_000, None, "map@5000"),
    Published("MS-COCO of HashNet (paper)", 80, 10_000, 5_000, 117_218, "map@5000"),
    Published("MS-COCO of HashNet (lists)", 80, 10_000, 5_000, 112_218, "map@5000"),
    Published("MS-COCO of CSQ", 80, 9_992, 5_000, None, "map@5000"),
)


def recognise(classes: int, counts: Mapping[str, int]) -> tuple[Published | None, str | None]:
    """The published division with these numbers, or None; and a note on what is not as published.

    `counts` are numbers of images by the keys of LIST_NAMES. Lists with another number of classes
    than every published division are a data set of their own, without a note.
    """
    alike = [each for each in PUBLISHED if each.classes == classes]
    for each in alike:
        if not each.misfits(counts):
            return each, None if each.database else _unchecked(each, counts["database"])
    if not alike:
        return None, None
    nearest = min(alike, key=lambda each: len(each.misfits(counts)))
    return None, (
        f"{classes} classes as in {either(each.protocol for each in alike)}, but other numbers of "
        f"images; compared with {nearest.protocol}, {'; '.join(nearest.misfits(counts))}. So this "
        "is a data set of its own: do not compare its figures with published ones"
    )


def _unchecked(published: Published, database: int) -> str:
    return (
        f"training images and queries are as many as in {published.protocol}; it is not known how "
        f"many are in its database, so {counted(database, 'image')} there may be right or wrong"
    )

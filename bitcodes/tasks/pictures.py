"""Small pictures of the images of a code set: made anew, without any metadata of the file."""

from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import ImageError
from bitcodes.sources.item import Stat, file_stat


def picture_stat(code_set: CodeSet, row: int) -> Stat | None:
    """Size and modification time of the file of a row; None where that is unknown."""
    file = code_set.file(row)
    return None if file is None else file_stat(file)


def picture(code_set: CodeSet, row: int, size: int) -> bytes:
    """The image of a row as a JPEG file that fits size x size pixels; raises ImageError."""
    from bitcodes.images.decode import open_image
    from bitcodes.images.thumbnails import thumbnail_jpeg
    from bitcodes.sources.members import find_places

    file = code_set.file(row)
    if file is None:
        raise ImageError("the code set does not say where its images are")
    for _, place in find_places([file]):
        return thumbnail_jpeg(place.read(open_image)[0], size)
    raise ImageError("it is not there")

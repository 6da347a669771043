"""Encode a folder of photos from Python, and find the photos nearest to a query image.

python examples/search_photos.py RUN PHOTOS QUERY
"""

import sys

from bitcodes import HammingIndex, encode, encode_images, load_model, pack_outputs


def main(run: str, photos: str, query: str) -> None:
    """Encode `photos` into photos.npy (once), then print the five nearest to `query`."""
    model = load_model(run)  # a folder that `bitcodes finetune` wrote, or its model file
    code_set = encode(model, photos, "photos.npy", workers=None)
    print(f"{code_set.count} photos, {code_set.bits} bits each, {code_set.codes.nbytes} bytes")

    # A query may be a path, the bytes of a file or a Pillow image.
    outputs = encode_images(model, [query]).outputs  # (1, K)
    index = HammingIndex(code_set)
    distances, rows = index.search(pack_outputs(outputs), k=5)  # both (1, 5)
    for distance, row in zip(distances[0], rows[0], strict=True):
        if row >= 0:  # -1 if there are fewer than 5 photos
            print(f"{distance:3} bits apart: {code_set.absolute_path(row)}")


if __name__ == "__main__":
    main(*sys.argv[1:])

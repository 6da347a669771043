"""Images in: list files, sources, transforms, preparing datasets."""

"""Code sets in Lance: a folder of versions, on a disk or in an object store."""

import os
import warnings

# Read when Lance is imported: else it tells of each new table.
os.environ.setdefault("LANCE_LOG", "error")
# Processes that read images are forks, which never use it.
warnings.filterwarnings("ignore", message="lance is not fork-safe")
